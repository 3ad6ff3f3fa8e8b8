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

}  // namespace andiron::ember
