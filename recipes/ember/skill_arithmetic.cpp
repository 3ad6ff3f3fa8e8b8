// Rows that add and subtract up to three digits. Lengths are drawn before numbers, so that short and long sums, and
// with them sums with and without carries, are equally frequent.
#include "arithmetic.h"

#include <algorithm>

#include "base/strings.h"
#include "skills.h"

namespace andiron::ember {

namespace {

int draw_of_length(Dice& dice, int digits) {
  constexpr int kFirst[] = {0, 10, 100, 1000};
  return dice.between(kFirst[digits - 1], kFirst[digits] - 1);
}

Sum draw_sum(const Writer& writer, bool in_words) {
  Dice& dice = writer.dice();
  for (;;) {
    Sum out;
    const int length = dice.between(1, 3);
    out.a = draw_of_length(dice, length);
    out.b = draw_of_length(dice, dice.chance(0.6) ? length : dice.between(1, 3));
    out.plus = dice.chance(0.5);
    // Zero has a share of its own, or "0 - 22" would hardly ever be met.
    const bool has_zero = !in_words && dice.chance(0.04);
    if (has_zero) (dice.chance(0.7) ? out.a : out.b) = 0;
    const bool below_zero = !out.plus && out.b > out.a;
    if (below_zero && (in_words || !dice.chance(has_zero ? 0.7 : 0.15))) std::swap(out.a, out.b);
    if (in_words && (std::min(out.a, out.b) < 2 || out.a == out.b)) continue;
    if (is_test_sum(out) == writer.is_test()) return out;
  }
}

void ask_story(const Writer& writer, Conversation& out) {
  const Sum sum = draw_sum(writer, true);
  const Subject somebody = writer.somebody();
  const Slots slots{&somebody, {{"A", format("{}", sum.a)}, {"B", format("{}", sum.b)}, {"K", writer.word("things")}}};
  out.ask(writer.sentence(sum.plus ? "sums.more" : "sums.less", slots), worked(sum));
}

void ask_sum(const Writer& writer, Conversation& out) {
  Dice& dice = writer.dice();
  const Sum sum = draw_sum(writer, false);
  const Slots slots{nullptr, {{"A", format("{}", sum.a)}, {"B", format("{}", sum.b)}, {"SUM", shown(sum)}}};
  if (dice.chance(0.46)) {
    out.ask(writer.sentence(sum.plus ? "sums.plus.ask" : "sums.minus.ask", slots), worked(sum));
  } else {
    out.ask(writer.sentence(!out.turns.empty() && dice.chance(0.5) ? "sums.next" : "sums.plain.ask", slots),
            worked(sum));
  }
}

}  // namespace

bool is_test_sum(const Sum& sum) {
  const int low = std::min(sum.a, sum.b), high = std::max(sum.a, sum.b);
  return high >= 10 && (static_cast<uint32_t>(low * 1000 + high) * 2654435761U >> 16) % 12 == 0;
}

std::string shown(const Sum& sum) { return format("{} {} {}", sum.a, sum.plus ? '+' : '-', sum.b); }

namespace {

std::string add_steps(int a, int b) {
  std::string out;
  for (int carry = 0; a > 0 || b > 0; a /= 10, b /= 10) {
    const int sum = a % 10 + b % 10 + carry;
    out += format("{}{} + {}{} = {}", out.empty() ? "" : ", ", a % 10, b % 10, carry > 0 ? " + 1" : "", sum);
    carry = sum / 10;
  }
  return out;
}

// a is not below b.
std::string subtract_steps(int a, int b) {
  std::string out;
  for (int borrow = 0; a > 0; a /= 10, b /= 10) {
    int top = a % 10 - borrow;
    borrow = top < b % 10 ? 1 : 0;
    top += 10 * borrow;
    out += format("{}{} - {} = {}", out.empty() ? "" : ", ", top, b % 10, top - b % 10);
  }
  return out;
}

}  // namespace

std::string worked(const Sum& sum) {
  if (sum.a < 10 && sum.b < 10) return format("{} = {}", shown(sum), sum.value());
  const bool below_zero = sum.value() < 0;
  const Sum turned{sum.b, sum.a, false};  // 12 - 45 is 45 - 12 below zero
  const std::string steps = sum.plus     ? add_steps(sum.a, sum.b)
                            : below_zero ? format("{}: {}", shown(turned), subtract_steps(sum.b, sum.a))
                                         : subtract_steps(sum.a, sum.b);
  return format("{}: {}. It is {}.", shown(sum), steps, sum.value());
}

Conversation arithmetic_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 3 + writer.dice().below(5);
  for (size_t i = 0; i < turns; ++i) {
    if (writer.dice().chance(0.25)) {
      ask_story(writer, out);
    } else {
      ask_sum(writer, out);
    }
  }
  return out;
}

}  // namespace andiron::ember
