// andiron tokenizer, from outside: what it learns, writes and refuses, and that others read it as it is meant.
#include <algorithm>
#include <map>
#include <regex>
#include <set>
#include <tuple>

#include "base/strings.h"
#include "program.h"

namespace andiron {
namespace {

const std::string kStories = "text/tinystories.txt";
constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";

class TokenizerTrainTest : public ::testing::Test {
 protected:
  // The special tokens of a chat model, then `more`.
  std::vector<std::string> chat_words(const std::string& data, const std::string& out,
                                      const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"tokenizer", "train", data, "--out", out};
    for (const char* token : {"<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|pad|>"}) {
      words.insert(words.end(), {"--special", token});
    }
    words.insert(words.end(), {"--bos", "<|begin|>", "--eos", "<|end|>", "--pad", "<|pad|>"});
    words.insert(words.end(), {"--chat-template", program_.write("chat.jinja", kTemplate)});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<int64_t> ids_of(const std::string& tokenizer, const std::string& text, bool special = false) const {
    std::vector<std::string> words = {"tokenize", tokenizer, "--file", program_.write("text", text), "--json"};
    if (!special) words.emplace_back("--no-special");
    std::vector<int64_t> ids;
    const Json json = parse(program_.run(words));
    for (const Json& id : json.member("ids").items_or_none()) ids.push_back(id.as_int());
    return ids;
  }

