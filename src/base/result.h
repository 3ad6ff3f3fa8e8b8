// Result<T> (andiron/result.h) and what makes it short to use.
//
// Everything that can fail because of a file, a request or a user returns a Result; a programmer's
// mistake is an ANDIRON_CHECK instead (base/check.h). No exceptions cross a module boundary.
#pragma once

#include "andiron/result.h"

#define ANDIRON_CONCAT_(a, b) a##b
#define ANDIRON_CONCAT(a, b) ANDIRON_CONCAT_(a, b)

// TRY(expr): return the error of a Status or Result from the enclosing function, if it has one.
#define TRY(expr)                                                 \
  do {                                                            \
    auto try_status_ = (expr);                                    \
    if (!try_status_.ok()) return std::move(try_status_).error(); \
  } while (false)

// TRY_ASSIGN(auto x, expr): declare or assign x from a Result, or return its error.
#define TRY_ASSIGN(declaration, expr) TRY_ASSIGN_IMPL(ANDIRON_CONCAT(try_result_, __LINE__), declaration, expr)
#define TRY_ASSIGN_IMPL(result, declaration, expr)    \
  auto result = (expr);                               \
  if (!result.ok()) return std::move(result).error(); \
  declaration = std::move(result).value()
