// What reading a request gives: a value, or the refusal that is to be answered.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/result.h"
#include "base/strings.h"
#include "http/http.h"

namespace andiron {

using ApiError = HttpFault;

// A 400 about the field `param` ("messages[2].content"); `code` is for programs ("unknown_parameter").
template <typename... Args>
ApiError refuse(std::string param, std::string code, fmt::format_string<Args...> pattern, Args&&... args) {
  return {400, fmt::format(pattern, std::forward<Args>(args)...), std::move(param), std::move(code), {}};
}

// What could not be kept or read here: the machine's fault, not the request's.
inline ApiError cannot(const Error& error) {
  if (error.kind == ErrorKind::kDiskFull) return {507, error.message, "", "disk_full", {}};
  return {500, error.message, "", "storage_error", {}};
}

template <typename T>
class [[nodiscard]] ApiResult {
 public:
  ApiResult(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit, as Result
  ApiResult(ApiError error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT
  bool ok() const { return state_.index() == 0; }
  T& value() { return std::get<0>(state_); }
  T* operator->() { return &value(); }
  T& operator*() { return value(); }
  const ApiError& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, ApiError> state_;
};

}  // namespace andiron
