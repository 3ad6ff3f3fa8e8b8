// Vocabulary: the tokens of one tokenizer, by id and by text. Immutable once built; any thread may read it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer_spec.h"

namespace andiron {

class Vocabulary {
 public:
  // Takes tokens, scores and types out of the spec. Fails on lists of different lengths and on more
  // tokens or bytes than an int32 id can stand for. Where two tokens have the same text the lower id is found.
  static Result<Vocabulary> create(TokenizerSpec& spec);

  int32_t size() const { return static_cast<int32_t>(types_.size()); }
  bool holds(int32_t id) const { return id >= 0 && id < size(); }

  // All below: holds(id).
  std::string_view text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  TokenType type(int32_t id) const { return types_[static_cast<size_t>(id)]; }
  float score(int32_t id) const { return scores_.empty() ? 0.0f : scores_[static_cast<size_t>(id)]; }
  // The token is markup that only trusted text may yield: a control token, a user-defined one that ends replies
  // (end_tokens.h), is the spec's bos, eos, eot or eom, or looks like markup ("<think>") and occurs in the chat
  // template. A token of which all this but its type says so is made a control token: some files have no types, or
  // wrong ones.
  bool is_structural(int32_t id) const { return structural_[static_cast<size_t>(id)]; }
  // The token may come out of merging ordinary text.
  bool is_spellable(int32_t id) const {
    const TokenType t = type(id);
    return (t == TokenType::kNormal || t == TokenType::kUserDefined || t == TokenType::kUndefined) &&
           !is_structural(id);
  }

  // The id of the token with this text (as the vocabulary file spells it), or kNoToken.
  int32_t find(std::string_view text) const;
  // The same among spellable tokens.
  int32_t find_spellable(std::string_view text) const {
    const int32_t id = find(text);
    return id != kNoToken && is_spellable(id) ? id : kNoToken;
  }

  // The same for many texts at once: their cache misses overlap. ids.size() == texts.size() <= kFindMany.
  static constexpr size_t kFindMany = 96;
  void find_spellable(std::span<const std::string_view> texts, std::span<int32_t> ids) const;

  // The token that stands for one byte by name ("<0x0A>"), or kNoToken.
  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  // Bytes in the longest token text.
  size_t text_bytes_max() const { return text_bytes_max_; }

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t id = kNoToken;
  };

  int32_t find_hashed(std::string_view text, uint32_t hash) const;
  void index_texts();
  void index_bytes();
  void mark_structure(const TokenizerSpec& spec);
  void make_structural(int32_t id);

  TextList texts_;
  std::vector<float> scores_;
  std::vector<TokenType> types_;
  std::vector<bool> structural_;
  std::vector<Slot> slots_;  // open addressing, a power of two
  std::vector<int32_t> byte_tokens_;
  size_t text_bytes_max_ = 0;
};

// The byte that "<0xHH>" names, or -1.
int parse_byte_token(std::string_view text);

}  // namespace andiron
