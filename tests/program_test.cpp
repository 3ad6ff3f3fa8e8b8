// The whole program, run as people and scripts run it.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>
#include <sstream>
#include <thread>

#include "adapter/adapter.h"
#include "base/json.h"
#include "kernels/dispatch.h"
#include "program.h"

namespace andiron {
namespace {

const std::string kStories = "models/stories260K/stories260K.f32.gguf";
const std::string kFolder = "models/tinystories-656k";

// The one line of JSON that a command prints.
Json parse(const Outcome& outcome) {
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  auto json = parse_json(outcome.out, "output");
  EXPECT_TRUE(json.ok()) << (json.ok() ? "" : json.error().message) << "\n" << outcome.out;
  return json.ok() ? std::move(json).value() : Json();
}

void expect_members(const Json& json, std::initializer_list<const char*> names) {
  for (const char* name : names) EXPECT_NE(json.find(name), nullptr) << name << " in " << json.dump();
}

class ProgramTest : public ::testing::Test {
 protected:
  // A small random model, so that most tests need no data folder.
  std::string tiny(const std::string& type = "q4_0") {
    const std::string path = program_.file("tiny-" + type + ".gguf");
    const Outcome made = program_.run({"synth", "tiny", path, "--type", type});
    EXPECT_EQ(made.status, 0) << made.err;
    return path;
  }
  Program program_;
};

TEST_F(ProgramTest, WrongUsageIsStatusTwo) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {},
           {"no-such-command"},
           {"run"},
           {"run", "model", "--no-such-option"},
           {"run", "model", "-n", "many"},
           {"run", "model", "--isa", "sse9"},
           {"logits", "model"},
           {"--threads", "0", "doctor"},
           {"run", "model", "--temp", "-1"},
           {"run", "model", "--temp", "nan"},
           {"chat", "model", "--top-p", "1.5"},
           {"run", "model", "--top-k", "-2"},
           {"run", "model", "--logit-bias", "13"},
           {"run", "model", "--logit-bias", "13=much"},
           {"run", "model", "--logit-bias", "-1=0"},
           {"run", "model", "--seed", "-1"},
           {"run", "model", "--seed", "-9223372036854775809"},
           {"run", "model", "--seed", "0x10"},
           {"run", "model", "--seed", "1.5"},
           {"quantize", "model", "out", "--type", "Q9_Z"},
           {"synth", "llama-9", "out"},
           {"synth", "tiny", "out", "--type", "q9"},
           {"synth", "tiny", "out", "--seed", "-1"},
           {"logits", "model", "--tokens", "1 x", "--out", "out"},
           {"detokenize", "model", "-i", "1 -2"},
       }) {
    const Outcome outcome = program_.run(words);
    const std::string what = words.empty() ? "nothing" : words.back();
    EXPECT_EQ(outcome.status, 2) << what;
    EXPECT_NE(outcome.err, "") << what;
    EXPECT_EQ(outcome.out, "") << what;
  }
}

TEST_F(ProgramTest, FailureIsStatusOneAndNamesTheFile) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"run", "/no/such/model.gguf"},
           {"inspect", "/no/such/model.gguf"},
           {"tokenize", "/no/such/model.gguf", "-p", "x"},
           {"bench", "/no/such/model.gguf"},
           {"quantize", "/no/such/model.gguf", program_.file("o"), "--type", "Q8_0"}}) {
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find("/no/such/model.gguf"), std::string::npos) << outcome.err;
  }
}

TEST_F(ProgramTest, HelpAndVersionAreNoMistakes) {
  EXPECT_NE(program_.run({"--help"}).out.find("Examples:"), std::string::npos);
  EXPECT_EQ(program_.run({"--help"}).status, 0);
  EXPECT_EQ(program_.run({"run", "--help"}).status, 0);
  EXPECT_EQ(program_.run({"--version"}).out.substr(0, 8), "andiron ");
}

// The commands that the help text of the program lists.
std::vector<std::string> commands(const std::string& help) {
  std::vector<std::string> names;
  std::istringstream lines(help.substr(help.find("Subcommands:\n")));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.starts_with("  ")) names.push_back(line.substr(2, line.find(' ', 2) - 2));
  return names;
}

