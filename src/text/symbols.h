// What a piece of text is before merging and what is written after: shared by the byte-pair and the score encoder.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/symbol_merge.h"
#include "text/vocabulary.h"

namespace andiron {

// Pairs of characters that stand beside each other in some token, as a filter of hashes: it may hold more than was
// added, never less.
class PairFilter {
 public:
  void add(uint32_t left, uint32_t right) {
    const size_t bit = bit_of(left, right);
    words_[bit / 64] |= uint64_t{1} << bit % 64;
  }
  bool may_hold(uint32_t left, uint32_t right) const {
    const size_t bit = bit_of(left, right);
    return (words_[bit / 64] >> bit % 64 & 1) != 0;
  }

 private:
  static constexpr int kBitsLog2 = 20;  // 128 KiB; the largest vocabularies have some 200,000 different pairs

  static size_t bit_of(uint32_t left, uint32_t right) {
    return static_cast<size_t>(((uint64_t{left} << 32 | right) * 0x9e3779b97f4a7c15) >> (64 - kBitsLog2));
  }

  std::vector<uint64_t> words_ = std::vector<uint64_t>((size_t{1} << kBitsLog2) / 64);
};

class SymbolCodec {
 public:
  // `vocabulary` must outlive the codec. The encoder then adds every merge there is.
  SymbolCodec(const Vocabulary& vocabulary, const TokenizerSpec& spec);

  // Texts that end with `left` and begin with `right` may merge. Neither is empty.
  void add_merge(std::string_view left, std::string_view right);

  // Appends the symbols of the unit that begins at text[at]: one a byte (byte-level) or a code point (else), each with
  // its token, if it has one, and its place in the unit; returns where the unit ends. A unit ends before a character
  // that never merges with the one before it, so each may be encoded apart: a whole text is one piece to SentencePiece,
  // but mostly no token has a space inside, only before or alone.
  size_t split_unit(std::string_view text, size_t at, std::vector<Symbol>& symbols) const;

  // Appends the tokens of merged symbols of `unit`. A symbol that is no token is written as its bytes or characters;
  // one that has none of those either becomes the unknown token, or nothing where the model has none. `after_unknown`
  // is kept from unit to unit of one piece, false before the first.
  void write(const std::vector<Symbol>& symbols, std::string_view unit, std::vector<int32_t>& out,
             bool& after_unknown) const;

 private:
  void write_parts(std::string_view part, std::vector<int32_t>& out, bool& after_unknown) const;
  void write_unknown(std::vector<int32_t>& out, bool& after_unknown) const;

  const Vocabulary& vocabulary_;
  std::array<int32_t, 256> byte_ids_{};
  int32_t unknown_;
  bool byte_level_;
  bool fuse_unknown_;
  PairFilter merging_;
};

// The cut for pieces so long that positions in them would not fit 32 bits; no text gets there but on purpose.
inline constexpr size_t kUnitBytesMax = size_t{1} << 30;

}  // namespace andiron
