// BpeTrainer: learns the merges of a byte-level BPE vocabulary from counted pre-tokens.
//
// The algorithm is that of R. Sennrich, B. Haddow and A. Birch, "Neural Machine Translation of Rare Words with Subword
// Units" (ACL 2016, section 3.2, algorithm 1), on bytes (A. Radford et al., GPT-2, 2019): every pre-token begins as its
// bytes; again and again the pair of neighbours that occurs most often, counted with how often the pre-tokens occur,
// becomes a new symbol everywhere, from left to right. Among pairs that are as frequent the one with the smaller left
// id goes first, then the one with the smaller right id; ids run through the special tokens, the 256 bytes in the order
// of their characters in GPT-2's alphabet, and the merges in the order in which they were made. Hugging Face's
// BpeTrainer numbers and decides alike.
//
// Not every pair is recounted for every merge: the places of each pair are known, a merge corrects the counts of the
// pairs beside its places alone, and a heap holds for each pair a count that it had once. A count never rises after the
// merge that made the pair, since every later merge makes pairs of a new symbol only; so the top of the heap is the
// most frequent pair once its count is found to be true, and goes back with the true one otherwise. The whole takes
// O(n log n) for n bytes of distinct pre-tokens, and about 12 bytes of memory for each beside the pairs.
//
// No text comes about in two ways: between two borders that no merge ever crosses, merges depend on what lies between
// alone. So the texts of tokens are distinct, and an encoder that applies the merges by rank finds the trainer's own
// segmentation.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/result.h"
#include "text/text_list.h"
#include "text/tokenizer_spec.h"

namespace andiron {

struct BpeTrainOptions {
  // Ids of 20 bits are four times what the largest published vocabularies use.
  static constexpr int64_t kVocabSizeMax = 1 << 20;

  int64_t vocab_size = 4096;                     // the special tokens and the 256 bytes included
  std::string pre = "qwen2";                     // pre-tokenizer, by its name in GGUF (pre_names.h)
  std::vector<std::string> special_tokens = {};  // ids from 0 on
  int64_t count_min = 2;                         // rarer pairs are not merged: once teaches nothing
};

// An Error that says what is wrong: a vocabulary too small for the bytes and the special tokens, or too large; a
// pre-tokenizer that is not known or not byte-level; a special token that is empty, too long, no UTF-8, there twice, or
// spelled as one of the bytes.
Status validate(const BpeTrainOptions& options);

// Distinct pre-tokens, in the order of their bytes, and how often each occurs.
struct PreTokenCounts {
  TextList texts;
  std::vector<int64_t> counts;
};

// An Error where distinct pre-tokens of so many bytes are more than can be learned from.
Status check_words(size_t bytes, size_t count);

class BpeTrainer {
 public:
  // Longer tokens are not made: a file of dashes would fill the vocabulary with lines of dashes.
  static constexpr size_t kTokenBytesMax = 1024;

  // `options` must be valid. Fails on more pre-tokens than 32-bit places can stand for.
  static Result<BpeTrainer> create(const PreTokenCounts& counts, BpeTrainOptions options);

  // Makes the next merge; false when the vocabulary is full or no pair is left that occurs `count_min` times.
  bool merge_next();

  int64_t vocab_size() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t merges() const { return static_cast<int64_t>(merge_left_.size()); }
  // How often the pair of the last merge occurred; 0 before the first.
  int64_t last_count() const { return last_count_; }
  // Tokens of all that was counted.
  int64_t tokens() const { return token_count_; }
  // The tokens of a pre-token, by its index in the counts.
  std::vector<int32_t> segmentation(size_t pre_token) const;

  // The tokenizer as far as it is learned: which of the special tokens begins and ends texts, and the chat template,
  // are the caller's to set.
  TokenizerSpec spec() const;

 private:
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> places;  // of its left symbol, ascending; some no longer hold it
  };
  struct Candidate {
    int64_t count;
    int32_t left, right;
    // std::priority_queue gives the greatest first.
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      return left != other.left ? left > other.left : right > other.right;
    }
  };
  struct PairHash {
    size_t operator()(uint64_t pair) const { return static_cast<size_t>(keyed_hash(pair)); }
  };

  explicit BpeTrainer(BpeTrainOptions options) : options_(std::move(options)) {}
  void add_first_tokens();
  void lay_out(const PreTokenCounts& counts);
  std::optional<Candidate> take_best();
  bool is_allowed(int32_t left, int32_t right) const;
  void merge(const Candidate& pair, int32_t id);
  void add(int32_t left, int32_t right, uint32_t place, int64_t count);
  void subtract(int32_t left, int32_t right, int64_t count);
  void offer_new_pairs();

  BpeTrainOptions options_;
  TextList tokens_;              // in GPT-2's byte alphabet; the special ones as they are
  std::vector<uint32_t> sizes_;  // in bytes of text, by id
  TextList merge_left_, merge_right_;
  int32_t byte_ids_[256] = {};

  // All pre-tokens behind one another, a place for each byte, with a border before each and after the last. The place
  // where a symbol begins holds its id; of a longer one the last place holds minus its size, so that the symbol before
  // any place can be found, and those between hold kInside.
  std::vector<int32_t> places_;
  std::vector<uint32_t> owners_;  // by place: the index of the pre-token
  std::vector<uint32_t> begins_;  // by pre-token: its first place
  std::vector<int64_t> counts_;   // by pre-token

  std::unordered_map<uint64_t, Pair, PairHash> pairs_;  // that occur count_min times or more
  std::vector<uint64_t> new_pairs_;                     // that are not in the heap yet
  std::priority_queue<Candidate> heap_;
  int64_t token_count_ = 0;
  int64_t last_count_ = 0;
};

}  // namespace andiron
