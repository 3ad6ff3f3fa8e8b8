// Finds the tokens that are matched whole, before any splitting or merging: control, unknown and user-defined ones.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocabulary.h"

namespace andiron {

class WholeTokenFinder {
 public:
  // Longer tokens are not looked for: a search costs up to this many steps for each byte of text.
  static constexpr size_t kTextBytesMax = 1024;

  struct Match {
    size_t begin = 0;  // of the text the token replaces, with the white space its rule swallows
    size_t end = 0;
    int32_t id = kNoToken;
  };
  // Bytes [begin, end) of the text.
  struct Range {
    size_t begin;
    size_t end;
  };

  // `vocabulary` must outlive the finder. Fails on a rule or a token text beyond the limits.
  static Result<WholeTokenFinder> create(const Vocabulary& vocabulary, const TokenizerSpec& spec);

  // Appends the matches in `text`, in order, not overlapping: at each place the longest that is allowed there.
  // User-defined tokens are allowed anywhere; control, unknown and structural ones only where every byte of theirs lies
  // within one of `trusted` (sorted, not touching each other).
  void find(std::string_view text, std::span<const Range> trusted, std::vector<Match>& out) const;

 private:
  struct Entry {
    std::string_view text;
    int32_t id;
    bool needs_trust;
    TokenRule rule;
  };

  const Entry* longest_at(std::string_view text, size_t at, size_t trusted_end) const;

  std::vector<Entry> entries_;  // by text
  // By first byte: the entries that begin with it are [starts_[b], starts_[b + 1]).
  std::array<uint32_t, 257> starts_{};
};

}  // namespace andiron
