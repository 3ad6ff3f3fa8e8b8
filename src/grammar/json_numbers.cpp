#include "grammar/json_numbers.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr int64_t kWholeMax = 999'999'999'999'999;  // what a double and a JavaScript program hold exactly
constexpr size_t kPlacesMax = 6;                    // digits behind the point of a bound

uint32_t digits(Grammar& grammar, char first, char last) {
  return grammar.chars(CharSet(static_cast<uint8_t>(first), static_cast<uint8_t>(last)));
}

uint32_t any_digits(Grammar& grammar, size_t count) {
  const auto n = static_cast<uint32_t>(count);
  return grammar.repeat(digits(grammar, '0', '9'), n, n);
}

// Texts of as many digits as `low` and `high` have, between them.
uint32_t same_length(Grammar& grammar, const std::string& low, const std::string& high) {
  const size_t rest = low.size() - 1;
  if (low.find_first_not_of('0') == std::string::npos && high.find_first_not_of('9') == std::string::npos) {
    return any_digits(grammar, low.size());
  }
  if (rest == 0) return digits(grammar, low[0], high[0]);
  if (low[0] == high[0]) {
    const uint32_t head = digits(grammar, low[0], low[0]);
    return grammar.sequence({head, same_length(grammar, low.substr(1), high.substr(1))});
  }
  std::vector<uint32_t> choices;
  uint32_t head = digits(grammar, low[0], low[0]);
  choices.push_back(grammar.sequence({head, same_length(grammar, low.substr(1), std::string(rest, '9'))}));
  if (low[0] + 1 < high[0]) {
    head = digits(grammar, static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1));
    choices.push_back(grammar.sequence({head, any_digits(grammar, rest)}));
  }
  head = digits(grammar, high[0], high[0]);
  choices.push_back(grammar.sequence({head, same_length(grammar, std::string(rest, '0'), high.substr(1))}));
  return grammar.choice(std::move(choices));
}

// Whole numbers from `low` (at least 0) to `high`.
std::optional<uint32_t> naturals(Grammar& grammar, int64_t low, int64_t high) {
  if (low > high) return std::nullopt;
  std::vector<uint32_t> choices;
  const size_t longest = std::to_string(high).size();
  for (size_t length = std::to_string(low).size(); length <= longest; ++length) {
    const std::string least = length == 1 ? "0" : "1" + std::string(length - 1, '0');
    const std::string from = std::to_string(low).size() == length ? std::to_string(low) : least;
    const std::string to = length == longest ? std::to_string(high) : std::string(length, '9');
    choices.push_back(same_length(grammar, from, to));
  }
  return grammar.choice(std::move(choices));
}

// [0, kWholeMax] and below as whole numbers: an end that is exclusive goes one further.
int64_t low_whole(const NumberBounds::Bound& bound) {
  const double up = std::ceil(bound.value);
  return static_cast<int64_t>(up) + (bound.exclusive && up == bound.value ? 1 : 0);
}
int64_t high_whole(const NumberBounds::Bound& bound) { return -low_whole({-bound.value, bound.exclusive}); }

std::optional<uint32_t> choice_of(Grammar& grammar, std::vector<uint32_t> choices) {
  if (choices.empty()) return std::nullopt;
  return grammar.choice(std::move(choices));
}

uint32_t fraction(Grammar& grammar, uint32_t places = 15) {
  return grammar.sequence({grammar.text("."), grammar.repeat(digits(grammar, '0', '9'), 1, places)});
}

// How many digits may stand behind the point of such a number so that no two texts are the same double: with more, what
// is just below an exclusive bound would be read as the bound.
uint32_t places_beside(int64_t whole) {
  const size_t size = std::to_string(whole).size();
  return size < 14 ? static_cast<uint32_t>(15 - size) : 1;
}

// How many digits a number has behind the point: many, where it has to be written with an exponent.
size_t places_of(double value) {
  const std::string text = format("{}", value);
  if (text.find('e') != std::string::npos) return value == std::floor(value) ? 0 : SIZE_MAX;
  const size_t point = text.find('.');
  return point == std::string::npos ? 0 : text.size() - point - 1;
}

