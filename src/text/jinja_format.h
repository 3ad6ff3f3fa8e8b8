// Python's two ways to fill a pattern: "%s is %d" % values, and "{} is {name:>5}".format(...).
#pragma once

#include <string>
#include <string_view>

#include "text/jinja_runtime.h"

namespace andiron::jinja {

// pattern % argument.
Result<Value> format_percent(Runtime& runtime, const StringObject& pattern, const Value& argument);

// pattern.format(*positional, **named); with `named` its entries instead of the call's.
Result<Value> format_braces(Runtime& runtime, const StringObject& pattern, const Call& call,
                            const DictObject* named = nullptr);

// The parts of a format specification that both ways share.
struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =, or unset
  char sign = '-';    // '-', '+' or ' '
  bool alternate = false;
  uint64_t width = 0;
  char grouping = '\0';  // ',' or '_'
  int precision = -1;
  char type = '\0';
};

// A number without padding, sign included. `value` is a number; the type is one of bcdoxXeEfFgG%, or '\0'.
Result<std::string> format_number(const Value& value, const FormatSpec& spec);

// Appends `text` padded to the width; `=` puts the padding behind a sign or base prefix.
void append_padded(TextBuilder& out, const Text& text, const FormatSpec& spec, char default_align);

}  // namespace andiron::jinja
