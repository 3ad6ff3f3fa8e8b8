// PrefixBlock: the keys and values of 64 positions of a text, which every text that begins alike can use.
//
// A block is named by a chained hash (XXH3-128): of its space, which says what else the numbers depend on (model,
// adapters, format), of all tokens before it and of its own. The hash is not proof against malice, so a block also
// carries all of them, and whoever finds one by its name compares.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "ops/kv_cache.h"

namespace andiron {

inline constexpr int64_t kPrefixPositions = kAttentionTile;

// The names of a text's whole blocks.
class PrefixChain {
 public:
  PrefixChain() = default;
  explicit PrefixChain(std::string space);

  // `tokens`: the whole text, which begins with the tokens of earlier calls. Names what blocks have become whole.
  void extend(std::span<const int32_t> tokens);

  const std::string& space() const { return space_; }
  int64_t size() const { return static_cast<int64_t>(keys_.size()) - 1; }
  const std::string& key(int64_t block) const { return keys_[static_cast<size_t>(block) + 1]; }
  // Of the block before; of the first: the name of the space.
  const std::string& parent(int64_t block) const { return keys_[static_cast<size_t>(block)]; }

 private:
  std::string space_;
  std::vector<std::string> keys_ = {""};  // 32 hexadecimal digits each
};

struct PrefixBlock {
  std::string key, parent;
  std::string space;
  std::vector<int32_t> tokens;         // from the text's first to the block's last
  std::shared_ptr<const KvPage> page;  // KvCache::page(), perhaps that of sequences too; never null

  // Whether it is what this name stands for, and not only called so.
  bool is(std::string_view of_space, std::span<const int32_t> of_tokens) const;
  bool is_first() const { return tokens.size() == kPrefixPositions; }  // of its text
  uint64_t bytes() const;                                              // in memory, about
};

// Makes a page of what the pieces of one hold, one after another: whoever reads it knows where it should lie. Null
// where no page has so many bytes.
using PageMaker = std::function<std::shared_ptr<const KvPage>(std::span<const uint8_t>)>;

// As a file of its own: magic, version, lengths, space, tokens, what the page's pieces hold one after another, and
// XXH3-128 of all that.
uint64_t prefix_file_bytes(const PrefixBlock& block);
// Mode 0600, whole or not at all; not synced, as the hash tells what a crash has left.
Status write_prefix_file(const PrefixBlock& block, const std::string& path);
// Untrusted bytes. An Error for everything but a whole file of this version. `source` names it; `make` is asked last.
Result<PrefixBlock> parse_prefix_file(std::string_view bytes, std::string_view source, const PageMaker& make);

}  // namespace andiron