// What lies between a bound with a fraction and the next whole number. `low` and `high` are at least 0.
void fractions(Grammar& grammar, uint32_t sign, const NumberBounds::Bound& low,
               const std::optional<NumberBounds::Bound>& high, std::vector<uint32_t>& choices) {
  const size_t places = std::max(places_of(low.value), high ? places_of(high->value) : 0);
  if (places == 0 || places > kPlacesMax) return;
  const auto unit = static_cast<int64_t>(std::llround(std::pow(10.0, static_cast<double>(places))));
  const auto scaled = [&](double value) {
    return static_cast<int64_t>(std::llround(value * static_cast<double>(unit)));
  };
  if (std::max(low.value, high ? high->value : 0) * static_cast<double>(unit) > kWholeMax) return;
  const int64_t from = scaled(low.value) + (low.exclusive ? 1 : 0);
  const int64_t next = (from + unit - 1) / unit * unit;  // as are all of these, `unit` times as large
  const int64_t top = high ? scaled(high->value) : next;
  // From `first` to `last`, between two whole numbers, with as many digits or fewer; with `more` also all that begin
  // like one of these.
  const auto add = [&](int64_t first, int64_t last, bool more) {
    for (int64_t step = 1, one = unit; one > 1; step *= 10, one /= 10) {
      const int64_t least = (first + step - 1) / step, most = last / step;
      if (least > most) continue;
      const auto behind = [&](int64_t n) { return std::to_string(one + n % one).substr(1); };
      std::vector<uint32_t> parts = {sign, grammar.text(std::to_string(least / one) + "."),
                                     same_length(grammar, behind(least), behind(most))};
      const auto room = static_cast<int64_t>(places_beside(least / one)) - static_cast<int64_t>(places);
      if (more && step == 1 && room > 0) {
        parts.push_back(grammar.repeat(digits(grammar, '0', '9'), 0, static_cast<uint32_t>(room)));
      }
      choices.push_back(grammar.sequence(std::move(parts)));
    }
  };
  add(from, std::min(next, top) - 1, true);
  if (top / unit * unit >= next) add(top / unit * unit, top - 1, true);
  if (high && !high->exclusive && top % unit != 0) add(std::max(from, top), top, false);
}

// Numbers of at least 0 and their fractions. `low` and `high` are at least 0.
void magnitudes(Grammar& grammar, uint32_t sign, const NumberBounds::Bound& low,
                const std::optional<NumberBounds::Bound>& high, std::vector<uint32_t>& choices) {
  const int64_t top = high ? static_cast<int64_t>(std::floor(high->value)) : kWholeMax;
  const bool top_itself = !high || !high->exclusive || std::floor(high->value) < high->value;
  const int64_t first = low_whole(low);
  if (const auto whole = naturals(grammar, first, top - 1)) {
    const uint32_t places = high && high->exclusive ? places_beside(top) : 15;
    choices.push_back(grammar.sequence({sign, *whole, grammar.optional(fraction(grammar, places))}));
  }
  if (low.exclusive && low.value == std::floor(low.value) && first - 1 < top) {
    const uint32_t above = grammar.sequence({grammar.text(std::to_string(first - 1) + "."),
                                             grammar.repeat(digits(grammar, '0', '9'), 0, places_beside(first) - 1),
                                             digits(grammar, '1', '9')});
    choices.push_back(grammar.sequence({sign, above}));
  }
  if (top_itself && top >= first) choices.push_back(grammar.sequence({sign, grammar.text(std::to_string(top))}));
  fractions(grammar, sign, low, high, choices);
}

}  // namespace

std::optional<uint32_t> json_integer(Grammar& grammar, const NumberBounds& bounds) {
  const int64_t low = bounds.lowest ? low_whole(*bounds.lowest) : -kWholeMax;
  const int64_t high = bounds.highest ? high_whole(*bounds.highest) : kWholeMax;
  std::vector<uint32_t> choices;
  if (const auto above = naturals(grammar, std::max<int64_t>(low, 0), high)) choices.push_back(*above);
  if (const auto below = naturals(grammar, std::max<int64_t>(-high, 1), -low)) {
    choices.push_back(grammar.sequence({grammar.text("-"), *below}));
  }
  return choice_of(grammar, std::move(choices));
}

std::optional<uint32_t> json_number(Grammar& grammar, const NumberBounds& bounds) {
  if (!bounds.lowest && !bounds.highest) {
    const uint32_t e = grammar.chars(CharSet('e', 'e').unite(CharSet('E', 'E')));
    const uint32_t sign = grammar.chars(CharSet('+', '+').unite(CharSet('-', '-')));
    const uint32_t exponent =
        grammar.sequence({e, grammar.optional(sign), grammar.repeat(digits(grammar, '0', '9'), 1, 2)});
    return grammar.sequence({grammar.optional(grammar.text("-")), *naturals(grammar, 0, kWholeMax),
                             grammar.optional(fraction(grammar)), grammar.optional(exponent)});
  }
  std::vector<uint32_t> choices;
  const auto& low = bounds.lowest;
  const auto& high = bounds.highest;
  if (!high || high->value >= 0) {
    const bool positive = low && low->value >= 0;
    magnitudes(grammar, grammar.sequence({}), positive ? *low : NumberBounds::Bound{}, high, choices);
  }
  if (!low || low->value < 0) {  // "-0" is left out
    const bool negative = high && high->value < 0;
    std::optional<NumberBounds::Bound> far;
    if (low) far = {-low->value, low->exclusive};
    const NumberBounds::Bound near =
        negative ? NumberBounds::Bound{-high->value, high->exclusive} : NumberBounds::Bound{0, true};
    magnitudes(grammar, grammar.text("-"), near, far, choices);
  }
  return choice_of(grammar, std::move(choices));
}

}  // namespace andiron
