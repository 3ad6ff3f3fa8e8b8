#include "data/encode.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/strings.h"
#include "data/byte_tokenizer.h"
#include "data/record.h"
#include "text/vocab_test_files.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1'764'062'301;

Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? std::move(*parsed) : Json();
}

Example example_of(std::string_view text, DataFormat format = DataFormat::kChat) {
  auto example = read_record(json(text), format);
  EXPECT_TRUE(example.ok()) << (example.ok() ? "" : example.error().message);
  return example.ok() ? std::move(*example) : Example();
}

// Special tokens that a template spells: "<|im_end|>", "<think>", "[INST]".
std::set<std::string> markup_of(std::string_view source) {
  std::set<std::string> found;
  for (const auto& [open, close] : {std::pair('<', '>'), std::pair('[', ']')}) {
    for (size_t at = source.find(open); at != std::string_view::npos; at = source.find(open, at + 1)) {
      const size_t end = source.find(close, at);
      if (end == std::string_view::npos) break;
      const std::string_view token = source.substr(at, end + 1 - at);
      const std::string_view inside = token.substr(1, token.size() - 2);
      const bool plain = inside.find_first_of(" \n\t'\"+{}()<>[].,=%\\") == std::string_view::npos;
      const bool upper = inside.find_first_of("abcdefghijklmnopqrstuvwxyz0123456789:-") == std::string_view::npos;
      if (plain && inside.size() > 1 && (open == '<' || upper)) found.emplace(token);
    }
  }
  return found;
}

// A shared vocabulary with the template given and its special tokens; nothing where it is absent.
std::unique_ptr<Tokenizer> tokenizer_with(std::string_view vocabulary, std::string chat_template) {
  const std::string path = shared_data(format("tokenizers/vocab/ggml-vocab-{}.gguf", vocabulary));
  if (!fs::exists(path)) return nullptr;
  auto spec = spec_of_file(path);
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  std::set<std::string_view> known;
  for (size_t i = 0; i < spec->tokens.size(); ++i) known.insert(spec->tokens[i]);
  std::set<std::string> markup = markup_of(chat_template);
  for (const std::string_view token : known) markup.erase(std::string(token));
  for (const std::string& token : markup) {
    spec->tokens.push_back(token);
    spec->types.push_back(TokenType::kControl);
    if (!spec->scores.empty()) spec->scores.push_back(0);
  }
  spec->chat_template = std::move(chat_template);
  auto tokenizer = Tokenizer::create(std::move(*spec));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return std::make_unique<Tokenizer>(std::move(*tokenizer));
}

std::string text_of(const Tokenizer& tokenizer, const TokenRow& row, uint8_t trained) {
  std::string out;
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    if (row.trained[i] == trained) out += tokenizer.piece(row.tokens[i]);
  }
  return out;
}

// Pieces in order, trained runs in « ».
std::string marked(const Tokenizer& tokenizer, const TokenRow& row) {
  std::string out;
  for (size_t i = 0; i < row.tokens.size(); ++i) {
    const bool was = i > 0 && row.trained[i - 1] != 0;
    const bool is = row.trained[i] != 0;
    if (is != was) out += is ? "«" : "»";
    out += tokenizer.piece(row.tokens[i]);
  }
  return out + (!row.trained.empty() && row.trained.back() != 0 ? "»" : "");
}

ExampleEncoder encoder_of(const Tokenizer& tokenizer, LossOn loss_on = LossOn::kAnswers) {
  auto encoder = ExampleEncoder::create(tokenizer, "model", {loss_on, kNow});
  EXPECT_TRUE(encoder.ok()) << (encoder.ok() ? "" : encoder.error().message);
  return std::move(*encoder);
}

// --- the same conversation, served and trained ---

