// The whole program, run as people and scripts run it.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

#include "kernels/dispatch.h"
#include "program.h"

namespace andiron {
namespace {

const std::string kStories = "models/stories260K/stories260K.f32.gguf";

class ProgramTest : public ::testing::Test {
 protected:
  // A small random model, so that most tests need no data folder.
  std::string tiny(const std::string& type = "q4_0") {
    const std::string path = program_.file("tiny-" + type + ".gguf");
    const Outcome made = program_.run({"synth", "tiny", path, "--type", type});
    EXPECT_EQ(made.status, 0) << made.err;
    return path;
  }
  // What a shell is told that the last word may be.
  std::set<std::string> completions_of(const std::vector<std::string>& words) {
    std::istringstream lines(program_.run(words).out);
    std::set<std::string> all;
    for (std::string line; std::getline(lines, line);) all.insert(line);
    return all;
  }

  Program program_;
};

TEST_F(ProgramTest, WrongUsageIsStatusTwo) {
  for (const auto& words : std::vector<std::vector<std::string>>{
           {},
           {"no-such-command"},
           {"ppl"},
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

// As it is installed: bin/andiron, share/andiron/ember.gguf.
TEST_F(ProgramTest, EmberIsTheModelWhereNoneIsGiven) {
  program_.move_to("prefix/bin");
  const std::string rows = program_.write("rows.jsonl", R"({"prompt": "ba", "completion": "be"})");
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"run", "-p", "x"},
                                             {"chat"},
                                             {"inspect", "ember"},
                                             {"learn", program_.write("about-me.md", "My dog is old.")},
                                             {"eval", "--data", rows},
                                             {"serve", "--port", "0", "--no-store"},
                                             {"serve", "--systemd"}}) {
    const Outcome none = program_.run(words);
    EXPECT_EQ(none.status, 1) << words.front();
    EXPECT_NE(none.err.find("ember, the model that andiron brings, is not there"), std::string::npos) << none.err;
    EXPECT_NE(none.err.find("prefix/share/andiron/ember.gguf"), std::string::npos) << none.err;
  }
  std::filesystem::create_directories(program_.file("prefix/share/andiron"));
  ASSERT_EQ(program_.run({"synth", "tiny", program_.file("prefix/share/andiron/ember.gguf")}).status, 0);
  EXPECT_EQ(program_.run({"run", "-p", "ba", "-n", "2"}).status, 0);
  EXPECT_EQ(program_.run({"chat", "-n", "2"}, "ba\n").status, 0);
  for (const auto& words : {std::vector<std::string>{"inspect"}, {"inspect", "ember"}}) {
    EXPECT_NE(program_.run(words).out.find("prefix/share/andiron/ember.gguf"), std::string::npos);
  }
  const Outcome learned = program_.run({"learn", program_.file("about-me.md"), "--steps", "1"});
  EXPECT_NE(learned.out.find("andiron run ember --adapter about-me -p TEXT"), std::string::npos) << learned.err;
  EXPECT_EQ(parse(program_.run({"eval", "--data", rows, "--json"})).member("model").text_or(""), "ember");
  // That it serves it: serve_test.cpp.
  const Outcome unit = program_.run({"serve", "--systemd"});
  EXPECT_NE(unit.out.find("prefix/share/andiron/ember.gguf\""), std::string::npos) << unit.out << unit.err;
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
}

TEST_F(ProgramTest, NamesTheCommandThatMayHaveBeenMeant) {
  const auto mistake = [&](const std::vector<std::string>& words) {
    const Outcome outcome = program_.run(words);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_LT(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 6) << "short";
    return outcome.err;
  };
  EXPECT_TRUE(mistake({}).starts_with("andiron: expected a command, such as\n  andiron run MODEL -p TEXT "));
  EXPECT_EQ(mistake({"-q"}), mistake({}));
  EXPECT_EQ(mistake({"lern", "model", "data", "--as", "me"}),
            "andiron: there is no command \"lern\"; did you mean \"learn\"? andiron help lists them all\n");
  EXPECT_EQ(mistake({"zzzzzz"}), "andiron: there is no command \"zzzzzz\"; andiron help lists them all\n");
  EXPECT_EQ(mistake({"adapters", "shwo", "me"}),
            "andiron adapters: there is no command \"shwo\"; did you mean \"show\"? andiron help adapters lists them "
            "all\n");
  EXPECT_TRUE(mistake({"help", "chta"}).starts_with("andiron: there is no command \"chta\"; did you mean \"chat\"?"));
  EXPECT_TRUE(mistake({"--no-such"}).starts_with("andiron: there is no option \"--no-such\", and no command"));
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

TEST_F(ProgramTest, OffersToTheShellWhatMayStandThere) {
  using Names = std::set<std::string>;
  EXPECT_EQ(completions_of({"complete", "adapters", ""}),
            (Names{"list", "show", "diff", "merge", "export", "import", "remove"}));
  EXPECT_TRUE(completions_of({"complete", "le"}).contains("learn"));
  EXPECT_TRUE(completions_of({"complete", "help", ""}).contains("learn"));
  EXPECT_EQ(completions_of({"complete", "learn", "m", "d", "--method", ""}), (Names{"lora", "rslora", "dora", "full"}));
  EXPECT_EQ(completions_of({"complete", "adapters", "merge", "--method", "t"}),
            (Names{"linear", "cat", "ties", "dare", "dare-ties", "svd"}));
  EXPECT_TRUE(completions_of({"complete", "quantize", "in", "out", "--type", ""}).contains("Q4_K_M"));
  EXPECT_TRUE(completions_of({"complete", "chat", "m", "--isa", ""}).contains("avx2"));
  EXPECT_EQ(completions_of({"complete", "run", "m", "-p", ""}), Names{}) << "anything";
  std::filesystem::create_directories(program_.file("data/andiron/adapters/me"));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"run", "m", "--adapter", ""},
                                                                                     {"adapters", "show", ""},
                                                                                     {"adapters", "diff", "m", ""},
                                                                                     {"adapters", "remove", "m"},
                                                                                     {"adapters", "export", "me", ""},
                                                                                     {"plot", ""}}) {
    std::vector<std::string> all = {"complete"};
    all.insert(all.end(), words.begin(), words.end());
    EXPECT_EQ(completions_of(all), Names{"me"}) << words[0];
  }
  // What is offered is taken.
  for (const std::string& metric : completions_of({"complete", "eval", "m", "--metric", ""})) {
    EXPECT_EQ(program_.run({"eval", "/no/such", "--data", "/no/such", "--metric", metric}).status, 1) << metric;
  }
  for (const char* option : {"--method", "--loss", "--schedule", "--checkpointing", "--format"}) {
    for (const std::string& value : completions_of({"complete", "learn", option, ""})) {
      const Outcome outcome = program_.run({"learn", "/no/such", "/no/such", "--as", "x", option, value});
      EXPECT_EQ(outcome.status, 1) << option << " " << value << ": " << outcome.err;
    }
  }
}

