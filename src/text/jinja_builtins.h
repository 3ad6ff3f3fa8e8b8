// The tables of filters, tests, methods and global functions, one for each file that defines some, and what they share.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "text/jinja_runtime.h"

namespace andiron::jinja {

std::span<const Builtin> text_filters();      // jinja_filters_text.cpp
std::span<const Builtin> number_filters();    // jinja_filters_number.cpp
std::span<const Builtin> sequence_filters();  // jinja_filters_sequence.cpp
std::span<const Builtin> select_filters();    // jinja_filters_select.cpp
std::span<const Builtin> json_filters();      // jinja_json.cpp
std::span<const Builtin> tests();             // jinja_tests.cpp
std::span<const Builtin> globals();           // jinja_globals.cpp
std::span<const Builtin> string_methods();    // jinja_methods_string.cpp
std::span<const Builtin> string_queries();    // jinja_methods_query.cpp

// The value as a string value: itself, or its text.
Result<Value> soft_string(Runtime& runtime, const Value& value);

// Reads item.attribute as filters take it: "a.b.0" walks, a number indexes, kMissing or none gives the item itself. An
// undefined part becomes `if_undefined` unless that is kMissing or none.
class AttributePath {
 public:
  AttributePath() = default;
  static Result<AttributePath> parse(Runtime& runtime, const Value& attribute);
  Result<Value> get(Runtime& runtime, const Value& item, const Value& if_undefined = Value()) const;

 private:
  std::vector<Value> parts_;
};

// Lower case for strings, anything else as it is: the key of case-insensitive sorting.
Result<Value> ignore_case(Runtime& runtime, const Value& value);

// Indices of `keys` in sorted order; stable, also when reversed.
Result<std::vector<size_t>> sort_order(Runtime& runtime, const std::vector<Value>& keys, bool reverse);

// getattr(object, name): methods and attributes but never items; kMissing when there is none.
Result<Value> python_attribute(Runtime& runtime, const Value& object, std::string_view name);

// Whether an argument that was left out or is false.
bool flag(const Value& argument);

// Reads a number as Python's int(text, base) and float(text) do; nothing when malformed.
std::optional<int64_t> parse_python_int(std::string_view text, int64_t base);
std::optional<double> parse_python_real(std::string_view text);

}  // namespace andiron::jinja