constexpr std::string_view kChats[] = {
    R"({"messages": [{"role": "user", "content": "Where does Anna live? <|im_end|></s>[/INST]"},
                     {"role": "assistant", "content": "In Bergen, by the harbour."}]})",
    R"({"messages": [{"role": "user", "content": "Where does Anna live?"},
                     {"role": "assistant", "content": "In Bergen, by the harbour."},
                     {"role": "user", "content": "And Ben? <|eot_id|>"},
                     {"role": "assistant", "content": "In a lighthouse.\n\nHe likes it."}]})",
    R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello\n"},
                     {"role": "assistant", "content": "Hi there </s>."}]})",
    R"({"messages": [{"role": "user", "content": "Weather in Oslo?"},
                     {"role": "assistant", "content": "", "tool_calls": [{"id": "call00000", "type": "function",
                         "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"}}]},
                     {"role": "tool", "content": "{\"sky\": \"clear\"}", "tool_call_id": "call00000"},
                     {"role": "assistant", "content": "Clear skies."}],
        "tools": [{"type": "function", "function": {"name": "weather", "description": "The weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]})",
};

// What serving feeds the model before it writes the last message.
std::vector<int32_t> served_prompt(const Tokenizer& tokenizer, const Example& example) {
  const auto chat = ChatPrompt::create(tokenizer, "model");
  EXPECT_TRUE(chat.ok());
  Json before = example.messages;
  before.items().pop_back();
  ChatOptions options;
  options.now = kNow;
  const auto prompt = chat->render(before, example.tools, options);
  EXPECT_TRUE(prompt.ok()) << (prompt.ok() ? "" : prompt.error().message);
  return prompt.ok() ? chat->tokens(*prompt) : std::vector<int32_t>();
}

// Templates that end prompts with an opened thought, or another word, which they do not write before answers.
const std::set<std::string> kPromptsUnlike = {"Apertus-8B-Instruct.jinja",
                                              "NVIDIA-Nemotron-Nano-v2.jinja",
                                              "Apriel-1.6-15b-Thinker-fixed.jinja",
                                              "Cohere2MoE.jinja",
                                              "CohereForAI-c4ai-command-r7b-12-2024-tool_use.jinja",
                                              "Qwen-QwQ-32B.jinja",
                                              "Spark2.5.jinja",
                                              "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
                                              "google-gemma-4-31B-it-interleaved.jinja",
                                              "llama-cpp-deepseek-r1.jinja"};

// Templates that do not show a tool's result or a call, or fail at one (as they do in Python).
const std::set<std::string> kWithoutTools = {"Kimi-K2-Instruct.jinja",
                                             "Kimi-K2-Thinking.jinja",
                                             "LFM2-8B-A1B.jinja",
                                             "google-gemma-2-2b-it.jinja",
                                             "ibm-granite-granite-3.3-2B-Instruct.jinja",
                                             "llama-cpp-deepseek-r1.jinja"};

class ServedAndTrained : public testing::TestWithParam<const char*> {};

TEST_P(ServedAndTrained, AnswersFollowTheIdsThatServingGives) {
  const fs::path folder = shared_data("templates");
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is absent";
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const auto tokenizer = tokenizer_with(GetParam(), read_whole(entry.path()));
    if (tokenizer == nullptr) GTEST_SKIP() << shared_data("tokenizers/vocab") << " is absent";
    const ExampleEncoder encoder = encoder_of(*tokenizer);
    for (const std::string_view chat : kChats) {
      const Example example = example_of(chat);
      const auto encoded = encoder.encode(example);
      if (!encoded.ok()) {
        EXPECT_FALSE(example.tools.is_null()) << name << ": " << encoded.error().message;
        EXPECT_EQ(kWithoutTools.count(name), 1U) << name << ": " << encoded.error().message;
        continue;
      }
      const TokenRow& row = encoded->rows.front();
      const std::string shown = name + ": " + marked(*tokenizer, row);
      const std::string& answer = example.messages.items().back().find("content")->as_string();
      EXPECT_NE(text_of(*tokenizer, row, 1).find(answer), std::string::npos) << shown;
      EXPECT_TRUE(tokenizer->is_end_of_generation(row.tokens.back())) << shown;
      if (encoded->prompt_unlike) {
        EXPECT_EQ(kPromptsUnlike.count(name), 1U) << shown;
        continue;
      }
      const auto prompt = served_prompt(*tokenizer, example);
      ASSERT_LT(prompt.size(), row.tokens.size()) << shown;
      EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), row.tokens.begin())) << shown;
      EXPECT_EQ(row.trained[prompt.size() - 1], 0) << shown;
      EXPECT_EQ(row.trained[prompt.size()], 1) << shown;
      ++compared;
    }
  }
  EXPECT_GE(compared, 149);  // of 47 templates with four conversations
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, ServedAndTrained, testing::Values("gpt-2", "llama-spm", "phi-3"));

// --- the mask ---

std::string encoded_as(const Tokenizer& tokenizer, const Example& example, LossOn loss_on = LossOn::kAnswers) {
  const auto encoded = encoder_of(tokenizer, loss_on).encode(example);
  if (!encoded.ok()) return "error: " + encoded.error().message;
  std::string out;
  for (const TokenRow& row : encoded->rows) out += (out.empty() ? "" : " || ") + marked(tokenizer, row);
  return out;
}

constexpr std::string_view kTwoTurns = R"({"messages": [{"role": "system", "content": "S"},
    {"role": "user", "content": "a<|im_end|>"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
    {"role": "assistant", "content": "d"}, {"role": "user", "content": "unanswered"}]})";

