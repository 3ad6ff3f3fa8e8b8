// PreTokenCounter: how often each pre-token occurs in texts, which is all that training a vocabulary needs of them.
//
// Memory is bounded by the distinct pre-tokens (once for every worker that meets them), however much text there is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"
#include "base/result.h"
#include "text/bpe_trainer.h"
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"
#include "text/whole_token_finder.h"

namespace andiron {

class PreTokenCounter {
 public:
  // `options` must be valid: which pre-tokenizer, and which special tokens, are theirs to say. `workers` >= 1.
  static Result<PreTokenCounter> create(const BpeTrainOptions& options, int workers);

  // Counts the pre-tokens of a text, which need not be valid UTF-8. Special tokens that it spells are cut out: they are
  // tokens already, and what stands beside them is split as where a text begins or ends. `worker` is in [0, workers);
  // each may be at work in a thread of its own.
  void add(std::string_view text, int worker);

  // What all workers have counted; they begin anew. The same for any division of the texts among workers. Fails where
  // there are more than can be learned from.
  Result<PreTokenCounts> take();

 private:
  using Table = std::unordered_map<std::string, int64_t, KeyedHash, std::equal_to<>>;
  struct alignas(64) Worker {
    Table table;
    std::vector<WholeTokenFinder::Match> specials;
  };

  PreTokenCounter(PreTokenizer pre_tokenizer, int workers)
      : pre_tokenizer_(std::move(pre_tokenizer)), workers_(static_cast<size_t>(workers)) {}

  PreTokenizer pre_tokenizer_;
  std::unique_ptr<const Vocabulary> special_tokens_;  // at a fixed address: the finder refers to it
  WholeTokenFinder finder_;                           // finds nothing where there are none
  std::vector<Worker> workers_;
};

}  // namespace andiron
