// Parts of grammars for JSON numbers between bounds.
#pragma once

#include <optional>

#include "grammar/grammar.h"

namespace andiron {

struct NumberBounds {
  struct Bound {
    double value = 0;  // finite, at most kMagnitudeMax from 0
    bool exclusive = false;
  };
  std::optional<Bound> lowest, highest;

  static constexpr double kMagnitudeMax = 1e15;
};

// Whole numbers without fraction or exponent, of at most 15 digits where there is no bound. None where no whole number
// lies between the bounds.
std::optional<uint32_t> json_integer(Grammar& grammar, const NumberBounds& bounds);

// Numbers; with bounds, those without exponent. Of those next to a bound some are left out: between a bound with more
// than six digits behind the point and the next whole number all; next to an exclusive bound those that are nearer to
// it than its last digit can say. None where no number is left.
std::optional<uint32_t> json_number(Grammar& grammar, const NumberBounds& bounds);

}  // namespace andiron