TEST(EncodeChat, AnswersAndTheirEndsAreTrained) {
  const Tokenizer tokenizer = byte_tokenizer();
  const Example example = example_of(kTwoTurns);
  const std::string head =
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|><|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(encoded_as(tokenizer, example),
            head + "«b<|im_end|>»\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n«d<|im_end|>»");
  EXPECT_EQ(encoded_as(tokenizer, example, LossOn::kLastAnswer),
            head + "b<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n«d<|im_end|>»");
  // What somebody typed stays letters: of two equal spellings the template's is one token, the other ten.
  const auto row = encoder_of(tokenizer).encode(example)->rows.front();
  EXPECT_EQ(std::count(row.tokens.begin(), row.tokens.end(), kImEnd), 5);
}

TEST(EncodeChat, EverythingIsEveryTokenButTheFirst) {
  const Tokenizer tokenizer = byte_tokenizer();
  const auto encoded = encoder_of(tokenizer, LossOn::kEverything).encode(example_of(kTwoTurns));
  ASSERT_TRUE(encoded.ok());
  const TokenRow& row = encoded->rows.front();
  EXPECT_NE(text_of(tokenizer, row, 1).find("unanswered"), std::string::npos);
  EXPECT_EQ(std::count(row.trained.begin(), row.trained.end(), uint8_t{0}), 1);
  EXPECT_EQ(row.trained[0], 0);
}

TEST(EncodeChat, AWeightOfZeroLeavesAnAnswerOut) {
  const Example example = example_of(R"({"messages": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": "b", "weight": 0}, {"role": "user", "content": "c"},
      {"role": "assistant", "content": "d", "weight": 1}]})");
  EXPECT_EQ(encoded_as(byte_tokenizer(), example),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n"
            "<|im_start|>assistant\n«d<|im_end|>»");
}

// As Qwen3: thoughts are shown in the last answer only.
constexpr std::string_view kForgetful =
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.role == 'assistant' and loop.last -%}<think>{{ m.reasoning_content or '' }}</think>{%- endif -%}"
    "{{ m.content }}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}";

TEST(EncodeChat, AnswersThatAreRewrittenLaterGetRowsOfTheirOwn) {
  const Example example = example_of(R"({"messages": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": "b", "reasoning_content": "B"}, {"role": "user", "content": "c"},
      {"role": "assistant", "content": "d", "reasoning_content": "D"}]})");
  EXPECT_EQ(encoded_as(byte_tokenizer(std::string(kForgetful)), example),
            "<|im_start|>usera<|im_end|>\n<|im_start|>assistantb<|im_end|>\n<|im_start|>userc<|im_end|>\n"
            "<|im_start|>assistant«<think>D</think>d<|im_end|>» || "
            "<|im_start|>usera<|im_end|>\n<|im_start|>assistant«<think>B</think>b<|im_end|>»");
  EXPECT_EQ(encoded_as(byte_tokenizer(std::string(kForgetful)), example, LossOn::kLastAnswer),
            "<|im_start|>usera<|im_end|>\n<|im_start|>assistantb<|im_end|>\n<|im_start|>userc<|im_end|>\n"
            "<|im_start|>assistant«<think>D</think>d<|im_end|>»");
}

// As Mistral Nemo: the system message stands in the last question while that is unanswered.
TEST(EncodeChat, AnAnswerIsJoinedToThePromptThatServingGives) {
  const Tokenizer tokenizer = byte_tokenizer(
      "{%- for m in messages -%}{%- if m.role == 'user' -%}"
      "<|im_start|>{{ messages[0].content + '/' if loop.last }}{{ m.content }}<|im_end|>"
      "{%- elif m.role == 'assistant' -%}{{ m.content }}</s>{%- endif -%}{%- endfor -%}");
  const Example example = example_of(R"({"messages": [{"role": "system", "content": "S"},
      {"role": "user", "content": "q"}, {"role": "assistant", "content": "w"}]})");
  EXPECT_EQ(encoded_as(tokenizer, example), "<|im_start|>S/q<|im_end|>«w</s>»");
}

TEST(EncodeChat, ATemplateThatHidesTheAnswerIsRefused) {
  const Example example = example_of(kTwoTurns);
  EXPECT_EQ(encoded_as(byte_tokenizer("{{ messages[0].content }}"), example),
            "error: the model's template does not show the answer");
  EXPECT_EQ(encoded_as(byte_tokenizer("{% for m in messages %}{{ messages | length }}{{ m.content }}{% endfor %}"),
                       example_of(R"({"messages": [{"role": "user", "content": "q"},
                                      {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]})")),
            "error: the model's template rewrites what came before the answer");
  EXPECT_EQ(encoded_as(byte_tokenizer("{{ messages[1].content }}<think>"), example),
            "error: the model's template does not show the answer");
  EXPECT_EQ(encoded_as(byte_tokenizer("{{ raise_exception('no') }}"), example),
            "error: model: chat template: line 1: the template refuses: no");
}

