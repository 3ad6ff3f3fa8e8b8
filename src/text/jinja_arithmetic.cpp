// The arithmetic operators (jinja_operations.h).
#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "text/jinja_format.h"
#include "text/jinja_operations.h"
#include "text/jinja_strings.h"

namespace andiron::jinja {

namespace {

std::string_view symbol_of(Operator op) {
  switch (op) {
    case Operator::kAdd: return "+";
    case Operator::kSubtract: return "-";
    case Operator::kMultiply: return "*";
    case Operator::kDivide: return "/";
    case Operator::kFloorDivide: return "//";
    case Operator::kModulo: return "%";
    default: return "**";
  }
}

Error wrong_types(Operator op, const Value& a, const Value& b) {
  return make_error("'{}' does not work between a {} and a {}", symbol_of(op), type_name(a), type_name(b));
}

Error overflow() { return make_error("a whole number that does not fit 64 bits"); }

Error zero_division() { return make_error("division by zero"); }

// Python's floor division and modulo: the remainder has the divisor's sign.
int64_t floor_divide(int64_t a, int64_t b) { return a / b - ((a % b != 0 && (a % b < 0) != (b < 0)) ? 1 : 0); }

double floor_modulo(double a, double b) {
  double rest = std::fmod(a, b);
  if (rest != 0) {
    if ((b < 0) != (rest < 0)) rest += b;
  } else {
    rest = std::copysign(0.0, b);
  }
  return rest;
}

double floor_divide(double a, double b) {
  const double rest = floor_modulo(a, b);
  const double quotient = (a - rest) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

Result<Value> power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Value::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value::integer(result);
}

Result<Value> integer_arithmetic(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Operator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Operator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return overflow();
      return Value::integer(result);
    case Operator::kDivide:
      if (b == 0) return zero_division();
      return Value::real(static_cast<double>(a) / static_cast<double>(b));
    case Operator::kFloorDivide:
    case Operator::kModulo:
      if (b == 0) return zero_division();
      if (b == -1) {  // the one divisor with which the smallest number overflows
        if (op == Operator::kModulo) return Value::integer(0);
        return negate(Value::integer(a));
      }
      return Value::integer(op == Operator::kFloorDivide ? floor_divide(a, b) : a - floor_divide(a, b) * b);
    default: return power(a, b);
  }
}

Result<Value> real_arithmetic(Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd: return Value::real(a + b);
    case Operator::kSubtract: return Value::real(a - b);
    case Operator::kMultiply: return Value::real(a * b);
    case Operator::kPower: {
      if (a == 0 && b < 0) return zero_division();
      const double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) return make_error("the power is a complex number");
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) return make_error("the power is too large");
      return Value::real(result);
    }
    default: break;
  }
  if (b == 0) return zero_division();
  if (op == Operator::kDivide) return Value::real(a / b);
  return Value::real(op == Operator::kFloorDivide ? floor_divide(a, b) : floor_modulo(a, b));
}

Result<Value> add_strings(Runtime& runtime, const Value& a, const Value& b) {
  const bool is_markup = a.string().markup || b.string().markup;
  TextBuilder out(runtime);
  for (const Value* part : {&a, &b}) {
    if (is_markup && !part->string().markup) {
      append_escaped(out, part->text());
    } else {
      out.append(part->text());
    }
  }
  return out.finish(is_markup);
}

Result<Value> add_sequences(Runtime& runtime, const Value& a, const Value& b) {
  const size_t count = a.items().size() + b.items().size();
  TRY(runtime.spend(count / 16));
  if (count * sizeof(Value) > runtime.budget().memory_left()) return runtime.out_of_memory();
  std::vector<Value> items;
  items.reserve(count);
  items.insert(items.end(), a.items().begin(), a.items().end());
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::kList) ? runtime.list(std::move(items)) : runtime.tuple(std::move(items));
}

// text * count and list * count.
Result<Value> repeat(Runtime& runtime, const Value& value, int64_t count) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  if (value.is_string()) {
    const Text& text = value.text();
    TextBuilder out(runtime);
    if (!text.is_tainted()) {
      out.append_repeated(text.bytes(), times);
    } else {
      for (uint64_t i = 0; i < times && !text.empty() && !out.failed(); ++i) out.append(text);
    }
    return out.finish(value.string().markup);
  }
  const auto& items = value.items();
  if (!items.empty() && times > runtime.budget().memory_left() / sizeof(Value) / items.size()) {
    return runtime.out_of_memory();
  }
  const uint64_t total = times * items.size();
  TRY(runtime.spend(total / 16));
  std::vector<Value> out;
  out.reserve(total);
  for (uint64_t i = 0; i < total; ++i) out.push_back(items[i % items.size()]);
  return value.is(Kind::kList) ? runtime.list(std::move(out)) : runtime.tuple(std::move(out));
}

}  // namespace

Result<Value> arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.as_int(), b.as_int());
    return real_arithmetic(op, a.as_real(), b.as_real());
  }
  if (a.is_string() && op == Operator::kModulo) return format_percent(runtime, a.string(), b);
  if (a.is_undefined()) return Error{a.undefined_hint()};
  if (b.is_undefined()) return Error{b.undefined_hint()};
  if (op == Operator::kAdd && a.kind() == b.kind()) {
    if (a.is_string()) return add_strings(runtime, a, b);
    if (a.is_sequence()) return add_sequences(runtime, a, b);
  }
  if (op == Operator::kMultiply) {
    if ((a.is_string() || a.is_sequence()) && b.is_integral()) return repeat(runtime, a, b.as_int());
    if ((b.is_string() || b.is_sequence()) && a.is_integral()) return repeat(runtime, b, a.as_int());
  }
  return wrong_types(op, a, b);
}

Result<Value> negate(const Value& value) {
  if (value.is_undefined()) return Error{value.undefined_hint()};
  if (value.is(Kind::kReal)) return Value::real(-value.as_real());
  if (!value.is_integral()) return make_error("'-' does not work on a {}", type_name(value));
  if (value.as_int() == INT64_MIN) return overflow();
  return Value::integer(-value.as_int());
}

Result<Value> positive(const Value& value) {
  if (value.is_undefined()) return Error{value.undefined_hint()};
  if (value.is(Kind::kReal)) return value;
  if (!value.is_integral()) return make_error("'+' does not work on a {}", type_name(value));
  return Value::integer(value.as_int());
}

}  // namespace andiron::jinja