TEST_F(ProgramTest, HelpOfACommandHasExamplesAndTheOptionsOfEveryCommand) {
  const std::string all = program_.run({"help"}).out;
  EXPECT_EQ(all, program_.run({"--help"}).out);
  EXPECT_EQ(all, program_.run({}).err) << "without a command, on standard error";
  const auto names = commands(all);
  ASSERT_GE(names.size(), 15U) << all;
  for (const std::string& name : names) {
    const Outcome help = program_.run({"help", name});
    EXPECT_EQ(help.status, 0) << name;
    EXPECT_NE(help.out.find("Usage: andiron " + name), std::string::npos) << help.out;
    EXPECT_EQ(help.out, program_.run({name, "--help"}).out);
    for (const char* option : {"--isa", "--threads", "--kv", "--ctx", "--no-cache", "--quiet"}) {
      EXPECT_NE(help.out.find(option), std::string::npos) << name << " " << option;
    }
    EXPECT_NE(help.out.find("Examples:\n  andiron " + name), std::string::npos) << help.out;
  }
  EXPECT_EQ(program_.run({"help", "no-such-command"}).status, 2);
}

// The names of long options in a help text.
std::set<std::string> long_options(const std::string& help) {
  std::set<std::string> options;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("--");
    if (!line.starts_with("  -") || at == std::string::npos || at > 6) continue;
    options.insert(line.substr(at, line.find_first_of(" ,:", at) - at));
  }
  return options;
}

TEST_F(ProgramTest, TheManualAndTheCompletionsKnowEveryOption) {
  const std::string root = ANDIRON_SOURCE_DIR;
  std::string manual = whole_file(root + "/doc/andiron.1");
  manual.erase(std::remove(manual.begin(), manual.end(), '\\'), manual.end());  // \- is a plain hyphen
  const std::string bash = whole_file(root + "/completions/andiron.bash");
  const std::string zsh = whole_file(root + "/completions/_andiron");
  const std::string fish = whole_file(root + "/completions/andiron.fish");
  auto names = commands(program_.run({"--help"}).out);
  for (const std::string& verb : commands(program_.run({"help", "adapters"}).out)) names.push_back("adapters " + verb);
  names.emplace_back("");  // the program itself
  for (const std::string& command : names) {
    EXPECT_NE(manual.find("andiron " + command), std::string::npos) << command;
    std::vector<std::string> words = {"help"};
    std::istringstream parts(command);
    for (std::string word; parts >> word;) {
      words.push_back(word);
      for (const std::string* completions : {&bash, &zsh, &fish}) {
        EXPECT_NE(completions->find(word), std::string::npos) << command;
      }
    }
    const auto options = long_options(program_.run(words).out);
    EXPECT_FALSE(options.empty()) << command;
    for (const std::string& option : options) {
      EXPECT_NE(manual.find(option), std::string::npos) << command << " " << option;
      EXPECT_NE(bash.find(option), std::string::npos) << command << " " << option;
      EXPECT_NE(zsh.find(option), std::string::npos) << command << " " << option;
      EXPECT_NE(fish.find("-l " + option.substr(2)), std::string::npos) << command << " " << option;
    }
  }
}

TEST_F(ProgramTest, NumbersAreDecimal) {
  EXPECT_EQ(parse(program_.run({"run", tiny(), "-n", "1", "--seed", "010", "--json"})).find("seed")->as_int(), 10);
}

TEST_F(ProgramTest, AnInstructionSetThatTheMachineLacksIsWrongUsage) {
  const std::string model = tiny();
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAmx}) {
    const auto& have = available_isas();
    const bool available = std::find(have.begin(), have.end(), isa) != have.end();
    const std::string name(isa_name(isa));
    const Outcome outcome = program_.run({"--isa", name, "run", model, "-n", "1"});
    EXPECT_EQ(outcome.status, available ? 0 : 2) << name << ": " << outcome.err;
    EXPECT_TRUE(available || outcome.err.find(name) != std::string::npos) << outcome.err;
  }
}

