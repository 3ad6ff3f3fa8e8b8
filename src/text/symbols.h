// What a piece of text is before merging and what is written after: shared by the byte-pair and the score encoder.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/symbol_merge.h"
#include "text/vocabulary.h"

namespace andiron {

class SymbolCodec {
 public:
  // `vocabulary` must outlive the codec.
  SymbolCodec(const Vocabulary& vocabulary, const TokenizerSpec& spec);

  // Appends one symbol a byte (byte-level) or a code point (else), each with its token, if it has one.
  void split(std::string_view piece, std::vector<Symbol>& symbols) const;

  // Appends the tokens of merged symbols of `piece`. A symbol that is no token is written as its bytes or characters;
  // one that has none of those either becomes the unknown token, or nothing where the model has none.
  void write(const std::vector<Symbol>& symbols, std::string_view piece, std::vector<int32_t>& out) const;

  // Where the unit that begins at text[at] ends. No merge ever crosses the end of a unit, so each may be encoded apart:
  // a whole text is one piece to SentencePiece, but mostly no token has a space inside, only before or alone.
  size_t unit_end(std::string_view text, size_t at) const;
  // No unit ends before the text: for merges that make up tokens the vocabulary does not list.
  void keep_whole() { splits_at_spaces_ = false; }

 private:
  void write_parts(std::string_view part, std::vector<int32_t>& out, bool& after_unknown) const;
  void write_unknown(std::vector<int32_t>& out, bool& after_unknown) const;

  const Vocabulary& vocabulary_;
  std::array<int32_t, 256> byte_ids_{};
  int32_t unknown_;
  bool byte_level_;
  bool fuse_unknown_;
  bool splits_at_spaces_ = false;
};

// The cut for pieces so long that positions in them would not fit 32 bits; no text gets there but on purpose.
inline constexpr size_t kUnitBytesMax = size_t{1} << 30;

}  // namespace andiron
