#include "grammar/token_trie.h"

#include <algorithm>
#include <utility>

namespace andiron {

namespace {

bool may_be_text(const Tokenizer& tokenizer, int32_t id) {
  const TokenType type = tokenizer.type(id);
  return type != TokenType::kControl && type != TokenType::kUnknown && type != TokenType::kUnused &&
         id != tokenizer.unk() && !tokenizer.is_structural(id) && !tokenizer.is_end_of_generation(id);
}

}  // namespace

TokenTrie::TokenTrie(const Tokenizer& tokenizer) : vocab_size_(tokenizer.vocab_size()) {
  pieces_.resize(static_cast<size_t>(vocab_size_));
  for (int32_t id = 0; id < vocab_size_; ++id) {
    if (may_be_text(tokenizer, id)) pieces_[static_cast<size_t>(id)] = tokenizer.piece(id);
    if (tokenizer.is_end_of_generation(id)) ends_.push_back(id);
  }
  build();
}

TokenTrie::TokenTrie(std::span<const std::string_view> pieces, std::vector<int32_t> ends)
    : vocab_size_(static_cast<int32_t>(pieces.size())), pieces_(pieces.begin(), pieces.end()), ends_(std::move(ends)) {
  for (const int32_t id : ends_) pieces_[static_cast<size_t>(id)].clear();
  build();
}

void TokenTrie::build() {
  for (int32_t id = 0; id < vocab_size_; ++id) {
    std::string& piece = pieces_[static_cast<size_t>(id)];
    if (piece.size() > kPieceBytesMax) piece.clear();
    if (!piece.empty()) tokens_.push_back(id);
  }
  const auto piece_of = [this](int32_t id) -> const std::string& { return pieces_[static_cast<size_t>(id)]; };
  std::stable_sort(tokens_.begin(), tokens_.end(), [&](int32_t a, int32_t b) { return piece_of(a) < piece_of(b); });
  std::vector<uint32_t> path;  // nodes from the root to where we are
  const auto leave = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
  };
  std::string_view last;
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    const std::string_view piece = piece_of(tokens_[i]);
    size_t same = 0;
    while (same < last.size() && same < piece.size() && last[same] == piece[same]) ++same;
    leave(same);
    for (size_t at = same; at < piece.size(); ++at) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      Node& node = nodes_.emplace_back();
      node.byte = static_cast<uint8_t>(piece[at]);
      node.depth = static_cast<uint16_t>(at + 1);
    }
    Node& node = nodes_[path.back()];
    if (node.count == 0) node.tokens = i;
    if (node.count < UINT16_MAX) ++node.count;
    depth_max_ = std::max(depth_max_, static_cast<uint32_t>(piece.size()));
    last = piece;
  }
  leave(0);
}

}  // namespace andiron
