// Result<T>: a value, or an Error that says in one sentence what went wrong.
//
// Everything that can fail because of a file, a request or a user returns a Result; a programmer's
// mistake is an ANDIRON_CHECK instead (base/check.h). An Error's message names the thing, what was
// expected, what came and what to do. No exceptions cross a module boundary.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace andiron {

struct Error {
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Legal only after ok(); std::get stops the program otherwise, as ANDIRON_CHECK would.
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

// The result of something that yields nothing but may fail.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by design

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace andiron

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
