#include "engine/prefix_cache.h"

#include <new>
#include <utility>

namespace andiron {

namespace {
std::span<const int32_t> tokens_to(std::span<const int32_t> tokens, int64_t block) {
  return tokens.first(static_cast<size_t>((block + 1) * kPrefixPositions));
}
}  // namespace

Result<std::unique_ptr<PrefixCache>> PrefixCache::create(const PrefixCacheOptions& options) {
  std::unique_ptr<PrefixFolder> folder;
  if (!options.folder.empty()) {
    TRY_ASSIGN(folder, PrefixFolder::open(options.folder, options.disk_bytes));
  }
  return std::unique_ptr<PrefixCache>(new PrefixCache(options.bytes, std::move(folder)));
}

PrefixCache::PrefixCache(uint64_t bytes_max, std::unique_ptr<PrefixFolder> folder)
    : bytes_max_(bytes_max), folder_(std::move(folder)) {}

std::shared_ptr<const PrefixBlock> PrefixCache::find(const PrefixChain& chain, int64_t block,
                                                     std::span<const int32_t> tokens, const PageMaker& make) {
  const std::string& key = chain.key(block);
  const auto known = blocks_.find(key);
  std::shared_ptr<const PrefixBlock> found = known != blocks_.end() ? known->second : nullptr;
  const bool was_in_memory = found != nullptr;
  if (!was_in_memory && folder_ != nullptr) found = read(key, make);
  if (found == nullptr || !found->is(chain.space(), tokens_to(tokens, block))) return nullptr;
  if (!was_in_memory) {
    keep(found);
  } else {
    order_.use(key, found->parent, found->bytes());
    if (folder_ != nullptr) folder_->use(found);
  }
  return found;
}

std::shared_ptr<const PrefixBlock> PrefixCache::read(const std::string& key, const PageMaker& make) {
  try {
    return folder_->read(key, make);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

bool PrefixCache::may_hold(const PrefixChain& chain, int64_t block) const {
  const std::string& key = chain.key(block);
  return blocks_.contains(key) || (folder_ != nullptr && folder_->holds(key));
}

bool PrefixCache::is_in_memory(const PrefixChain& chain, int64_t block) const {
  return blocks_.contains(chain.key(block));
}

void PrefixCache::insert(const PrefixChain& chain, int64_t block, std::span<const int32_t> tokens,
                         std::shared_ptr<const KvPage> page) {
  if (blocks_.contains(chain.key(block))) return;
  try {
    auto made = std::make_shared<PrefixBlock>();
    made->key = chain.key(block);
    made->parent = chain.parent(block);
    made->space = chain.space();
    const auto text = tokens_to(tokens, block);
    made->tokens.assign(text.begin(), text.end());
    made->page = std::move(page);
    if (folder_ != nullptr) folder_->put(made);
    keep(std::move(made));
  } catch (const std::bad_alloc&) {
    // Not kept: this is a cache.
  }
}

void PrefixCache::keep(std::shared_ptr<const PrefixBlock> block) {
  if (!block->is_first() && !blocks_.contains(block->parent)) return;  // of a text that is too long to be kept
  const std::string key = block->key;
  order_.use(key, block->parent, block->bytes());
  blocks_[key] = std::move(block);
  while (order_.bytes() > bytes_max_) {
    const std::string last = order_.last();
    order_.forget(last);
    blocks_.erase(last);
  }
}

bool PrefixCache::clear() {
  order_ = {};
  blocks_.clear();
  return folder_ == nullptr || folder_->clear();
}

void PrefixCache::settle() {
  if (folder_ != nullptr) folder_->settle();
}

}  // namespace andiron