TEST_F(ProgramTest, TellsTheExpectedStory) {
  NEED_SHARED_DATA(kStories);
  const std::string expected = whole_file(shared_data("models/stories260K/expected_greedy_200.txt"));
  for (const Isa isa : available_isas()) {
    const Outcome outcome =
        program_.run({"run", shared_data(kStories), "--greedy", "-n", "200", "--isa", std::string(isa_name(isa))});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out, expected) << isa_name(isa);
    EXPECT_EQ(outcome.err, "") << "nothing to say";
  }
  for (const auto& more : std::vector<std::vector<std::string>>{
           {"--threads", "1"}, {"--threads", "3"}, {"--lookup"}, {"--no-cache"}, {"--draft", shared_data(kStories)}}) {
    std::vector<std::string> words = {"run", shared_data(kStories), "--greedy", "-n", "200"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(program_.run(words).out, expected) << more[0];
  }
}

TEST_F(ProgramTest, ReadsAHuggingFaceFolder) {
  NEED_SHARED_DATA(kFolder);
  const std::string gguf = program_.file("f32.gguf");
  const Outcome made = program_.run({"quantize", shared_data(kFolder), gguf, "--type", "F32"});
  ASSERT_EQ(made.status, 0) << made.err;
  const std::vector<std::string> rest = {"-p", "<|start_story|>Once upon a time", "--greedy", "-n", "60"};
  std::vector<std::string> from_folder = {"run", shared_data(kFolder)}, from_file = {"run", gguf};
  from_folder.insert(from_folder.end(), rest.begin(), rest.end());
  from_file.insert(from_file.end(), rest.begin(), rest.end());
  const Outcome story = program_.run(from_folder);
  EXPECT_EQ(story.status, 0) << story.err;
  EXPECT_GT(story.out.size(), 100U);
  EXPECT_EQ(program_.run(from_file).out, story.out);
}

TEST_F(ProgramTest, RunPrintsTheNamesThatScriptsRelyOn) {
  const Json json = parse(program_.run(
      {"run", tiny(), "-p", "ba be", "-n", "5", "--ignore-end", "--json", "--logprobs", "2", "--seed", "7"}));
  expect_members(json, {"text", "ids", "finish_reason", "timings", "seed", "logprobs"});
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json.find("ids")->items().size(), 5U);
  EXPECT_EQ(json.find("finish_reason")->as_string(), "length");
  EXPECT_EQ(json.find("seed")->as_int(), 7);
  EXPECT_EQ(json.find("logprobs")->items().size(), 5U);
  expect_members(*json.find("timings"), {"prompt_tokens", "prefill_ms", "first_token_ms", "generated_tokens",
                                         "decode_ms", "decode_tokens_per_s", "load_ms"});
}