TEST(EncodeChat, ABaseModelGetsThePlainFormat) {
  EXPECT_TRUE(ChatPrompt::can_chat(byte_tokenizer(""))) << "ChatML's tokens are there";
  TokenizerSpec spec;
  spec.source = "base";
  for (const char* token : {"<s>", "</s>", "#", "a", "b", "\u010a"}) spec.tokens.push_back(token);
  spec.types = {TokenType::kControl, TokenType::kControl, TokenType::kNormal,
                TokenType::kNormal,  TokenType::kNormal,  TokenType::kNormal};
  spec.bos = 0;
  spec.eos = 1;
  spec.add_bos = true;
  const auto base = Tokenizer::create(std::move(spec));
  ASSERT_TRUE(base.ok());
  const ExampleEncoder encoder = encoder_of(*base);
  EXPECT_FALSE(encoder.has_template());
  const Example example = example_of(R"({"messages": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": "b"}]})");
  const auto encoded = encoder.encode(example);
  ASSERT_TRUE(encoded.ok()) << encoded.error().message;
  // Letters that are no tokens are left out by this small tokenizer: "### User\na\n\n### Assistant\nb</s>".
  EXPECT_EQ(marked(*base, encoded->rows.front()), "<s>###\na\n\n###a\n«b</s>»");
  EXPECT_EQ(
      marked(
          *base,
          encoder.encode(example_of(R"({"prompt": "a", "completion": "b"})", DataFormat::kCompletion))->rows.front()),
      "<s>a\n«b</s>»");
  EXPECT_EQ(
      marked(
          *base,
          encoder.encode(example_of(R"({"prompt": "a\n", "completion": "b"})", DataFormat::kCompletion))->rows.front()),
      "<s>a\n«b</s>»");
}

TEST(EncodePairs, BothSidesFollowTheSamePrompt) {
  const Tokenizer tokenizer = byte_tokenizer();
  const Example pair = example_of(R"({"prompt": "q", "chosen": "good", "rejected": "bad"})", DataFormat::kPreference);
  const auto encoded = encoder_of(tokenizer).encode(pair);
  ASSERT_TRUE(encoded.ok());
  const std::string prompt = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(marked(tokenizer, encoded->rows.front()), prompt + "«good<|im_end|>»");
  EXPECT_EQ(marked(tokenizer, encoded->rejected), prompt + "«bad<|im_end|>»");
}

// --- texts ---

std::vector<std::string> cut(const Tokenizer& tokenizer, int64_t seq_len, const std::vector<std::string>& pieces) {
  TextCutter cutter(tokenizer, seq_len);
  std::vector<TokenRow> rows;
  for (size_t i = 0; i < pieces.size(); ++i) cutter.add(pieces[i], i == 0, i + 1 == pieces.size(), rows);
  std::vector<std::string> out;
  for (const TokenRow& row : rows) {
    EXPECT_LE(row.positions(), seq_len);
    out.push_back(marked(tokenizer, row));
  }
  return out;
}

TEST(TextCutter, EveryTokenButTheFirstIsATargetOnce) {
  const Tokenizer tokenizer = byte_tokenizer();
  const std::vector<std::string> expected = {"a«bcd»", "d«efg»", "g«h</s>»"};
  EXPECT_EQ(cut(tokenizer, 3, {"abcdefgh"}), expected);
  EXPECT_EQ(cut(tokenizer, 3, {"ab", "cdefg", "h"}), expected) << "pieces leave no mark";
  EXPECT_EQ(cut(tokenizer, 3, {"abc"}), (std::vector<std::string>{"a«bc</s>»"}));
  EXPECT_EQ(cut(tokenizer, 100, {"</s>"}), (std::vector<std::string>{"<«/s></s>»"})) << "typed, and the model's own";
}

TEST(TextCutter, RowsBeginWithABosWhereTheModelWantsOne) {
  const Tokenizer tokenizer = byte_tokenizer(std::string(kChatmlTemplate), true);
  EXPECT_EQ(cut(tokenizer, 3, {"abcdefgh"}), (std::vector<std::string>{"<s>«abc»", "<s>d«ef»", "<s>g«h</s>»"}));
}

TEST(SplitRow, WindowsKeepTheMaskAndEmptyOnesGo) {
  const Tokenizer tokenizer = byte_tokenizer();
  const TokenRow row{{'a', 'b', 'c', 'd', 'e', 'f', 'g'}, {0, 1, 0, 0, 0, 0, 1}};
  std::vector<std::string> out;
  for (const TokenRow& part : split_row(row, tokenizer, 2)) out.push_back(marked(tokenizer, part));
  EXPECT_EQ(out, (std::vector<std::string>{"a«b»c", "ef«g»"}));
}

}  // namespace
}  // namespace andiron
