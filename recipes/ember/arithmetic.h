// Sums, and which of them training never sees.
#pragma once

#include <cstdint>
#include <string>

namespace andiron::ember {

struct Sum {
  int a = 0;
  int b = 0;
  bool plus = true;

  int value() const { return plus ? a + b : a - b; }
};

// A twelfth of all pairs with a number of two digits or more, whichever comes first and whether they are added or
// subtracted.
bool is_test_sum(const Sum& sum);
std::string shown(const Sum& sum);  // "12 + 7"
// A sum of digits is told at once: "8 + 7 = 15". Longer ones are worked out digit by digit from the right, as people do
// on paper, each step a sum or a difference that is soon known by heart, with what is carried or borrowed shown:
//   "345 + 278: 5 + 8 = 13, 4 + 7 + 1 = 12, 3 + 2 + 1 = 6. It is 623."
//   "345 - 278: 15 - 8 = 7, 13 - 7 = 6, 2 - 2 = 0. It is 67."
// A small model learns to add from far fewer sums this way (Lee et al., "Teaching Arithmetic to Small Transformers",
// ICLR 2024).
std::string worked(const Sum& sum);

}  // namespace andiron::ember