TEST_F(ProgramTest, APromptThatDoesNotFitIsRefusedWithTheNumbers) {
  std::string prompt;
  for (int i = 0; i < 100; ++i) prompt += "ba be bi ";
  const Outcome outcome = program_.run({"run", tiny(), "-p", prompt, "--ctx", "64"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("64"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("does not fit"), std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, CtrlCEndsWithStatus130) {
  const pid_t process = program_.start({"run", tiny("f32"), "--ctx", "1000000", "--ignore-end", "--greedy", "-q"});
  // Until it writes, it is loading; then it would go on for hours.
  for (int i = 0; i < 3000 && program_.text("stdout").empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  kill(process, SIGINT);
  const Outcome outcome = program_.wait(process);
  EXPECT_EQ(outcome.status, 130);
  EXPECT_NE(outcome.out, "") << "what had been said stays";
}

TEST_F(ProgramTest, TokenizesAndBack) {
  const std::string vocabulary = "tokenizers/vocab/ggml-vocab-llama-spm.gguf";
  NEED_SHARED_DATA(vocabulary);
  const std::string text = "Hello  world!\n\n\t\xF0\x9F\x98\x80 </s> caf\xC3\xA9";
  const std::string file = program_.write("text", text);
  const Json json =
      parse(program_.run({"tokenize", shared_data(vocabulary), "--file", file, "--no-special", "--json"}));
  expect_members(json, {"ids", "pieces"});
  std::string ids;
  for (const Json& id : json.find("ids")->items()) ids += std::to_string(id.as_int()) + " ";
  for (const auto& words : std::vector<std::vector<std::string>>{{"-i", ids}, {"--file", program_.write("ids", ids)}}) {
    std::vector<std::string> arguments = {"detokenize", shared_data(vocabulary), "--json"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const Json back = parse(program_.run(arguments));
    EXPECT_EQ(back.find("text")->as_string(), text);
  }
  EXPECT_EQ(program_.run({"detokenize", shared_data(vocabulary)}, ids).out, text) << "from standard input";
  EXPECT_EQ(program_.run({"detokenize", shared_data(vocabulary), "-i", "1 99999999"}).status, 1);
}

TEST_F(ProgramTest, DetokenizesWhatTokenizePrints) {
  const std::string model = tiny();
  const std::string text = "Once upon a time, \"5\"\n7 {8}";
  for (const bool json : {false, true}) {
    std::vector<std::string> words = {"tokenize", model};
    if (json) words.push_back("--json");
    const Outcome ids = program_.run(words, text);
    ASSERT_EQ(ids.status, 0) << ids.err;
    for (const auto& from : std::vector<std::vector<std::string>>{{}, {"-f", "-"}}) {
      words = {"detokenize", model};
      words.insert(words.end(), from.begin(), from.end());
      EXPECT_EQ(program_.run(words, ids.out).out, text);
      words.push_back("--show-special");
      const std::string shown = program_.run(words, ids.out).out;
      EXPECT_NE(shown, text) << "the begin token is there";
      EXPECT_TRUE(shown.ends_with(text)) << shown;
    }
  }
  const Outcome wrong = program_.run({"detokenize", model}, "1 x");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_NE(wrong.err.find("standard input"), std::string::npos) << wrong.err;
}

TEST_F(ProgramTest, LogitsAgreeWithTheGreedyAnswer) {
  const std::string model = tiny("f32"), out = program_.file("logits");
  const Json run = parse(program_.run({"run", model, "--greedy", "-n", "1", "--json"}));
  const Outcome outcome = program_.run({"logits", model, "--tokens", "1, 5 7", "--out", out});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto bytes = read_bytes(out);
  ASSERT_EQ(bytes.size(), 3U * 512U * 4U);
  std::vector<float> row(512);
  std::memcpy(row.data(), bytes.data(), 512 * 4);  // after the token 1, bos
  const auto best = std::max_element(row.begin(), row.end()) - row.begin();
  EXPECT_EQ(run.find("ids")->items().at(0).as_int(), best);
  EXPECT_EQ(program_.run({"logits", model, "--tokens", "512", "--out", out}).status, 1) << "outside the vocabulary";
  EXPECT_EQ(program_.run({"logits", model, "--tokens", "", "--out", out}).status, 1);
}

TEST_F(ProgramTest, MeasuresPerplexityAndTheDistanceFromABase) {
  NEED_SHARED_DATA(kFolder);
  NEED_SHARED_DATA("text/tinystories.txt");
  const std::string base = shared_data(kFolder);
  const std::string text = program_.write("text", whole_file(shared_data("text/tinystories.txt")).substr(0, 20000));
  const auto measure = [&](const std::string& model) {
    return parse(program_.run({"ppl", model, "--base", base, "--file", text, "--windows", "3", "--json"}));
  };
  const Json same = measure(base);
  expect_members(same, {"perplexity", "kl_mean", "same_top"});
  ASSERT_TRUE(same.is_object());
  EXPECT_EQ(same.find("kl_mean")->as_double(), 0);
  EXPECT_EQ(same.find("same_top")->as_double(), 1);
  const double perplexity = same.find("perplexity")->as_double();
  // The smaller the format, the farther; even the smallest stays a story teller.
  const std::string importance = program_.file("im.gguf");
  ASSERT_EQ(program_.run({"imatrix", base, "--file", text, "--windows", "3", "--out", importance}).status, 0);
  struct Case {
    const char* type;
    double kl_max;
  };
  for (const Case& c : {Case{"Q8_0", 0.003}, Case{"Q5_1", 0.03}, Case{"Q4_0", 0.12}, Case{"Q2_K", 0.12}}) {
    const std::string out = program_.file("quantised.gguf");
    const Outcome made = program_.run({"quantize", base, out, "--type", c.type, "--imatrix", importance});
    ASSERT_EQ(made.status, 0) << made.err;
    const Json near = measure(out);
    ASSERT_TRUE(near.is_object());
    EXPECT_LT(near.find("kl_mean")->as_double(), c.kl_max) << c.type;
    EXPECT_LT(near.find("perplexity")->as_double(), 1.3 * perplexity) << c.type;
  }
}

TEST_F(ProgramTest, SaysWhichRowsDidNotFit) {
  NEED_SHARED_DATA(kFolder);
  const std::string out = program_.file("out.gguf");
  const Outcome made = program_.run({"quantize", shared_data(kFolder), out, "--type", "q4_k_m"});
  EXPECT_EQ(made.status, 0);
  EXPECT_NE(made.err.find("do not fit Q4_K"), std::string::npos) << made.err;
  EXPECT_NE(made.err.find("not one tensor became Q4_K"), std::string::npos) << made.err;
  EXPECT_EQ(std::count(made.err.begin(), made.err.end(), '\n'), 3) << "two notes and the result\n" << made.err;
  EXPECT_NE(made.err.find("MiB"), std::string::npos) << made.err;
  const Outcome wrong = program_.run({"quantize", shared_data(kFolder), out, "--type", "q9"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_NE(wrong.err.find("Q4_K_M"), std::string::npos) << wrong.err;
}

TEST_F(ProgramTest, PureQuantisingGivesEveryMatrixTheOneFormat) {
  const std::string source = tiny("f32"), out = program_.file("out.gguf");
  const auto formats = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"quantize", source, out, "--type", "q4_k_m"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(program_.run(words).status, 0);
    std::set<std::string> names;
    const Json json = parse(program_.run({"inspect", out, "--json"}));
    for (const Json& format : json.find("formats")->items()) names.insert(format.find("format")->as_string());
    return names;
  };
  EXPECT_EQ(formats({"--pure"}), (std::set<std::string>{"F32", "Q4_K"})) << "norms stay F32";
  EXPECT_EQ(formats({}), (std::set<std::string>{"F32", "Q4_K", "Q6_K"}));
}

TEST_F(ProgramTest, AFileWithoutTensorsCannotBeQuantised) {
  const std::string vocabulary = "tokenizers/vocab/ggml-vocab-llama-spm.gguf";
  NEED_SHARED_DATA(vocabulary);
  const std::string out = program_.file("out.gguf");
  const Outcome outcome = program_.run({"quantize", shared_data(vocabulary), out, "--type", "q8_0"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.err.find("no tensors"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(ProgramTest, ATruncatedModelIsAnErrorThatNamesIt) {
  const std::string model = tiny();
  const auto whole = std::filesystem::file_size(model);
  for (const double share : {0.001, 0.3, 0.9, 0.999}) {
    const std::string cut = program_.file("cut.gguf");
    std::filesystem::copy_file(model, cut, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(cut, static_cast<uintmax_t>(share * static_cast<double>(whole)));
    for (const char* command : {"run", "inspect", "tokenize"}) {
      const Outcome outcome = program_.run({command, cut, "-q"});
      EXPECT_EQ(outcome.status, 1) << command << " " << share;
      EXPECT_NE(outcome.err.find(cut), std::string::npos) << outcome.err;
    }
  }
}

TEST_F(ProgramTest, InspectsAModel) {
  const std::string model = tiny("q4_k_m");
  const Outcome text = program_.run({"inspect", model, "--tensors"});
  EXPECT_EQ(text.status, 0) << text.err;
  for (const char* part : {"llama", "Q4_K", "Q6_K", "token_embd.weight", "template", "memory", "licence"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part;
  }
  expect_members(parse(program_.run({"inspect", model, "--json"})),
                 {"architecture", "parameters", "formats", "vocabulary", "chat_template", "license", "memory",
                  "expected_tokens_per_s"});
}

TEST_F(ProgramTest, BenchesAModelBesideTheMachine) {
  const Json json = parse(program_.run({"bench", tiny(), "--pp", "16", "--tg", "4", "--reps", "1", "--json", "-q"}));
  expect_members(json, {"prefill_tokens_per_s", "decode_tokens_per_s", "limits", "shares", "isa", "threads"});
  ASSERT_TRUE(json.is_object());
  expect_members(*json.find("limits"), {"read_gb_per_s", "int8_gop_per_s", "bf16_gflop_per_s", "f32_gflop_per_s"});
  EXPECT_GT(json.find("decode_tokens_per_s")->as_double(), 0);
  expect_members(json, {"weight_bytes", "file_type", "bytes_per_token", "read_buffer_bytes"});
  EXPECT_LT(json.find("read_buffer_bytes")->as_int(), 64 << 20) << "a small model is held against a small buffer";
  const std::string text = program_.run({"bench", tiny(), "--pp", "8", "--tg", "2", "--reps", "1", "-t", "1"}).out;
  EXPECT_TRUE(text.starts_with("tiny-q4_0.gguf: llama Q4_0, ")) << text;
  EXPECT_NE(text.find(" of weights, 1 thread\n"), std::string::npos) << text;
  expect_members(parse(program_.run({"doctor", "--json"})), {"cpu", "isas", "isa", "memory_bytes", "limits"});
}

TEST_F(ProgramTest, ListsAndClearsItsCache) {
  const Json before = parse(program_.run({"cache", "--json"}));
  expect_members(before, {"folder", "entries"});
  ASSERT_TRUE(before.is_object());
  EXPECT_TRUE(before.find("entries")->items().empty());
  EXPECT_EQ(program_.run({"cache", "list"}).status, 0);
  expect_members(parse(program_.run({"cache", "clear", "--json"})), {"freed_bytes"});
  EXPECT_EQ(program_.run({"cache", "--no-cache"}).status, 1);
}

// A chat model: tinystories with a template of its own.
class ChatTest : public ProgramTest {
 protected:
  std::string chat_model() {
    const std::string folder = program_.file("chat-model");
    std::filesystem::create_directories(folder);
    for (const auto& entry : std::filesystem::directory_iterator(shared_data(kFolder))) {
      std::filesystem::copy_file(entry.path(), folder + "/" + entry.path().filename().string(),
                                 std::filesystem::copy_options::overwrite_existing);
    }
    program_.write("chat-model/chat_template.jinja",
                   "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
                   "{% if add_generation_prompt %}[assistant] {% endif %}");
    return folder;
  }
};

TEST_F(ChatTest, PrintsThePromptAsTheModelWillSeeIt) {
  NEED_SHARED_DATA(kFolder);
  const std::string model = chat_model();
  const std::string messages =
      program_.write("m.json", R"([{"role":"user","content":"Say <|end_story|> <|start_story|>"}])");
  const Outcome text = program_.run({"template", model, "--messages", messages});
  EXPECT_EQ(text.out, "<|start_story|>[user] Say <|end_story|> <|start_story|>\n[assistant] ") << text.err;
  const Json json = parse(program_.run({"template", model, "--messages", messages, "--json"}));
  expect_members(json, {"text", "segments", "ids"});
  ASSERT_TRUE(json.is_object());
  int special = 0;
  for (const Json& id : json.find("ids")->items()) special += id.as_int() == 1 || id.as_int() == 2;
  EXPECT_EQ(special, 1) << "only the template's own bos; what the user spelt is text";
  EXPECT_EQ(program_.run({"template", shared_data(kFolder), "--messages", messages}).status, 1) << "a base model";
}

TEST_F(ChatTest, TakesATemplateFromAFile) {
  NEED_SHARED_DATA(kFolder);
  const std::string base = shared_data(kFolder);
  const std::string messages = program_.write("m.json", R"([{"role":"user","content":"Hello <|mark|>"}])");
  const std::string own = program_.write("own.jinja", "{% for m in messages %}({{ m.content }}){% endfor %}");
  EXPECT_EQ(program_.run({"template", base, "--messages", messages, "--template", own}).out, "(Hello <|mark|>)");
  EXPECT_EQ(program_.run({"template", chat_model(), "--messages", messages, "--template", own}).out,
            "(Hello <|mark|>)");
  EXPECT_EQ(program_.run({"run", base, "--chat", "--template", own, "-p", "Hi", "-n", "1"}).status, 0);
  EXPECT_EQ(program_.run({"chat", base, "--template", own, "-n", "1"}, "Hi\n").status, 0);
  for (const char* text : {"{% if %}", " \n"}) {
    const std::string broken = program_.write("broken.jinja", text);
    const Outcome outcome = program_.run({"template", base, "--messages", messages, "--template", broken});
    EXPECT_EQ(outcome.status, 1);
    EXPECT_NE(outcome.err.find(broken), std::string::npos) << outcome.err;
  }
  // Without one the message says what to type.
  const Outcome none = program_.run({"run", base, "--chat", "-p", "Hi"});
  EXPECT_NE(none.err.find("andiron run " + base + " -p"), std::string::npos) << none.err;
  EXPECT_NE(none.err.find("--template FILE"), std::string::npos) << none.err;
}

TEST_F(ChatTest, AnswersOnePromptAsAMessage) {
  NEED_SHARED_DATA(kFolder);
  const Json json = parse(program_.run(
      {"run", chat_model(), "--chat", "--system", "Be kind.", "-p", "Hello", "-n", "4", "--seed", "1", "--json"}));
  expect_members(json, {"text", "ids"});
  EXPECT_EQ(program_.run({"run", shared_data(kFolder), "--chat", "-p", "Hello"}).status, 1) << "a base model";
}

TEST_F(ChatTest, HoldsAConversation) {
  NEED_SHARED_DATA(kFolder);
  const std::string saved = program_.file("saved.json");
  const Outcome outcome = program_.run({"chat", chat_model(), "-n", "6", "--seed", "3"},
                                       "Once upon a time\n"
                                       "\"\"\"two\nlines\"\"\"\n"
                                       "and \\\none more\n"
                                       "/regen\n/stats\n/system Be brief.\n"
                                       "/save " +
                                           saved +
                                           "\n"
                                           "/nonsense\n/help\n/exit\nnever read\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  for (const char* part : {" of 512 tokens", "/nonsense is not a command", "system: Be brief.", "/regen"}) {
    EXPECT_NE(outcome.err.find(part), std::string::npos) << part << "\n" << outcome.err;
  }
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto& messages = json->find("messages")->items();
  ASSERT_EQ(messages.size(), 7U) << "a system message, three questions, three answers";
  EXPECT_EQ(messages[0].find("content")->as_string(), "Be brief.");
  EXPECT_EQ(messages[3].find("content")->as_string(), "two\nlines");
  EXPECT_EQ(messages[5].find("content")->as_string(), "and \none more");
  EXPECT_EQ(std::filesystem::status(saved).permissions(), std::filesystem::perms(0600)) << "a chat is private";

  const Outcome loaded = program_.run({"chat", chat_model(), "--load", saved, "-n", "6", "--seed", "3"},
                                      "/edit Another question\n/clear\n/regen\n");
  EXPECT_EQ(loaded.status, 0) << loaded.err;
  EXPECT_NE(loaded.err.find("7 messages read"), std::string::npos) << loaded.err;
  EXPECT_NE(loaded.err.find("There is no message yet."), std::string::npos) << loaded.err;
}

TEST_F(ChatTest, ABaseModelContinuesWhatIsTyped) {
  NEED_SHARED_DATA(kFolder);
  const std::string saved = program_.file("saved.json");
  const std::vector<std::string> words = {"chat", shared_data(kFolder), "-n", "12", "--greedy"};
  const Outcome outcome = program_.run(words, "Once upon a time\n\nThe end\n/save " + saved + "\n");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("no chat template"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("Enter goes on"), std::string::npos) << outcome.err;
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message;
  const auto& messages = json->find("messages")->items();
  ASSERT_EQ(messages.size(), 5U) << "a text, its continuation, more of it; a line, its continuation";
  const auto text = [&](size_t i) { return messages[i].find("content")->as_string(); };
  const auto plain = [&](const std::string& prompt) {
    return parse(program_.run({"run", shared_data(kFolder), "-n", "12", "--greedy", "--json", "-p", prompt}))
        .find("text")
        ->as_string();
  };
  EXPECT_EQ(text(1), plain(text(0)));
  EXPECT_EQ(text(2), plain(text(0) + text(1)));
  EXPECT_EQ(text(4), plain(text(0) + text(1) + text(2) + "\nThe end"));
}

// What `learn` shows a base model is what it is then asked: the prompts here are written out.
TEST_F(ChatTest, ABaseModelWithAnAdapterIsAskedAsItWasTrained) {
  NEED_SHARED_DATA(kFolder);
  Adapter adapter;
  adapter.architecture = "llama";
  adapter.rank = 1;
  adapter.alpha = 1;
  AdapterMatrix& m = adapter.matrices.emplace_back();
  m.layer = "blk.1.ffn_down";
  m.n = 128, m.k = 384, m.r = 1, m.alpha = 1;
  for (int i = 0; i < 384; ++i) m.a.push_back(i % 7 == 0 ? 1.0F : -0.1F);
  for (int i = 0; i < 128; ++i) m.b.push_back(i % 5 == 0 ? 0.5F : -0.1F);
  const std::string worn = program_.file("adapter.gguf"), saved = program_.file("saved.json");
  ASSERT_TRUE(write_gguf_adapter(adapter, worn).ok());
  const std::string model = shared_data(kFolder);
  const std::vector<std::string> rest = {"-n", "6", "--greedy", "--adapter", worn};
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), rest.begin(), rest.end());
    return program_.run(words);
  };
  const std::string prompt = "### User\nOnce upon a time\n\n### Assistant\n";
  std::string expected = parse(run({"run", model, "--json", "-p", prompt})).member("text").as_string();
  if (expected.starts_with(' ')) expected.erase(0, 1);
  const std::vector<std::string> words = {"run", model, "-n", "6", "--greedy", "--json", "-p", prompt};
  ASSERT_NE(parse(program_.run(words)).member("text").as_string(), expected) << "the adapter does something";

  const Outcome chat = program_.run({"chat", model, "-n", "6", "--greedy", "--adapter", worn},
                                    "Once upon a time\n/adapter none\nThe end\n/save " + saved + "\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  const auto json = parse_json(whole_file(saved), saved);
  ASSERT_TRUE(json.ok()) << json.error().message << chat.err;
  const auto& messages = json->member("messages").items();
  ASSERT_EQ(messages.size(), 4U) << chat.err;
  EXPECT_EQ(messages[1].member("content").as_string(), expected);
  EXPECT_EQ(run({"run", model, "--chat", "-p", "Once upon a time"}).out, expected);

  const std::string text = "Once upon a time" + expected + "\nThe end";
  const Json plain = parse(program_.run({"run", model, "-n", "6", "--greedy", "--json", "-p", text}));
  EXPECT_EQ(messages[3].member("content").as_string(), plain.member("text").as_string()) << "bare again, it goes on";
}

TEST_F(ChatTest, AFullContextNamesTheDropThatMakesRoom) {
  NEED_SHARED_DATA(kFolder);
  std::string words, talk;
  for (int i = 0; i < 12; ++i) words += "once upon a time ";
  for (int i = 0; i < 12; ++i) talk += words + "\n";
  const std::string model = chat_model();
  const Outcome full = program_.run({"chat", model, "-n", "4", "--seed", "1"}, talk);
  const size_t advice = full.err.find("does not fit: the context holds 512. /drop ");
  ASSERT_NE(advice, std::string::npos) << full.err;
  const std::string drop = full.err.substr(full.err.find("/drop", advice), 7);
  EXPECT_NE(full.err.find(drop + " forgets the oldest " + drop.substr(6) + " of "), std::string::npos) << full.err;
  // What it says is true: after it the next message of the same size is answered.
  const auto answers = [](const std::string& err) {
    size_t count = 0;
    for (size_t at = err.find(" of 512 tokens, "); at != std::string::npos; at = err.find(" of 512 tokens, ", at + 1))
      ++count;
    return count;
  };
  const Outcome freed =
      program_.run({"chat", model, "-n", "4", "--seed", "1"}, talk + drop + "\n" + words + "\n/drop x\n");
  EXPECT_EQ(answers(freed.err), answers(full.err) + 1) << freed.err;
  EXPECT_NE(freed.err.find(" exchanges forgotten]"), std::string::npos) << freed.err;
  EXPECT_NE(freed.err.find("/drop x: expected"), std::string::npos) << freed.err;
}

TEST_F(ChatTest, AMessageThatDoesNotFitIsRefusedAndTheChatGoesOn) {
  NEED_SHARED_DATA(kFolder);
  std::string words;
  for (int i = 0; i < 200; ++i) words += "once upon a time ";
  const Outcome outcome = program_.run({"chat", chat_model(), "-n", "4"}, words + "\nHello\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_NE(outcome.err.find("does not fit: the context holds 512"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" of 512 tokens, "), std::string::npos) << "the second message is answered";
}

}  // namespace
}  // namespace andiron
