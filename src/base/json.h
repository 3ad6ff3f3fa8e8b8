// A small JSON reader and writer for untrusted text: config.json, tokenizer.json, safetensors headers,
// messages and every --json output. RFC 8259; objects keep their order; a duplicate key is an error;
// nesting is limited; whole numbers that fit int64 stay whole. Values own their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace andiron {

class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  // Members in file order. Look up by Json::find; a linear search, so use `members()` to walk big ones.
  using Object = std::vector<Member>;

  Json() = default;                            // null
  Json(bool value) : state_(value) {}          // NOLINT: implicit, so that literals read well
  Json(int value) : state_(int64_t{value}) {}  // NOLINT
  Json(int64_t value) : state_(value) {}       // NOLINT
  // Above 2^63 - 1 a double, as such a number would be parsed: about 16 digits of it are kept.
  Json(uint64_t value);                                         // NOLINT
  Json(double value) : state_(value) {}                         // NOLINT
  Json(std::string value) : state_(std::move(value)) {}         // NOLINT
  Json(std::string_view value) : state_(std::string(value)) {}  // NOLINT
  Json(const char* value) : state_(std::string(value)) {}       // NOLINT
  Json(Array value);                                            // NOLINT
  Json(Object value);                                           // NOLINT
  Json(const Json& other);
  Json(Json&&) noexcept = default;
  Json& operator=(const Json& other);
  Json& operator=(Json&&) noexcept = default;
  ~Json() = default;

  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  bool is_null() const { return std::holds_alternative<std::monostate>(state_); }
  bool is_bool() const { return std::holds_alternative<bool>(state_); }
  bool is_int() const { return std::holds_alternative<int64_t>(state_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(state_); }
  bool is_string() const { return std::holds_alternative<std::string>(state_); }
  bool is_array() const { return std::holds_alternative<std::unique_ptr<Array>>(state_); }
  bool is_object() const { return std::holds_alternative<std::unique_ptr<Object>>(state_); }

  // Each is legal only for its kind (as_double also for whole numbers).
  bool as_bool() const { return std::get<bool>(state_); }
  int64_t as_int() const { return std::get<int64_t>(state_); }
  double as_double() const { return is_int() ? static_cast<double>(as_int()) : std::get<double>(state_); }
  const std::string& as_string() const { return std::get<std::string>(state_); }
  const Array& items() const { return *std::get<std::unique_ptr<Array>>(state_); }
  Array& items() { return *std::get<std::unique_ptr<Array>>(state_); }
  const Object& members() const { return *std::get<std::unique_ptr<Object>>(state_); }
  Object& members() { return *std::get<std::unique_ptr<Object>>(state_); }

  // The member, or nullptr when absent or when this is not an object.
  const Json* find(std::string_view key) const;
  Json* find(std::string_view key) { return const_cast<Json*>(std::as_const(*this).find(key)); }
  // The same, with the value null in place of nullptr: object.member("a").member("b").text_or("none").
  const Json& member(std::string_view key) const;
  // The value, or `otherwise` where it is of another kind.
  bool bool_or(bool otherwise) const { return is_bool() ? as_bool() : otherwise; }
  double number_or(double otherwise) const { return is_number() ? as_double() : otherwise; }
  std::string_view text_or(std::string_view otherwise) const { return is_string() ? as_string() : otherwise; }
  std::span<const Json> items_or_none() const {
    return is_array() ? std::span<const Json>(items()) : std::span<const Json>();
  }
  // Appends a member (no check for a duplicate) or an item; the value must be an object or an array.
  Json& set(std::string key, Json value);
  Json& push(Json value);

  // Text on one line, or indented. Numbers round-trip; NaN and infinities become null; bytes that are
  // not UTF-8 become U+FFFD, so that what is written always parses.
  std::string dump(int indent = 0) const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, std::unique_ptr<Array>, std::unique_ptr<Object>>
      state_;
};

struct JsonLimits {
  int depth = 64;
  uint64_t values = 50'000'000;  // total count, keys not counted
};

// Parses one document; trailing text other than white space is an error. `source` names it in messages.
Result<Json> parse_json(std::string_view text, std::string_view source, JsonLimits limits = {});

// `text` as a JSON string literal with its quotes.
std::string json_quote(std::string_view text);

}  // namespace andiron
