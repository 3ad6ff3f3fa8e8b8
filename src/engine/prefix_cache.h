// PrefixCache: keys and values of the beginnings of texts, in memory and, where wished, on disk, so that what was read
// once (a long system prompt, a conversation so far) is not read again.
//
// It holds blocks of 64 positions (engine/prefix_block.h), those used last, ends of texts going first. A block serves
// only a text that begins with the same tokens in the same space; then it holds the bits that computing would give.
// Nothing is copied: the page of a block is that of the sequence which computed it, or was the first to find it on
// disk, and of all that found it since. The bound counts every page here once, whoever else has it; a page which the
// cache has let go of lives, uncounted, until the last of those sequences ends. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "engine/prefix_block.h"
#include "engine/prefix_folder.h"
#include "engine/prefix_order.h"

namespace andiron {

struct PrefixCacheOptions {
  uint64_t bytes = 0;       // in memory; taken as it fills
  std::string folder = {};  // "": nothing on disk
  uint64_t disk_bytes = 0;
};

class PrefixCache {
 public:
  static Result<std::unique_ptr<PrefixCache>> create(const PrefixCacheOptions& options);

  // A block of a text, from memory or from disk; null where there is none, or no memory to read it. `tokens`: of the
  // text, as many as the chain names at least. `make`: of what comes from disk. Throws std::bad_alloc where there is
  // none to keep account of it; what is here stays.
  std::shared_ptr<const PrefixBlock> find(const PrefixChain& chain, int64_t block, std::span<const int32_t> tokens,
                                          const PageMaker& make);
  // Whether find() is likely to find it; looks at names only.
  bool may_hold(const PrefixChain& chain, int64_t block) const;
  // Whether that costs no reading from disk.
  bool is_in_memory(const PrefixChain& chain, int64_t block) const;
  // Keeps a block, unless it is in memory already.
  void insert(const PrefixChain& chain, int64_t block, std::span<const int32_t> tokens,
              std::shared_ptr<const KvPage> page);

  // Forgets all, in memory and on disk. Whether all is gone.
  bool clear();

  uint64_t bytes() const { return order_.bytes(); }  // in memory
  // Waits until the disk has what it is to have.
  void settle();

 private:
  PrefixCache(uint64_t bytes_max, std::unique_ptr<PrefixFolder> folder);
  std::shared_ptr<const PrefixBlock> read(const std::string& key, const PageMaker& make);
  void keep(std::shared_ptr<const PrefixBlock> block);

  uint64_t bytes_max_;
  std::unique_ptr<PrefixFolder> folder_;  // may be null
  PrefixOrder order_;
  std::unordered_map<std::string, std::shared_ptr<const PrefixBlock>> blocks_;
};

}  // namespace andiron
