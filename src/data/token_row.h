// Rows of tokens, ready to train on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace andiron {

struct TokenRow {
  std::vector<int32_t> tokens;   // at least 2
  std::vector<uint8_t> trained;  // by token: 1 where the loss counts predicting this token from those before; [0] is 0

  // A row of n tokens takes n - 1 positions of a sequence: the last token is only a target.
  int64_t positions() const { return static_cast<int64_t>(tokens.size()) - 1; }
  // The first token that is trained: what stands before it is the prompt, as serving would give it.
  size_t prompt_size() const {
    size_t at = 0;
    while (at < trained.size() && trained[at] == 0) ++at;
    return at;
  }
};

// Rows of one use (DataUse): plain rows, pairs, or labelled answers.
struct TokenRows {
  std::vector<TokenRow> rows;      // of pairs: the chosen answers
  std::vector<TokenRow> rejected;  // of pairs: by row, with the same prompt; otherwise empty
  std::vector<uint8_t> desirable;  // of labelled answers: by row; otherwise empty
};

}  // namespace andiron
