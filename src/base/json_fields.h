// Members of a struct to and from a JSON object, from one list of them, so that whatever is written is read back under
// the same name:
//
//   template <FieldsOf<Record> R, typename Fields>
//   void fields(R& record, Fields&& at) {  // record may be const
//     at("name", record.name);
//     at("steps", record.steps);
//   }
//   fields(record, JsonWriter{object});
//   fields(record, JsonReader{object, wrong});
//
// Where fields() stands in the type's namespace, in front of its use, the type may be a member of others and an item of
// their lists. A type that is no object has Json to_json(const T&) and bool from_json(const Json&, T&) there instead.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"

namespace andiron {

inline Json to_json(bool value) { return Json(value); }
inline Json to_json(const std::string& value) { return Json(value); }
inline Json to_json(const Json& value) { return value; }
template <std::floating_point T>
Json to_json(T value) {
  return Json(static_cast<double>(value));
}
// As a text where JSON's whole numbers, which are int64 here, cannot hold it: no digit may be lost.
template <std::integral T>
Json to_json(T value) {
  if (std::in_range<int64_t>(value)) return Json(static_cast<int64_t>(value));
  return Json(std::to_string(value));
}
template <typename T>
Json to_json(const std::vector<T>& value) {
  Json out = Json::array();
  for (const T& item : value) out.push(to_json(item));
  return out;
}
template <typename T>
Json to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : Json();
}

inline bool from_json(const Json& json, bool& value) {
  if (json.is_bool()) value = json.as_bool();
  return json.is_bool();
}
inline bool from_json(const Json& json, std::string& value) {
  if (json.is_string()) value = json.as_string();
  return json.is_string();
}
inline bool from_json(const Json& json, Json& value) {
  value = json;
  return true;
}
template <std::floating_point T>
bool from_json(const Json& json, T& value) {
  if (json.is_number()) value = static_cast<T>(json.as_double());
  return json.is_number() || json.is_null();  // null: it was not finite
}
template <std::integral T>
bool from_json(const Json& json, T& value) {
  if (json.is_int() && std::in_range<T>(json.as_int())) {
    value = static_cast<T>(json.as_int());
    return true;
  }
  if (!json.is_string() || !std::same_as<T, uint64_t>) return false;
  uint64_t number = 0;
  for (const char digit : json.as_string()) {
    if (digit < '0' || digit > '9') return false;
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  }
  value = static_cast<T>(number);
  return json.as_string() == std::to_string(number);
}
template <typename T>
bool from_json(const Json& json, std::vector<T>& value) {
  if (!json.is_array()) return false;
  value.clear();
  for (const Json& item : json.items()) {
    if (!from_json(item, value.emplace_back())) return false;
  }
  return true;
}
template <typename T>
bool from_json(const Json& json, std::optional<T>& value) {
  if (!json.is_null()) return from_json(json, value.emplace());
  value.reset();
  return true;
}

template <typename R, typename T>
concept FieldsOf = std::same_as<std::remove_const_t<R>, T>;

struct JsonWriter {
  Json& out;  // an object
  template <typename T>
  void operator()(const char* key, const T& value) const {
    out.set(key, to_json(value));
  }
};

// Remembers the first member that is missing or of another kind, and reads no further.
struct JsonReader {
  const Json& in;
  std::string& wrong;
  template <typename T>
  void operator()(const char* key, T& value) const {
    const Json* found = in.find(key);
    if (wrong.empty() && (found == nullptr || !from_json(*found, value))) wrong = key;
  }
};

template <typename T>
concept HasFields = requires(T& record, const JsonReader& reader) {
  fields(record, reader);
};

template <HasFields T>
Json to_json(const T& record) {
  Json out = Json::object();
  fields(record, JsonWriter{out});
  return out;
}
template <HasFields T>
bool from_json(const Json& json, T& record) {
  std::string wrong;
  fields(record, JsonReader{json, wrong});
  return wrong.empty();
}

}  // namespace andiron