TEST_F(ProgramTest, TheManualAndTheCompletionsKnowEveryOption) {
  const std::string root = ANDIRON_SOURCE_DIR;
  std::string manual = whole_file(root + "/doc/andiron.1");
  manual.erase(std::remove(manual.begin(), manual.end(), '\\'), manual.end());  // \- is a plain hyphen
  const std::string zsh = whole_file(root + "/completions/_andiron");
  const std::string fish = whole_file(root + "/completions/andiron.fish");
  auto names = commands(program_.run({"--help"}).out);
  for (const std::string family : {"adapters", "tokenizer"}) {
    for (const std::string& verb : commands(program_.run({"help", family}).out)) names.push_back(family + " " + verb);
  }
  names.emplace_back("");  // the program itself
  for (const std::string& command : names) {
    EXPECT_NE(manual.find("andiron " + command), std::string::npos) << command;
    std::vector<std::string> words = {"help"};
    std::istringstream parts(command);
    for (std::string word; parts >> word;) {
      words.push_back(word);
      for (const std::string* completions : {&zsh, &fish}) {
        EXPECT_NE(completions->find(word), std::string::npos) << command;
      }
    }
    const auto options = long_options(program_.run(words).out);
    words[0] = "complete";
    words.emplace_back("--");
    const auto offered = completions_of(words);
    EXPECT_FALSE(options.empty()) << command;
    for (const std::string& option : options) {
      EXPECT_NE(manual.find(option), std::string::npos) << command << " " << option;
      EXPECT_TRUE(offered.contains(option)) << command << " " << option;
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
  NEED_SHARED_DATA(kTinyStories);
  const std::string gguf = program_.file("f32.gguf");
  const Outcome made = program_.run({"quantize", shared_data(kTinyStories), gguf, "--type", "F32"});
  ASSERT_EQ(made.status, 0) << made.err;
  const std::vector<std::string> rest = {"-p", "<|start_story|>Once upon a time", "--greedy", "-n", "60"};
  std::vector<std::string> from_folder = {"run", shared_data(kTinyStories)}, from_file = {"run", gguf};
  from_folder.insert(from_folder.end(), rest.begin(), rest.end());
  from_file.insert(from_file.end(), rest.begin(), rest.end());
  const Outcome story = program_.run(from_folder);
  EXPECT_EQ(story.status, 0) << story.err;
  EXPECT_GT(story.out.size(), 100U);
  EXPECT_EQ(program_.run(from_file).out, story.out);
}

TEST_F(ProgramTest, AnswersMatchAGrammarOrASchema) {
  const std::string model = tiny();
  const std::string schema = program_.write("s.json", R"({"type": "object", "properties": {"name": {"type": "string",
      "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"]})");
  const Outcome answer = program_.run({"run", model, "-p", "ba be", "--json-schema", schema, "--seed", "3"});
  EXPECT_EQ(answer.status, 0) << answer.err;
  const Json json = parse(answer);
  expect_members(json, {"name", "age"});
  EXPECT_LE(json.member("age").number_or(1000), 150) << answer.out;
  EXPECT_LE(json.member("name").text_or("longer than 8").size(), 8U * 4) << answer.out;
  EXPECT_EQ(program_.run({"run", model, "-p", "ba be", "--json-schema", schema, "--seed", "3", "--lookup"}).out,
            answer.out);

  const std::string grammar = program_.write("g.gbnf", "root ::= (\"ba\" | \"be\") [0-9]{3}\n");
  const Outcome word = program_.run({"run", model, "-p", "ba be", "--grammar", grammar, "--greedy"});
  EXPECT_EQ(word.status, 0) << word.err;
  EXPECT_EQ(word.out.size(), 5U) << word.out;
  EXPECT_EQ(word.out[0], 'b');
  const Outcome chat = program_.run({"chat", model, "--grammar", grammar, "--seed", "1"}, "ba be\nbo\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  EXPECT_TRUE(std::regex_search(chat.out, std::regex("b[ae][0-9]{3}\\s+b[ae][0-9]{3}"))) << chat.out;

  for (const auto& [option, name, text, message] : std::vector<std::array<std::string, 4>>{
           {"--grammar", "wrong.gbnf", "root ::= \"a\"\n  x\n", "wrong.gbnf, line 2, column 4: expected \"::=\""},
           {"--grammar", "end.gbnf", "root ::= \"a\" root", "end.gbnf: no text matches the grammar"},
           {"--json-schema", "not.json", R"({"items": {"not": {}}})", "not.json, #/items: the keyword \"not\" cannot"},
           {"--json-schema", "cut.json", R"({"type":)", "cut.json"},
           {"--json-schema", "", "", "absent.json"}}) {
    const std::string path = name.empty() ? program_.file("absent.json") : program_.write(name, text);
    for (const char* command : {"run", "chat"}) {
      const Outcome mistake = program_.run({command, model, option, path}, "ba\n");
      EXPECT_EQ(mistake.status, 1) << command << path;
      EXPECT_NE(mistake.err.find(message), std::string::npos) << mistake.err;
    }
  }
  EXPECT_EQ(program_.run({"run", model, "--grammar", grammar, "--json-schema", schema}).status, 2);
  EXPECT_EQ(program_.run({"run", model, "--grammar", grammar, "--ignore-end"}).status, 2);
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
  NEED_SHARED_DATA(kTinyStories);
  NEED_SHARED_DATA("text/tinystories.txt");
  const std::string base = shared_data(kTinyStories);
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
  // Rows of 96 and 224 numbers.
  const std::string source = program_.file("tiny-odd.gguf"), out = program_.file("out.gguf");
  ASSERT_EQ(program_.run({"synth", "tiny-odd", source, "--type", "f32"}).status, 0);
  const Outcome made = program_.run({"quantize", source, out, "--type", "q4_k_m"});
  EXPECT_EQ(made.status, 0);
  EXPECT_NE(made.err.find("with rows of 96, 224 do not fit Q4_K"), std::string::npos) << made.err;
  EXPECT_NE(made.err.find("not one tensor became Q4_K"), std::string::npos) << made.err;
  EXPECT_EQ(std::count(made.err.begin(), made.err.end(), '\n'), 3) << "two notes and the result\n" << made.err;
  EXPECT_NE(made.err.find("MiB"), std::string::npos) << made.err;
  const Outcome wrong = program_.run({"quantize", source, out, "--type", "q9"});
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
  // The magic, version 3, no tensors, one entry: of 20 bytes "general.architecture", a text of 5.
  constexpr char kFile[] =
      "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
      "\x14\0\0\0\0\0\0\0general.architecture\x8\0\0\0\5\0\0\0\0\0\0\0llama";
  const std::string source = program_.write("empty.gguf", std::string(kFile, sizeof kFile - 1));
  const std::string out = program_.file("out.gguf");
  const Outcome outcome = program_.run({"quantize", source, out, "--type", "q8_0"});
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

TEST_F(ProgramTest, BenchesTraining) {
  const std::vector<std::string> command = {"bench", tiny(),   "--train", "--seq",  "24", "--batch",
                                            "2",     "--rank", "3",       "--reps", "2"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return more;
  };
  const Json json = parse(program_.run(with({"--json", "-q"})));
  expect_members(json, {"train_tokens_per_s", "peak_memory_bytes", "share_of_matmul_peak", "share_of_gemm", "ops"});
  ASSERT_TRUE(json.is_object());
  EXPECT_GT(json.find("train_tokens_per_s")->as_double(), 0);
  EXPECT_EQ(json.find("layers_run_again")->as_int(), 0);
  double shares = 0;
  for (const Json& op : json.find("ops")->items()) shares += op.find("share")->as_double();
  EXPECT_NEAR(shares, 1, 1e-6);
  // 4 FLOP a weight and token, 6 where all layers are run again because no memory is enough to remember them.
  const Json again = parse(program_.run(with({"--memory", "1e-6", "--json", "-q"})));
  const auto layers = again.find("layers_run_again")->as_int();
  EXPECT_GT(layers, 0);
  EXPECT_GT(again.find("flop_per_token")->as_double(), json.find("flop_per_token")->as_double());
  const std::string text = program_.run(with({"-t", "1"})).out;
  for (const char* part : {"train ", "memory ", "limits ", "reached ", "backward dx", "LoRA", "optimiser"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }
  EXPECT_EQ(program_.run({"bench", tiny(), "--seq", "24"}).status, 2) << "without --train";
  EXPECT_EQ(program_.run({"bench", tiny(), "--train", "--pp", "24"}).status, 2);
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

}  // namespace
}  // namespace andiron
