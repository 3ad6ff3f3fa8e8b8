// A text cut into windows of tokens: what perplexity and importance matrices are measured on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "text/tokenizer.h"

namespace andiron {

class TextWindows {
 public:
  // `vocabulary`: the model's rows. Fails when there is not even one window, or on a token that the model lacks: the
  // last of a window is never run through the model, only looked up in its logits.
  static Result<TextWindows> create(std::span<const int32_t> tokens, const Tokenizer& tokenizer, int64_t vocabulary,
                                    int64_t window, int64_t windows_max) {
    if (window < 4) return make_error("a window of {} tokens is too short; expected at least 4", window);
    const int64_t whole = static_cast<int64_t>(tokens.size()) / window;
    if (whole == 0) {
      return make_error("the text has {} tokens, fewer than one window of {}; give a longer text or a shorter window",
                        tokens.size(), window);
    }
    for (size_t i = 0; i < tokens.size(); ++i) TRY(check_token(tokens[i], vocabulary, i));
    const int32_t bos = tokenizer.adds_bos() ? tokenizer.bos() : kNoToken;
    if (bos != kNoToken) TRY(check_token(bos, vocabulary, 0));
    return TextWindows(tokens, bos, window, windows_max > 0 ? std::min(whole, windows_max) : whole);
  }

  int64_t count() const { return count_; }
  int64_t size() const { return static_cast<int64_t>(window_.size()); }
  // Window i, the first token replaced by bos where the model wants one; valid until the next call.
  std::span<const int32_t> at(int64_t i) {
    const auto from = tokens_.subspan(i * size(), window_.size());
    std::copy(from.begin(), from.end(), window_.begin());
    if (bos_ != kNoToken) window_[0] = bos_;
    return window_;
  }

 private:
  static Status check_token(int32_t token, int64_t vocabulary, size_t place) {
    if (token >= 0 && token < vocabulary) return {};
    return make_error(
        "token {} of the text has the id {}, but the model's vocabulary has {}; the tokenizer belongs to another model",
        place, token, vocabulary);
  }

  TextWindows(std::span<const int32_t> tokens, int32_t bos, int64_t window, int64_t count)
      : tokens_(tokens), bos_(bos), count_(count), window_(static_cast<size_t>(window)) {}

  std::span<const int32_t> tokens_;
  int32_t bos_;
  int64_t count_;
  std::vector<int32_t> window_;
};

}  // namespace andiron
