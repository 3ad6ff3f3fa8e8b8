// TokenTrie: the pieces of a vocabulary as a tree over their bytes, and which tokens end an answer. Immutable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace andiron {

class TokenTrie {
 public:
  // In the order in which a walk meets them: a node stands before its children.
  struct Node {
    uint32_t end = 0;     // the node after its last descendant
    uint32_t tokens = 0;  // the first of the tokens whose piece ends here, in tokens()
    uint16_t count = 0;   // of these
    uint16_t depth = 0;   // bytes up to here, 1 and more
    uint8_t byte = 0;
  };

  // Control, unknown and unused tokens, and those of no bytes, are not in the tree. Every end-of-generation token ends
  // an answer, and is nothing else.
  explicit TokenTrie(const Tokenizer& tokenizer);
  // The same by hand: pieces by id ("": never chosen), ids that end an answer.
  TokenTrie(std::span<const std::string_view> pieces, std::vector<int32_t> ends);

  int32_t vocab_size() const { return vocab_size_; }
  size_t mask_words() const { return (static_cast<size_t>(vocab_size_) + 63) / 64; }
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const int32_t> tokens(const Node& node) const {
    return std::span(tokens_).subspan(node.tokens, node.count);
  }
  std::span<const int32_t> ends() const { return ends_; }
  uint32_t depth_max() const { return depth_max_; }
  // "" for tokens that are not in the tree.
  std::string_view piece(int32_t token) const { return pieces_[static_cast<size_t>(token)]; }

  // Longer pieces are left out: nothing sensible is one token then.
  static constexpr size_t kPieceBytesMax = 1024;

 private:
  void build();

  int32_t vocab_size_ = 0;
  std::vector<std::string> pieces_;
  std::vector<Node> nodes_;
  std::vector<int32_t> tokens_;  // sorted by piece
  std::vector<int32_t> ends_;
  uint32_t depth_max_ = 0;
};

}  // namespace andiron
