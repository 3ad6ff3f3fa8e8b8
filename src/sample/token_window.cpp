#include "sample/token_window.h"

#include <algorithm>
#include <bit>

namespace andiron {

namespace {
bool by_token(const TokenCount& a, int32_t token) { return a.token < token; }
}  // namespace

TokenRing::TokenRing(int32_t capacity) : tokens_(std::bit_ceil(static_cast<uint32_t>(std::max(capacity, 1)))) {
  mask_ = static_cast<uint32_t>(tokens_.size()) - 1;
  if (capacity <= 0) tokens_.clear();
}

void TokenRing::push(int32_t token) {
  if (tokens_.empty()) return;
  tokens_[next_ & mask_] = token;
  ++next_;
  size_ = std::min(size_ + 1, static_cast<uint32_t>(tokens_.size()));
}

void TokenRing::clear() { next_ = size_ = 0; }

WindowCounts::WindowCounts(int32_t window) : window_(window) { counts_.reserve(static_cast<size_t>(window) + 1); }

void WindowCounts::push(const TokenRing& ring) {
  const int32_t token = ring.recent(0);
  auto entry = std::lower_bound(counts_.begin(), counts_.end(), token, by_token);
  if (entry != counts_.end() && entry->token == token) {
    ++entry->count;
  } else {
    counts_.insert(entry, {token, 1});
  }
  if (ring.size() <= window_) return;
  entry = std::lower_bound(counts_.begin(), counts_.end(), ring.recent(window_), by_token);
  if (--entry->count == 0) counts_.erase(entry);
}

RepeatFinder::RepeatFinder(const SamplerOptions& options)
    : window_(options.uses_dry() ? options.dry_last_n : 0), allowed_length_(options.dry_allowed_length) {
  if (window_ == 0) return;
  breakers_ = options.dry_breakers;
  for (auto& breaker : breakers_) std::reverse(breaker.begin(), breaker.end());
  std::sort(breakers_.begin(), breakers_.end());
  matches_.resize(static_cast<size_t>(window_));
  found_.reserve(static_cast<size_t>(window_));
}

bool RepeatFinder::ends_with_breaker(const TokenRing& ring) const {
  const int32_t last = ring.recent(0);
  auto breaker = std::lower_bound(breakers_.begin(), breakers_.end(), last,
                                  [](const std::vector<int32_t>& b, int32_t token) { return b[0] < token; });
  for (; breaker != breakers_.end() && (*breaker)[0] == last; ++breaker) {
    const int32_t length = static_cast<int32_t>(breaker->size());
    if (length > ring.size()) continue;
    int32_t same = 1;
    while (same < length && (*breaker)[same] == ring.recent(same)) ++same;
    if (same == length) return true;
  }
  return false;
}

bool RepeatFinder::is_breaker(int32_t token) const {
  // Sorted by content: a breaker of one token comes before the longer ones that end with it.
  auto breaker = std::lower_bound(breakers_.begin(), breakers_.end(), token,
                                  [](const std::vector<int32_t>& b, int32_t t) { return b[0] < t; });
  return breaker != breakers_.end() && (*breaker)[0] == token && breaker->size() == 1;
}

void RepeatFinder::push(const TokenRing& ring) {
  if (window_ == 0) return;
  since_breaker_ = ends_with_breaker(ring) ? 0 : std::min(since_breaker_ + 1, SamplerOptions::kWindowMax);
}

std::span<const TokenCount> RepeatFinder::find(const TokenRing& ring) {
  found_.clear();
  const int32_t n = std::min(ring.size(), window_);
  const int32_t longest = std::min(since_breaker_, n);
  if (longest < allowed_length_) return found_;

  // matches_[i]: how many tokens before and including the one of age i equal the end of the text. [left, right)
  // is the stretch of ages already known to equal ages [0, right - left).
  int32_t left = 0, right = 0;
  for (int32_t i = 1; i < n; ++i) {
    int32_t length = i < right ? std::min(matches_[i - left], right - i) : 0;
    while (i + length < n && ring.recent(i + length) == ring.recent(length)) ++length;
    matches_[i] = length;
    if (i + length > right) left = i, right = i + length;

    const int32_t repeat = std::min(length, longest);
    if (repeat < allowed_length_) continue;
    const int32_t next = ring.recent(i - 1);
    // A text that repeats itself all along gives the same token again and again: keep one entry.
    if (!found_.empty() && found_.back().token == next) {
      found_.back().count = std::max(found_.back().count, repeat);
    } else if (!is_breaker(next)) {
      found_.push_back({next, repeat});
    }
  }
  std::sort(found_.begin(), found_.end(), [](const TokenCount& a, const TokenCount& b) {
    return a.token != b.token ? a.token < b.token : a.count > b.count;
  });
  const auto same_token = [](const TokenCount& a, const TokenCount& b) { return a.token == b.token; };
  found_.erase(std::unique(found_.begin(), found_.end(), same_token), found_.end());
  return found_;
}

}  // namespace andiron
