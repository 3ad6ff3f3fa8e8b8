// ANDIRON_CHECK: stops the program on a programmer's mistake. Never reached by user input.
#pragma once

namespace andiron {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace andiron

#define ANDIRON_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::andiron::check_failed(__FILE__, __LINE__, #condition))

// For the place behind a switch that has dealt with every value.
#define ANDIRON_UNREACHABLE(text) ::andiron::check_failed(__FILE__, __LINE__, text)
