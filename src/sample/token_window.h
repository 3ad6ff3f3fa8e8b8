// The recent tokens of one sequence, and what the penalties need to know of them.
//
// All memory is taken in the constructor; no later call allocates.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sample/sampler_options.h"

namespace andiron {

struct TokenCount {
  int32_t token;
  int32_t count;
};

// The last tokens in a ring.
class TokenRing {
 public:
  // Remembers at least `capacity` tokens; 0 remembers none.
  explicit TokenRing(int32_t capacity);

  void push(int32_t token);
  // Number of tokens remembered.
  int32_t size() const { return static_cast<int32_t>(size_); }
  // The token `age` steps ago; age 0 is the last one. Requires age < size().
  int32_t recent(int32_t age) const { return tokens_[(next_ - 1 - static_cast<uint32_t>(age)) & mask_]; }
  void clear();

 private:
  std::vector<int32_t> tokens_;  // a power of two long
  uint32_t mask_ = 0;
  uint32_t next_ = 0;
  uint32_t size_ = 0;
};

// How often each token occurs among the last n. A push costs a binary search and a move of at most n entries.
class WindowCounts {
 public:
  explicit WindowCounts(int32_t window);

  // The newest token of `ring` has just been pushed; ring must remember more than `window` tokens.
  void push(const TokenRing& ring);
  // Sorted by token, counts at least 1.
  std::span<const TokenCount> counts() const { return counts_; }
  void clear() { counts_.clear(); }

 private:
  int32_t window_;
  std::vector<TokenCount> counts_;
};

// Finds repetitions of the end of the text, for DRY.
class RepeatFinder {
 public:
  // Uses dry_last_n, dry_allowed_length and dry_breakers of validated options.
  explicit RepeatFinder(const SamplerOptions& options);

  // The newest token of `ring` has just been pushed.
  void push(const TokenRing& ring);

  // For each token that would prolong a repetition of at least dry_allowed_length tokens: the length of the
  // longest one, in `count`; sorted by token. Valid until the next call. Linear in the window, by the
  // Z-function (Gusfield, "Algorithms on Strings, Trees, and Sequences", 1997, section 1.3) of the reversed text,
  // then a sort of the tokens found.
  std::span<const TokenCount> find(const TokenRing& ring);
  void clear() { since_breaker_ = 0; }

 private:
  bool ends_with_breaker(const TokenRing& ring) const;
  bool is_breaker(int32_t token) const;

  int32_t window_;
  int32_t allowed_length_;
  std::vector<std::vector<int32_t>> breakers_;  // each reversed; sorted, so those that end alike lie together
  int32_t since_breaker_ = 0;                   // tokens after the last breaker, at most kWindowMax
  std::vector<int32_t> matches_;                // the Z-function
  std::vector<TokenCount> found_;
};

}  // namespace andiron
