// One row of somebody's data, as read from a file and before it is tokenised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace andiron {

// What a file holds. All rows of a file have its format.
enum class DataFormat : uint8_t {
  kChat,        // {"messages": [{"role", "content"}...], "tools": [...]}: OpenAI's
  kShareGpt,    // {"conversations": [{"from", "value"}...], "system", "tools"}
  kAlpaca,      // {"instruction", "input", "output", "history", "system"}; "response", "context" (Dolly)
  kCompletion,  // {"prompt", "completion"}; "question", "answer"
  kPreference,  // {"prompt", "chosen", "rejected"} as texts or messages; "conversations" or "instruction" for the
                // prompt
  kLabelled,    // any of the first four with a "label" or "kto_tag" that says whether the answer was good
  kTextRows,    // {"text"}
  kChoice,      // {"question", "choices", "answer"}: questions with the choices to answer them; only when asked for
  kText,        // the file is one document
  kMarkdown,    // the same without its front matter
};

// "chat", "sharegpt", "alpaca", "completion", "preference", "labelled", "text-rows", "choice", "text", "markdown".
std::string_view data_format_name(DataFormat format);
// The format of that name; an Error lists the names.
Result<DataFormat> parse_data_format(std::string_view name);

struct Example {
  enum class Kind : uint8_t {
    kChat,        // `messages`, `trained`, `tools`
    kCompletion,  // `prompt`, `completion`
    kText,        // `text`
    kPreference,  // `messages` is the prompt; `chosen`, `rejected`
    kChoice,      // `prompt`, or `messages` where it is empty; `choices`, `right`
  };
  Kind kind = Kind::kChat;

  Json messages = Json::array();  // OpenAI's, each checked: a known role, content as text or text parts
  std::vector<uint8_t> trained;   // by message: 1 for an answer to learn (of the assistant, and not of "weight" 0)
  Json tools;                     // a list of definitions, or null
  Json chosen, rejected;          // messages that follow the prompt
  std::string prompt, completion;
  std::string text;
  std::vector<std::string> choices;
  size_t right = 0;               // index of the right choice
  std::optional<bool> desirable;  // kChat and kCompletion of labelled data: was the last answer good

  // A long text comes in pieces, in order; other rows are first and last.
  bool first_piece = true;
  bool last_piece = true;

  // Which document this belongs to: the pieces of a text have the same, and rows of which one is held out while
  // another is trained on must differ. It is a hash of the content, so neither names nor the other files nor their
  // order matter.
  std::string document;
  size_t file = 0;   // index in DataReport::files
  int64_t line = 1;  // where it begins in the file
};

}  // namespace andiron