  Program program_;
};

const std::string kText =
    "It was a cold day, and the cat sat by the fire. The fire was warm; the cat was warm.\n"
    "\"Is the fire warm?\" asked the dog. \"It is\", said the cat, \"and the day is cold.\"\n";

TEST_F(TokenizerTrainTest, LearnsShowsAndTokenizes) {
  const std::string out = program_.file("tokenizer.json");
  const Outcome learned = program_.run(chat_words(program_.write("a.txt", kText), out, {"--vocab", "280"}));
  ASSERT_EQ(learned.status, 0) << learned.err;
  EXPECT_EQ(learned.out, "");
  EXPECT_NE(learned.err.find("280 tokens: 6 special ones, 256 bytes and 18 merges"), std::string::npos) << learned.err;
  const Json shown = parse(program_.run({"tokenizer", "show", out, "--json"}));
  EXPECT_EQ(shown.member("algorithm").text_or(""), "byte-level BPE");
  EXPECT_EQ(shown.member("pre").text_or(""), "qwen2");
  EXPECT_EQ(shown.member("tokens").number_or(0), 280);
  EXPECT_EQ(shown.member("merges").number_or(0), 18);
  EXPECT_EQ(shown.member("special").items().size(), 6U);
  EXPECT_EQ(shown.member("eos").number_or(-1), 1);
  EXPECT_EQ(shown.member("chat_template").text_or(""), kTemplate);
  const std::string page = program_.run({"tokenizer", "show", out}).out;
  EXPECT_NE(page.find("0 <|begin|>, begins every text\n"), std::string::npos) << page;
  EXPECT_NE(page.find("1 <|end|>, ends texts\n"), std::string::npos) << page;

  const std::vector<int64_t> ids = ids_of(out, kText);
  EXPECT_LT(ids.size(), kText.size() * 2 / 3);
  std::string list;
  for (const int64_t id : ids) list += std::to_string(id) + " ";
  EXPECT_EQ(program_.run({"detokenize", out}, list).out, kText);
  EXPECT_EQ(ids_of(out, "<|user|>", true), (std::vector<int64_t>{0, 3}));
  const Outcome chat = program_.run({"template", out, "--messages", "-"}, R"([{"role": "user", "content": "Hi"}])");
  EXPECT_EQ(chat.out, "<|begin|><|user|>Hi<|end|><|assistant|>") << chat.err;
}

TEST_F(TokenizerTrainTest, TheSameBytesForAnyNumberOfThreads) {
  std::string text;
  for (int i = 0; text.size() < 600'000; ++i) text += kText + std::to_string(i * i) + " days.\n";
  const std::string data = program_.write("a.txt", text);
  std::set<std::string> files, configs;
  for (const char* threads : {"1", "2", "3"}) {
    const std::string folder = program_.file(std::string("out") + threads);
    std::filesystem::create_directory(folder);
    const Outcome learned = program_.run(chat_words(data, folder, {"--vocab", "400", "-t", threads}));
    ASSERT_EQ(learned.status, 0) << learned.err;
    files.insert(whole_file(folder + "/tokenizer.json"));
    configs.insert(whole_file(folder + "/tokenizer_config.json"));
  }
  EXPECT_EQ(files.size(), 1U);
  EXPECT_EQ(configs.size(), 1U);
}

TEST_F(TokenizerTrainTest, ReadsWhatLearnReads) {
  program_.write("rows.jsonl",
                 "{\"messages\": [{\"role\": \"user\", \"content\": \"hello hello\"}, "
                 "{\"role\": \"assistant\", \"content\": \"hello\"}]}\n{broken\n");
  const std::string out = program_.file("tokenizer.json");
  const Json json = parse(program_.run({"tokenizer", "train", program_.file("rows.jsonl"), "--out", out, "--json"}));
  EXPECT_EQ(json.member("rows").number_or(0), 1);
  EXPECT_EQ(json.member("bad").number_or(0), 1);
  EXPECT_EQ(json.member("words").number_or(0), 3);
  EXPECT_EQ(json.member("text_bytes").number_or(0), 16);
  // "hello" twice and " hello" once: h e l l o merge in four steps, and nothing else occurs twice.
  EXPECT_EQ(json.member("merges").number_or(0), 4);
  EXPECT_EQ(json.member("vocab").number_or(0), 1 + 256 + 4);
  EXPECT_EQ(json.member("asked").number_or(0), 4096);
  EXPECT_EQ(json.member("tokens").number_or(0), 2 + 2);
  // Without special tokens named there is one, which ends texts.
  const Json shown = parse(program_.run({"tokenizer", "show", out, "--json"}));
  EXPECT_EQ(shown.member("special").items()[0].member("text").text_or(""), "<|endoftext|>");
  EXPECT_EQ(shown.member("eos").number_or(-1), 0);
  EXPECT_TRUE(shown.member("bos").is_null());
}

TEST_F(TokenizerTrainTest, FewerMergesThanAskedForAreSaid) {
  const Outcome learned =
      program_.run({"tokenizer", "train", program_.write("a.txt", "aa bb"), "--out", program_.file("tokenizer.json")});
  EXPECT_EQ(learned.status, 0) << learned.err;
  EXPECT_NE(learned.err.find("257 tokens: 1 special one, 256 bytes and 0 merges"), std::string::npos) << learned.err;
  EXPECT_NE(learned.err.find("fewer than the 4,096 asked for: no other pair"), std::string::npos) << learned.err;
  EXPECT_EQ(ids_of(program_.file("tokenizer.json"), "aa").size(), 2U);  // no merges at all can be read back too
}

TEST_F(TokenizerTrainTest, MistakesInUsageAreStatusTwo) {
  const std::string data = program_.write("a.txt", kText);
  const std::string out = program_.file("tokenizer.json");
  for (const auto& more : std::vector<std::vector<std::string>>{{"--vocab", "256"},  // and <|endoftext|>
                                                                {"--vocab", "0"},
                                                                {"--vocab", "2000000"},
                                                                {"--pre", "qwen99"},
                                                                {"--special", "a"},
                                                                {"--special", "<s>", "--special", "<s>"},
                                                                {"--special", "<s>", "--eos", "</s>"},
                                                                {"--bos", "<s>"},
                                                                {"--format", "novel"}}) {
    std::vector<std::string> words = {"tokenizer", "train", data, "--out", out};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 2) << more[0] << " " << more[1];
    EXPECT_NE(outcome.err, "");
  }
  EXPECT_EQ(program_.run({"tokenizer"}).status, 2);
  EXPECT_EQ(program_.run({"tokenizer", "train", data}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(TokenizerTrainTest, WhatFailsLeavesWhatWasThere) {
  const std::string data = program_.write("a.txt", kText);
  const std::string out = program_.write("tokenizer.json", "old");
  const std::string config = program_.write("tokenizer_config.json", "old");
  const std::string bad_template = program_.write("bad.jinja", "{% if %}");
  const auto fails = [&](const std::vector<std::string>& words, const std::string& why) {
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find(why), std::string::npos) << outcome.err;
  };
  fails({"tokenizer", "train", program_.file("none.txt"), "--out", out, "--force"}, "none.txt");
  fails({"tokenizer", "train", program_.write("empty.txt", "\n"), "--out", out, "--force"}, "empty.txt: it is empty");
  fails({"tokenizer", "train", program_.write("latin.txt", "caf\xe9"), "--out", out, "--force"}, "there is no text");
  fails({"tokenizer", "train", data, "--out", out, "--force", "--chat-template", bad_template}, "bad.jinja");
  fails({"tokenizer", "train", data, "--out", program_.file("no/tokenizer.json")}, "no/tokenizer.json");
  fails({"tokenizer", "train", data, "--out", program_.file("vocabulary.json")}, "ends in tokenizer.json");
  fails({"tokenizer", "show", out}, "tokenizer.json");
  EXPECT_EQ(whole_file(out), "old");
  EXPECT_EQ(whole_file(config), "old");
}

TEST_F(TokenizerTrainTest, OnlyForceReplacesWhatIsThere) {
  const std::string data = program_.write("a.txt", kText);
  const std::string out = program_.file("tokenizer.json"), config = program_.file("tokenizer_config.json");
  for (const auto& [there, other] : {std::pair(out, config), std::pair(config, out)}) {
    std::ofstream(there) << "old";
    const Outcome refused = program_.run({"tokenizer", "train", data, "--out", out});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find(there + ": it is there already; --force replaces it"), std::string::npos) << refused.err;
    EXPECT_EQ(whole_file(there), "old");
    EXPECT_FALSE(std::filesystem::exists(other));
    EXPECT_EQ(program_.run({"tokenizer", "train", data, "--out", program_.file("."), "--force"}).status, 0);
    EXPECT_EQ(program_.run({"tokenizer", "show", out}).status, 0);
    for (const std::string& file : {out, config}) std::filesystem::remove(file);
  }
}

// A reader of tokenizer.json by somebody else: GPT-2's encoder.py (openai/gpt-2, MIT) in C++, with the pattern of Qwen2
// written for ASCII, and nothing of the program's but its JSON parser.
class OtherReader {
 public:
  explicit OtherReader(const Json& json)
      : pattern_(R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]|)"
                 R"( ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") {
    for (const auto& [text, id] : json.member("model").member("vocab").members()) ids_[text] = id.as_int();
    for (const Json& merge : json.member("model").member("merges").items()) {
      const std::string& pair = merge.as_string();
      ranks_.emplace(std::pair(pair.substr(0, pair.find(' ')), pair.substr(pair.find(' ') + 1)), ranks_.size());
    }
  }

