// The grammars of requests, compiled for a model's vocabulary: the latest are kept, since clients send the same ones
// again and again. Any thread; two that miss the same grammar both compile it.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "grammar/grammar.h"
#include "grammar/token_grammar.h"
#include "text/tokenizer.h"

namespace andiron {

class GrammarCache {
 public:
  static constexpr size_t kKept = 32;                 // compiled, each a few MB of masks at most
  static constexpr size_t kKeyBytesKept = 256 << 10;  // a longer key is not kept

  // `tokenizer` must outlive it.
  explicit GrammarCache(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // `key` is the same for the same grammar only. Errors as TokenGrammar::create().
  Result<std::shared_ptr<const TokenGrammar>> get(const std::string& key, const Grammar& grammar);

  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const TokenGrammar> grammar;
  };
  std::shared_ptr<const TokenGrammar> find(const std::string& key);
  std::shared_ptr<const TokenTrie> vocabulary();

  const Tokenizer& tokenizer_;
  mutable std::mutex mutex_;
  std::shared_ptr<const TokenTrie> vocabulary_;  // made when the first grammar comes
  std::list<Entry> entries_;                     // the latest used first
};

}  // namespace andiron
