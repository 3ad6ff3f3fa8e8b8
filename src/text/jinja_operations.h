// Python's operations on values: truth, equality, order, printing, iteration, access and arithmetic.
//
// All follow Python's rules as a Jinja sandbox shows them; what raises there is an Error here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"
#include "text/jinja_value.h"

namespace andiron::jinja {

bool truth(const Value& value);

Result<bool> equals(Runtime& runtime, const Value& a, const Value& b);
// -1, 0 or 1; 2 when a number is NaN. An error for kinds that have no order.
Result<int> order(Runtime& runtime, const Value& a, const Value& b);
// `item in container`.
Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);
// One of the comparison operators.
Result<bool> compare(Runtime& runtime, Operator op, const Value& a, const Value& b);

// str(value) and repr(value). The text of a container that holds tainted text is tainted as a whole.
Result<Text> to_text(Runtime& runtime, const Value& value);
Result<Text> to_repr(Runtime& runtime, const Value& value);
void append_text(Runtime& runtime, TextBuilder& out, const Value& value, Status& status);
// Python's repr of a float: the shortest digits that read back the same.
std::string real_repr(double value);

// The items of anything that a for loop can walk; an iterator is used up.
Result<std::vector<Value>> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
// len(value)
Result<size_t> length_of(Runtime& runtime, const Value& value);

// object.name and object[key] as templates see them: methods come first for a dot, items for brackets; what is not
// there is undefined, and reading from something undefined is an error.
Result<Value> get_attribute(Runtime& runtime, const Value& object, std::string_view name);
Result<Value> get_item(Runtime& runtime, const Value& object, const Value& key);
// object[start:stop:step]; kMissing or none for parts left out.
Result<Value> get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                        const Value& step);

// Adjusts Python slice bounds to a sequence of `size` items. Gives the first index and how many items follow it at
// distance `step`.
struct SliceRange {
  int64_t start = 0;
  int64_t stop = 0;  // the adjusted bound
  int64_t step = 1;
  uint64_t count = 0;
};
Result<SliceRange> slice_range(const Value& start, const Value& stop, const Value& step, size_t size);

Result<Value> arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b);
Result<Value> negate(const Value& value);
Result<Value> positive(const Value& value);

// What `~` does: the texts of all, one after another.
Result<Value> concatenate(Runtime& runtime, const std::vector<Value>& values);

// Text with & < > ' " as HTML entities; marked text is not escaped again.
Result<Value> escape(Runtime& runtime, const Value& value);

// An index argument: a whole number or bool.
Result<int64_t> to_index(const Value& value, std::string_view what);

}  // namespace andiron::jinja