  std::vector<std::string> words(const std::string& text) const {
    std::vector<std::string> out;
    for (std::sregex_iterator it(text.begin(), text.end(), pattern_), end; it != end; ++it) out.push_back(it->str());
    return out;
  }

  const std::vector<int64_t>& encode_word(const std::string& word) {
    const auto [found, is_new] = cache_.try_emplace(word);
    if (!is_new) return found->second;
    std::vector<std::string> parts;
    for (const char c : word) parts.push_back(letter(static_cast<uint8_t>(c)));
    for (;;) {
      std::pair<std::string, std::string> best;
      size_t rank = ranks_.size();
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        const auto merge = ranks_.find({parts[i], parts[i + 1]});
        if (merge != ranks_.end() && merge->second < rank) std::tie(best, rank) = *merge;
      }
      if (rank == ranks_.size()) break;
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        if (parts[i] != best.first || parts[i + 1] != best.second) continue;
        parts[i] += parts[i + 1];
        parts.erase(parts.begin() + static_cast<ptrdiff_t>(i) + 1);
      }
    }
    for (const std::string& part : parts) found->second.push_back(ids_.at(part));
    return found->second;
  }

 private:
  // bytes_to_unicode() of ASCII.
  static std::string letter(uint8_t byte) {
    std::string out;
    append_utf8(out, byte > 32 && byte < 127 ? byte : byte == 127 ? 256U + 33U : 256U + byte);
    return out;
  }

  std::regex pattern_;
  std::map<std::string, int64_t> ids_;
  std::map<std::pair<std::string, std::string>, size_t> ranks_;
  std::map<std::string, std::vector<int64_t>> cache_;
};

