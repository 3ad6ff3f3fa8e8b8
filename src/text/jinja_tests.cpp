// The tests behind `is`. Each follows the test of its name in Jinja 3.1.
#include "base/strings.h"
#include "text/jinja_builtins.h"
#include "text/jinja_case.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

Result<Value> yes_if(bool condition) { return Value::boolean(condition); }

Result<Value> is_defined(Runtime&, const Value* a) { return yes_if(!a[0].is_undefined()); }
Result<Value> is_undefined(Runtime&, const Value* a) { return yes_if(a[0].is_undefined()); }
Result<Value> is_none(Runtime&, const Value* a) { return yes_if(a[0].is_none()); }
Result<Value> is_boolean(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kBool)); }
Result<Value> is_true(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kBool) && a[0].as_bool()); }
Result<Value> is_false(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kBool) && !a[0].as_bool()); }
Result<Value> is_integer(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kInt)); }
Result<Value> is_float(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kReal)); }
Result<Value> is_number(Runtime&, const Value* a) { return yes_if(a[0].is_number()); }
Result<Value> is_string(Runtime&, const Value* a) { return yes_if(a[0].is_string()); }
Result<Value> is_mapping(Runtime&, const Value* a) { return yes_if(a[0].is(Kind::kDict)); }
Result<Value> is_iterable_test(Runtime&, const Value* a) { return yes_if(is_iterable(a[0])); }
Result<Value> is_escaped(Runtime&, const Value* a) { return yes_if(a[0].is_string() && a[0].string().markup); }

// Whatever has a length and takes an index, which in Python includes dicts.
Result<Value> is_sequence(Runtime&, const Value* a) {
  return yes_if(a[0].is_undefined() || a[0].is_string() || a[0].is_sequence() || a[0].is(Kind::kDict) ||
                a[0].is(Kind::kRange));
}

Result<Value> is_callable(Runtime&, const Value* a) {
  return yes_if(a[0].is_undefined() || a[0].is(Kind::kMacro) || a[0].is(Kind::kFunction) || a[0].is(Kind::kLoop) ||
                a[0].is(Kind::kJoiner));
}

Result<bool> remainder_is(Runtime& runtime, const Value& value, const Value& divisor, int64_t wanted) {
  TRY_ASSIGN(const Value rest, arithmetic(runtime, Operator::kModulo, value, divisor));
  return equals(runtime, rest, Value::integer(wanted));
}

Result<Value> divides(Runtime& runtime, const Value& value, const Value& divisor, int64_t wanted) {
  TRY_ASSIGN(const bool result, remainder_is(runtime, value, divisor, wanted));
  return Value::boolean(result);
}

Result<Value> is_odd(Runtime& runtime, const Value* a) { return divides(runtime, a[0], Value::integer(2), 1); }
Result<Value> is_even(Runtime& runtime, const Value* a) { return divides(runtime, a[0], Value::integer(2), 0); }
Result<Value> is_divisible(Runtime& runtime, const Value* a) { return divides(runtime, a[0], a[1], 0); }

// Whether there are letters with case, and all of them have the wanted one.
Result<Value> has_case(Runtime& runtime, const Value& value, bool wants_lower) {
  TRY_ASSIGN(const Text text, to_text(runtime, value));
  TRY(runtime.spend_convert(text.size()));
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const uint32_t c = next_code_point(text.view(), at);
    if (!is_cased(c)) continue;
    if (is_lower(c) != wants_lower) return Value::boolean(false);
    any = true;
  }
  return Value::boolean(any);
}

Result<Value> is_lower_test(Runtime& runtime, const Value* a) { return has_case(runtime, a[0], true); }
Result<Value> is_upper_test(Runtime& runtime, const Value* a) { return has_case(runtime, a[0], false); }

Result<Value> is_same_as(Runtime& runtime, const Value* a) {
  if (a[0].kind() != a[1].kind()) return Value::boolean(false);
  if (a[0].object() != nullptr && !a[0].is_string()) return Value::boolean(a[0].object() == a[1].object());
  TRY_ASSIGN(const bool same, equals(runtime, a[0], a[1]));
  return Value::boolean(same);
}

Result<Value> is_filter(Runtime&, const Value* a) {
  if (!is_hashable(a[0])) return make_error("a filter's name must be a string");
  return yes_if(a[0].is_string() && find_filter(a[0].view()) != nullptr);
}

Result<Value> is_test(Runtime&, const Value* a) {
  if (!is_hashable(a[0])) return make_error("a test's name must be a string");
  return yes_if(a[0].is_string() && find_test(a[0].view()) != nullptr);
}

template <Operator kOperator>
Result<Value> compares(Runtime& runtime, const Value* a) {
  TRY_ASSIGN(const bool result, compare(runtime, kOperator, a[0], a[1]));
  return Value::boolean(result);
}

constexpr Builtin kTests[] = {
    {"defined", is_defined, 1, {"value"}},
    {"undefined", is_undefined, 1, {"value"}},
    {"none", is_none, 1, {"value"}},
    {"boolean", is_boolean, 1, {"value"}},
    {"true", is_true, 1, {"value"}},
    {"false", is_false, 1, {"value"}},
    {"integer", is_integer, 1, {"value"}},
    {"float", is_float, 1, {"value"}},
    {"number", is_number, 1, {"value"}},
    {"string", is_string, 1, {"value"}},
    {"mapping", is_mapping, 1, {"value"}},
    {"iterable", is_iterable_test, 1, {"value"}},
    {"sequence", is_sequence, 1, {"value"}},
    {"callable", is_callable, 1, {"obj"}},
    {"escaped", is_escaped, 1, {"value"}},
    {"odd", is_odd, 1, {"value"}},
    {"even", is_even, 1, {"value"}},
    {"divisibleby", is_divisible, 2, {"value", "num"}},
    {"lower", is_lower_test, 1, {"value"}},
    {"upper", is_upper_test, 1, {"value"}},
    {"sameas", is_same_as, 2, {"value", "other"}},
    {"filter", is_filter, 1, {"value"}},
    {"test", is_test, 1, {"value"}},
    {"in", compares<Operator::kIn>, 2, {"value", "seq"}},
    {"==", compares<Operator::kEqual>, 2, {"a", "b"}},
    {"eq", compares<Operator::kEqual>, 2, {"a", "b"}},
    {"equalto", compares<Operator::kEqual>, 2, {"a", "b"}},
    {"!=", compares<Operator::kNotEqual>, 2, {"a", "b"}},
    {"ne", compares<Operator::kNotEqual>, 2, {"a", "b"}},
    {">", compares<Operator::kGreater>, 2, {"a", "b"}},
    {"gt", compares<Operator::kGreater>, 2, {"a", "b"}},
    {"greaterthan", compares<Operator::kGreater>, 2, {"a", "b"}},
    {">=", compares<Operator::kGreaterEqual>, 2, {"a", "b"}},
    {"ge", compares<Operator::kGreaterEqual>, 2, {"a", "b"}},
    {"<", compares<Operator::kLess>, 2, {"a", "b"}},
    {"lt", compares<Operator::kLess>, 2, {"a", "b"}},
    {"lessthan", compares<Operator::kLess>, 2, {"a", "b"}},
    {"<=", compares<Operator::kLessEqual>, 2, {"a", "b"}},
    {"le", compares<Operator::kLessEqual>, 2, {"a", "b"}},
};

}  // namespace

std::span<const Builtin> tests() { return kTests; }

}  // namespace andiron::jinja
