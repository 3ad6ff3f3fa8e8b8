// The fields of an API's requests: which there are, what becomes of each, and reading them with checks.
//
// Every API has a table for each of its objects. A field is supported, ignored for a reason that the table states, or
// refused for one; a field that stands in no table is refused as unknown. null is the same as leaving a field away.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "serve/api_error.h"

namespace andiron {

enum class FieldUse : uint8_t { kSupported, kIgnored, kRefused };

struct ApiField {
  std::string_view name;
  FieldUse use = FieldUse::kSupported;
  // Ignored: why leaving it out changes no answer. Refused: what the message says of it.
  std::string_view reason = {};
};

struct ApiTable {
  std::string_view name;  // of the object, for documents and tests
  std::vector<ApiField> fields;
};

// Reads one object of a request. The first thing that is wrong becomes `error`; whatever is read after that stays as it
// was, so that a reader needs no branches. `path` stands in front of the names of fields in messages ("messages[2]").
class FieldReader {
 public:
  // Refuses what is no object, and the first field that the table does not allow.
  FieldReader(const Json& object, const ApiTable& table, std::optional<ApiError>& error, std::string path = {});

  bool ok() const { return !error_.has_value(); }
  // Where a field stands: "messages[2].content".
  std::string place(std::string_view name) const;
  // The field's value; nullptr where there is none, it is null, or something was wrong before.
  const Json* find(std::string_view name) const;
  // The same for a field that must be there.
  const Json* need(std::string_view name);

  // Each leaves `value` alone where the field is absent. Numbers must lie within the bounds, which are inclusive.
  void text(std::string_view name, std::string& value);
  void flag(std::string_view name, bool& value);
  void whole(std::string_view name, int64_t& value, int64_t min, int64_t max);
  void whole(std::string_view name, int32_t& value, int32_t min, int32_t max);
  void number(std::string_view name, double& value, double min, double max);
  // One of a few words; its place in `words`.
  std::optional<size_t> word(std::string_view name, std::span<const std::string_view> words);
  // A list of texts, or a single one.
  void texts(std::string_view name, std::vector<std::string>& value, size_t count_max);

  // "\"temperature\" must be a number from 0 to 2, not \"hot\"".
  void wrong(std::string_view name, std::string_view expected);
  void fail(ApiError error);

 private:
  const Json& object_;
  std::optional<ApiError>& error_;
  std::string path_;
};

// A value as messages show it: on one line, cut.
std::string shown(const Json& value);

}  // namespace andiron