TEST_F(TokenizerTrainTest, AnotherReaderFindsTheSameTokensInStories) {
  NEED_SHARED_DATA(kStories);
  const std::string out = program_.file("tokenizer.json");
  const Json report = parse(program_.run(chat_words(shared_data(kStories), out, {"--json"})));
  EXPECT_EQ(report.member("vocab").number_or(0), 4096);
  EXPECT_EQ(report.member("merges").number_or(0), 4096 - 256 - 6);

  std::string text = whole_file(shared_data(kStories)).substr(0, 300'000);
  std::erase_if(text, [](char c) { return static_cast<uint8_t>(c) >= 0x80; });  // its pattern knows ASCII alone
  OtherReader other(parse_json(whole_file(out), out).value());
  std::vector<int64_t> expected;
  std::map<std::string, int64_t> counts;
  for (const std::string& word : other.words(text)) {
    ++counts[word];
    const auto& ids = other.encode_word(word);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(ids_of(out, text), expected);

  // How many tokens there should be. No word takes less than one. Not more than these: were half the merges only steps
  // on the way, the other half would still make whole words of as many of the most frequent; and four tokens, of two
  // letters each, spell one of the others.
  std::vector<int64_t> sorted;
  int64_t words = 0;
  for (const auto& [word, count] : counts) {
    words += count;
    sorted.push_back(count);
  }
  std::sort(sorted.rbegin(), sorted.rend());
  int64_t most = 0;
  for (size_t i = 0; i < sorted.size(); ++i) most += sorted[i] * (i < (4096 - 262) / 2 ? 1 : 4);
  const auto tokens = static_cast<int64_t>(expected.size());
  EXPECT_GT(tokens, words);
  EXPECT_LT(tokens, most);
  // That is about 4 bytes a token: what English words and the space before each have.
  EXPECT_NEAR(report.member("bytes_per_token").number_or(0), 4.2, 0.2);
}

TEST_F(TokenizerTrainTest, AModelTakesItIntoItsGguf) {
  NEED_SHARED_DATA(kTinyStories);
  NEED_SHARED_DATA(kStories);
  const std::string folder = program_.file("model");
  std::filesystem::create_directory(folder);
  for (const char* name : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(shared_data(kTinyStories) + "/" + name, folder + "/" + name);
  }
  // As many tokens as the model's embedding has rows.
  const Outcome learned = program_.run(chat_words(shared_data(kStories), folder, {"--vocab", "2048"}));
  ASSERT_EQ(learned.status, 0) << learned.err;
  const std::string gguf = program_.file("model.gguf");
  const Outcome made = program_.run({"quantize", folder, gguf, "--type", "F16"});
  ASSERT_EQ(made.status, 0) << made.err;
  const Json shown = parse(program_.run({"tokenizer", "show", gguf, "--json"}));
  Json expected = parse(program_.run({"tokenizer", "show", folder + "/tokenizer.json", "--json"}));
  EXPECT_EQ(shown.dump(), expected.dump());
  EXPECT_EQ(shown.member("pre").text_or(""), "qwen2");
  const std::string text = "<|user|>once upon a time, 12 cats\n\n  sat\t\xff\xc3\xa9 by the fire!<|end|>";
  const std::vector<int64_t> ids = ids_of(folder + "/tokenizer.json", text, true);
  EXPECT_EQ(ids.front(), 0);
  EXPECT_EQ(ids[1], 3);
  EXPECT_EQ(ids.back(), 1);
  EXPECT_EQ(ids_of(gguf, text, true), ids);
  EXPECT_EQ(ids_of(folder, text, true), ids);
  EXPECT_EQ(program_.run({"run", gguf, "-p", "once", "-n", "3", "--greedy"}).status, 0);
}

}  // namespace
}  // namespace andiron
