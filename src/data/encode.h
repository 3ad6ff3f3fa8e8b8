// From an Example to tokens and a loss mask.
//
// Conversations go through the template and the tokenizer that serve them (text/chat_prompt.h): the tokens before a
// trained answer are those that serving gives the model before it answers, and special tokens that somebody typed stay
// text. Where answers begin and end is found by rendering: the conversation up to an answer, as serving renders it, and
// the whole; no template is known by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/example.h"
#include "data/token_row.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace andiron {

// Which tokens have loss. Texts always have it on all.
enum class LossOn : uint8_t {
  kAnswers,     // what the assistant writes in every turn, its end-of-turn token included; completions
  kLastAnswer,  // only the last turn's
  kEverything,  // every token of a row but the first
};

struct EncodeExampleOptions {
  LossOn loss_on = LossOn::kAnswers;
  std::optional<int64_t> now = {};  // for templates: seconds since 1970-01-01 00:00 of the local clock
};

struct EncodedExample {
  // Rows of an example. More than one where the template writes an answer otherwise once the conversation has gone on
  // (Qwen3 drops earlier thinking): the first ends with the last answer, and each answer that stands in it as the model
  // is never asked for it is trained in a row that ends with it.
  std::vector<TokenRow> rows;
  TokenRow rejected;  // of a pair, which has one row
  // The template ends a prompt otherwise than it writes the answer that follows (DeepSeek R1 ends it with "<think>"):
  // the answer is trained where the two part.
  bool prompt_unlike = false;
};

// Immutable; may be used from several threads at once. The tokenizer must outlive it.
class ExampleEncoder {
 public:
  // A model without a template gets kPlainChatTemplate for conversations, and completions as plain text: the prompt,
  // a line end unless there is white space at the seam, the completion and the eos token.
  static Result<ExampleEncoder> create(const Tokenizer& tokenizer, std::string_view model_name,
                                       const EncodeExampleOptions& options);

  // Everything but texts and questions with choices (data/choices.h). An Error is the reason why the row is bad: the
  // template refuses or does not show it.
  Result<EncodedExample> encode(const Example& example) const;

  bool has_template() const { return has_template_; }

 private:
  ExampleEncoder(const Tokenizer& tokenizer, ChatPrompt chat, bool has_template, const EncodeExampleOptions& options)
      : tokenizer_(tokenizer), chat_(std::move(chat)), has_template_(has_template), options_(options) {}

  TokenRow encode_completion(const Example& example) const;

  const Tokenizer& tokenizer_;
  ChatPrompt chat_;
  bool has_template_;
  EncodeExampleOptions options_;
};

// Cuts documents into rows of at most `seq_len` positions that do not overlap: every token but a document's first is a
// target once. A document ends with the eos token, if the model has one; where the model wants a bos, every row begins
// with it (and the first token after it counts as a target only where a document begins).
class TextCutter {
 public:
  TextCutter(const Tokenizer& tokenizer, int64_t seq_len) : tokenizer_(tokenizer), seq_len_(seq_len) {}

  // The pieces of a document in order; appends the rows that are complete.
  void add(std::string_view text, bool first_piece, bool last_piece, std::vector<TokenRow>& out);

 private:
  const Tokenizer& tokenizer_;
  int64_t seq_len_;
  bool at_start_ = true;
  std::vector<int32_t> pending_;
};

// Cuts a row of more than `seq_len` positions in the same way, its mask with it. Rows without a trained token are left
// out.
std::vector<TokenRow> split_row(const TokenRow& row, const Tokenizer& tokenizer, int64_t seq_len);

}  // namespace andiron
