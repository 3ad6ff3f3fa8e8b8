#include "serve/api_fields.h"

#include <algorithm>
#include <utility>

namespace andiron {

namespace {

constexpr size_t kShownBytes = 60;

std::string list_of(std::span<const std::string_view> words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    out += format("{}\"{}\"", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
  }
  return out;
}

}  // namespace

std::string shown(const Json& value) {
  if (value.is_array()) return format("a list of {}", value.items().size());
  if (value.is_object()) return "an object";
  if (value.is_string()) return format("\"{}\"", in_quotes(value.as_string(), kShownBytes));
  return value.dump();
}

FieldReader::FieldReader(const Json& object, const ApiTable& table, std::optional<ApiError>& error, std::string path)
    : object_(object), error_(error), path_(std::move(path)) {
  if (!ok()) return;
  if (!object_.is_object()) {
    fail(refuse(path_, "invalid_type", "{} must be an object, not {}",
                path_.empty() ? "the request" : format("\"{}\"", path_), shown(object_)));
    return;
  }
  for (const auto& member : object_.members()) {
    const std::string& name = member.first;
    const auto known = std::find_if(table.fields.begin(), table.fields.end(),
                                    [&](const ApiField& field) { return field.name == name; });
    const std::string where = place(in_quotes(name, kShownBytes));
    if (known == table.fields.end()) {
      fail(refuse(where, "unknown_parameter", "\"{}\" is not a field of {}", where, table.name));
    } else if (known->use == FieldUse::kRefused && !member.second.is_null()) {
      fail(refuse(where, "unsupported_parameter", "\"{}\" is not supported: {}", where, known->reason));
    }
    if (!ok()) return;
  }
}

std::string FieldReader::place(std::string_view name) const {
  return path_.empty() ? std::string(name) : format("{}.{}", path_, name);
}

const Json* FieldReader::find(std::string_view name) const {
  if (!ok()) return nullptr;
  const Json* value = object_.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const Json* FieldReader::need(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr && ok()) {
    fail(refuse(place(name), "missing_required_parameter", "\"{}\" is missing", place(name)));
  }
  return value;
}

void FieldReader::fail(ApiError error) {
  if (ok()) error_ = std::move(error);
}

void FieldReader::wrong(std::string_view name, std::string_view expected) {
  const Json* value = find(name);
  if (!ok()) return;
  fail(refuse(place(name), "invalid_value", "\"{}\" must be {}, not {}", place(name), expected,
              shown(value == nullptr ? Json() : *value)));
}

void FieldReader::text(std::string_view name, std::string& value) {
  const Json* found = find(name);
  if (found == nullptr) return;
  if (!found->is_string()) return wrong(name, "text");
  value = found->as_string();
}

void FieldReader::flag(std::string_view name, bool& value) {
  const Json* found = find(name);
  if (found == nullptr) return;
  if (!found->is_bool()) return wrong(name, "true or false");
  value = found->as_bool();
}

void FieldReader::whole(std::string_view name, int64_t& value, int64_t min, int64_t max) {
  const Json* found = find(name);
  if (found == nullptr) return;
  const bool is_whole = found->is_int() && found->as_int() >= min && found->as_int() <= max;
  if (!is_whole) return wrong(name, format("a whole number from {} to {}", min, max));
  value = found->as_int();
}

void FieldReader::whole(std::string_view name, int32_t& value, int32_t min, int32_t max) {
  int64_t wide = value;
  whole(name, wide, int64_t{min}, int64_t{max});
  value = static_cast<int32_t>(wide);
}

void FieldReader::number(std::string_view name, double& value, double min, double max) {
  const Json* found = find(name);
  if (found == nullptr) return;
  const bool fits = found->is_number() && found->as_double() >= min && found->as_double() <= max;
  if (!fits) return wrong(name, format("a number from {} to {}", min, max));
  value = found->as_double();
}

std::optional<size_t> FieldReader::word(std::string_view name, std::span<const std::string_view> words) {
  const Json* found = find(name);
  if (found == nullptr) return std::nullopt;
  const auto same = std::find(words.begin(), words.end(), found->text_or(""));
  if (found->is_string() && same != words.end()) return static_cast<size_t>(same - words.begin());
  wrong(name, list_of(words));
  return std::nullopt;
}

void FieldReader::texts(std::string_view name, std::vector<std::string>& value, size_t count_max) {
  const Json* found = find(name);
  if (found == nullptr) return;
  std::vector<std::string> read;
  bool fits = found->is_string() || (found->is_array() && found->items().size() <= count_max);
  if (found->is_string()) read.push_back(found->as_string());
  for (const Json& item : found->items_or_none()) {
    fits = fits && item.is_string();
    if (fits) read.push_back(item.as_string());
  }
  fits = fits && std::none_of(read.begin(), read.end(), [](const std::string& text) { return text.empty(); });
  if (!fits) return wrong(name, format("text, or a list of at most {} texts, none of them empty", count_max));
  value = std::move(read);
}

}  // namespace andiron
