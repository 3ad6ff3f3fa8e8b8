// Result<T>: a value, or an Error that says in one sentence what went wrong.
//
//   auto model = andiron::Model::open("model.gguf");
//   if (!model.ok()) return complain(model.error().message);
//   use(*model);
//
// Everything that can fail because of a file, a request or the machine returns a Result. An Error's message is for
// people: it names the thing, what was expected, what came and what to do. It may quote untrusted text, with control
// characters escaped. Its kind is for programs. The library throws nothing of its own (running out of memory may throw
// std::bad_alloc).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace andiron {

// What kind of thing went wrong, for a program that has to choose what to do. Most errors say no more than their
// message.
enum class ErrorKind : uint8_t {
  kOther,
  kNotFound,  // what was named is not there
  kConflict,  // what is there already stands in the way: something else of this name, or too much of it
  kDiskFull,  // nothing is wrong with what was asked: there is no room for it
  kMachine,   // likewise: the disk, the memory or what lies on the disk has failed, or something else holds it
};

struct Error {
  std::string message;
  ErrorKind kind = ErrorKind::kOther;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // value() is legal only when ok(), error() only when not. Anything else is a mistake in the program and throws a
  // standard exception.
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
  const Error& error() const& { return error_.value(); }
  Error&& error() && { return std::move(error_).value(); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace andiron
