// Tokenizer: text to token ids and back, exactly as a model was trained with.
//
// Model::tokenizer() gives the one of a loaded model; Tokenizer::open() reads it alone, without the weights. A handle
// like Model: cheap to copy, never changes, any thread.
//
// Control tokens ("<|im_end|>") steer a model, so text that people wrote must not turn into one by spelling it:
// encode() takes its text for such text unless told otherwise, and ChatTemplate (andiron/chat.h) tells the template's
// words from everyone else's by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "andiron/result.h"
#include "andiron/version.h"

namespace andiron::ANDIRON_V1 {

struct EncodeOptions {
  // Put the tokens that begin and end a text where the model wants them. Default on; off for a part of a text.
  bool add_special = true;
  // Read special tokens spelled in the text as such. Default off; on only for text that you wrote.
  bool trusted = false;
};

class Tokenizer {
 public:
  // Where a model has no such token, and Token::id when there is none.
  static constexpr int32_t kNone = -1;

  // `path` as for Model::open, or a tokenizer.json.
  static Result<Tokenizer> open(const std::string& path);

  // Never fails; the text need not be valid UTF-8.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  // Control tokens give text only when asked for; ids outside the vocabulary give none. May end within a UTF-8
  // sequence when the tokens do.
  std::string decode(std::span<const int32_t> ids, bool show_special = false) const;

  // The bytes that a token adds to a text, maybe a part of a UTF-8 sequence; "" for an id outside the vocabulary.
  // The view lives as long as the tokenizer or a copy of it.
  std::string_view piece(int32_t id) const;
  // The token spelled so in the vocabulary, or kNone.
  int32_t find(std::string_view token) const;

  int32_t size() const;  // ids are 0 to size() - 1
  int32_t bos() const;   // begins a text, or kNone
  int32_t eos() const;   // ends one, or kNone
  // The model has said all it wants.
  bool is_end(int32_t id) const;
  bool is_control(int32_t id) const;

 private:
  friend class ChatTemplate;
  friend class Model;
  friend class Session;
  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace andiron::ANDIRON_V1
