#include "serve/grammar_cache.h"

#include <algorithm>
#include <utility>

namespace andiron {

size_t GrammarCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::shared_ptr<const TokenGrammar> GrammarCache::find(const std::string& key) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found);
  return found->grammar;
}

std::shared_ptr<const TokenTrie> GrammarCache::vocabulary() {
  if (vocabulary_ == nullptr) vocabulary_ = std::make_shared<const TokenTrie>(tokenizer_);
  return vocabulary_;
}

Result<std::shared_ptr<const TokenGrammar>> GrammarCache::get(const std::string& key, const Grammar& grammar) {
  std::shared_ptr<const TokenTrie> tokens;
  {
    const std::lock_guard lock(mutex_);
    if (auto found = find(key)) return found;
    tokens = vocabulary();
  }
  TRY_ASSIGN(auto compiled, TokenGrammar::create(grammar, std::move(tokens)));
  if (key.size() > kKeyBytesKept) return compiled;
  const std::lock_guard lock(mutex_);
  if (auto found = find(key)) return found;
  entries_.push_front({key, compiled});
  if (entries_.size() > kKept) entries_.pop_back();
  return compiled;
}

}  // namespace andiron
