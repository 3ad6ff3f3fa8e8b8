// What a request asks for, whichever API it came by.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "andiron/sampling.h"
#include "base/json.h"

namespace andiron {

// The API whose shape the answer takes.
enum class Api : uint8_t { kOpenAiChat, kOpenAiCompletion, kOpenAiResponse, kAnthropic, kOllamaChat, kOllamaGenerate };

struct AdapterChoice {
  std::string name;
  double strength = 1;
};

// "ember+me:0.8+work:0.5": a model and the adapters that it wears. A model's own name may hold a colon ("qwen3:4b").
struct ModelChoice {
  std::string asked;  // as it came; answers name the model so
  std::string model;
  std::vector<AdapterChoice> adapters;
};

// What the answer must be.
struct AnswerFormat {
  enum class Kind : uint8_t { kText, kJsonObject, kJsonSchema, kGrammar };
  Kind kind = Kind::kText;
  Json schema;
  std::string grammar;  // GBNF
};

// What every request for text has.
struct AnswerAsk {
  Api api = Api::kOpenAiChat;
  ModelChoice model;
  SamplerOptions sampling;  // `seed` only where has_seed; else the service draws one
  bool has_seed = false;    //
  int64_t tokens_max = -1;  // -1: until the model stops or the context is full
  std::vector<std::string> stop;
  int32_t choices = 1;        // answers to the same prompt
  int32_t logprobs_top = -1;  // as GenerateOptions
  bool stream = false;
  bool stream_usage = false;  // OpenAI: a last chunk with the numbers of tokens
  AnswerFormat format;
};

enum class ToolMode : uint8_t { kAuto, kNone, kRequired };

struct ToolChoice {
  ToolMode mode = ToolMode::kAuto;
  std::string name;      // with kRequired: this tool and no other; "": any
  bool parallel = true;  // more than one call in an answer
};

struct ChatAsk {
  AnswerAsk answer;
  Json messages = Json::array();  // in OpenAI's form, which templates take
  Json tools;                     // likewise; null: none
  ToolChoice tool_choice;
  std::optional<bool> think;  // the template's own default where it is not said
  bool show_thinking = true;
  Json variables = Json::object();  // of the template, from the caller
  Json echo = Json::object();       // what the API's answers repeat of the request
};

// Text for the model to go on with.
struct CompletionAsk {
  AnswerAsk answer;
  // Texts, whose special tokens stay text unless `raw`, or ids.
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts;
  bool raw = false;   // the text is all that the model is to see: special tokens are read as such
  bool echo = false;  // the answer begins with the prompt
};

struct EmbeddingsAsk {
  ModelChoice model;
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs;
  bool base64 = false;  // of little-endian floats, in place of lists of numbers
};

struct TokenizeAsk {
  std::string text;
  Json messages;  // null: `text` is asked about
  Json tools;
  bool add_special = false;    // a bos in front where the model wants one
  bool parse_special = false;  // special tokens in the text are read as such
  bool pieces = false;         // the text of each token too
};

// A model that is asked about by name (Ollama's show).
struct ShowAsk {
  ModelChoice model;
  bool verbose = false;
};

// What holds where a request says nothing.
struct ApiDefaults {
  SamplerOptions sampling;
};

// The most that may be asked for.
inline constexpr int64_t kAnswerTokensMax = 1 << 24;
inline constexpr int32_t kChoicesMax = 16;
inline constexpr int32_t kLogprobsMax = 20;  // OpenAI's bound
inline constexpr size_t kStopsMax = 16;
inline constexpr size_t kToolsMax = 512;
inline constexpr size_t kVariablesMax = 64;  // of a template
inline constexpr size_t kMessagesMax = 100'000;
inline constexpr size_t kPromptsMax = 256;
// Of a text that is told token by token: in memory a token takes 40 bytes, with its piece about 300.
inline constexpr size_t kTokensToldMax = 1'000'000, kPiecesToldMax = 100'000;
inline constexpr size_t kAdaptersMax = 16;

}  // namespace andiron
