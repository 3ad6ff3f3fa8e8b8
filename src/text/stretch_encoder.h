// StretchEncoder: one tokenization algorithm. Tokenizer cuts out the tokens that are found whole and hands each stretch
// of text between them to the encoder of its model.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocabulary.h"

namespace andiron {

class StretchEncoder {
 public:
  virtual ~StretchEncoder() = default;

  // Appends the tokens of `text`, which is not empty and need not be valid UTF-8. Never fails; only spellable tokens,
  // byte tokens and the unknown token come out. Any thread.
  virtual void encode(std::string_view text, std::vector<int32_t>& out) const = 0;
};

// Each keeps a reference to `vocabulary`, which must outlive it; `spec` is read only here (its tokens, scores and types
// are in the vocabulary). The first fails on a pattern that cannot be compiled.
Result<std::unique_ptr<StretchEncoder>> make_byte_pair_encoder(const Vocabulary& vocabulary, const TokenizerSpec& spec);
std::unique_ptr<StretchEncoder> make_score_encoder(const Vocabulary& vocabulary, const TokenizerSpec& spec);
std::unique_ptr<StretchEncoder> make_word_piece_encoder(const Vocabulary& vocabulary, const TokenizerSpec& spec);

}  // namespace andiron
