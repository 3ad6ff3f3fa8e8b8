#include "grammar/schema_merge.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

// Lists may have thousands of values: each is written out once, and looked up.
std::set<std::string> texts_of(std::span<const Json> list) {
  std::set<std::string> out;
  for (const Json& one : list) out.insert(one.dump());
  return out;
}

Json::Array as_list(const Json& value) { return value.is_array() ? value.items() : Json::Array{value}; }

// The types in both lists; "integer" lies within "number".
Json common_types(const Json& a, const Json& b) {
  const Json::Array ours = as_list(a), theirs = as_list(b);
  const std::set<std::string> known = texts_of(theirs);
  const std::string integer = "\"integer\"", number = "\"number\"";
  std::set<std::string> listed;
  Json out = Json::array();
  for (const Json& type : ours) {
    std::string text = type.dump();
    const bool whole = (text == integer && known.contains(number)) || (text == number && known.contains(integer));
    if (known.contains(text) && listed.insert(std::move(text)).second) out.push(type);
    if (whole && listed.insert(integer).second) out.push("integer");
  }
  return out;
}

Json all_of(const Json& a, const Json& b) { return Json(Json::Object{{"allOf", Json(Json::Array{a, b})}}); }

Json union_of(const Json& a, const Json& b) {
  Json out = a;
  std::set<std::string> listed = texts_of(a.items_or_none());
  for (const Json& one : b.items_or_none()) {
    if (listed.insert(one.dump()).second) out.push(one);
  }
  return out;
}

Json merge_properties(Json a, const Json& b) {
  std::map<std::string, size_t, std::less<>> places;
  for (const auto& [name, schema] : a.members()) places.try_emplace(name, places.size());
  for (const auto& [name, schema] : b.members()) {
    const auto [known, fresh] = places.try_emplace(name, a.members().size());
    if (fresh) {
      a.set(name, schema);
      continue;
    }
    Json& ours = a.members()[known->second].second;
    if (ours.dump() != schema.dump()) ours = all_of(ours, schema);
  }
  return a;
}

Result<Json> merge_values(std::string_view key, const Json& a, const Json& b) {
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), key) != names.end();
  };
  if (a.dump() == b.dump()) return a;
  if (key == "type") return common_types(a, b);
  if (key == "properties" && a.is_object() && b.is_object()) return merge_properties(a, b);
  if (key == "required" && a.is_array() && b.is_array()) return union_of(a, b);
  if (key == "items" || key == "additionalProperties") {
    if (key == "items" || (a.is_object() && b.is_object())) return all_of(a, b);
    return a.bool_or(true) ? b : a;  // the narrower of true, false and a schema
  }
  if (key == "allOf" && a.is_array() && b.is_array()) return union_of(a, b);
  if (key == "enum" && a.is_array() && b.is_array()) {
    const std::set<std::string> theirs = texts_of(b.items());
    Json out = Json::array();
    for (const Json& one : a.items()) {
      if (theirs.contains(one.dump())) out.push(one);
    }
    return out;
  }
  if (a.is_number() && b.is_number()) {
    const bool a_less = a.as_double() < b.as_double();
    if (is({"minimum", "exclusiveMinimum", "minLength", "minItems"})) return a_less ? b : a;
    if (is({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})) return a_less ? a : b;
  }
  return make_error("the keyword \"{}\" is asked for twice, and the two cannot be merged", in_quotes(key));
}

// additionalProperties looks at the properties beside it only: where it is given, the other may have no more of them.
Status check_closed(const Json& closed, const Json& other) {
  const Json* additional = closed.find("additionalProperties");
  if (additional == nullptr || additional->bool_or(false)) return {};
  const Json* properties = other.find("properties");
  if (properties == nullptr || !properties->is_object()) return {};
  const Json& ours = closed.member("properties");
  std::set<std::string_view> listed;
  if (ours.is_object()) {
    for (const auto& [name, schema] : ours.members()) listed.insert(name);
  }
  for (const auto& [name, schema] : properties->members()) {
    if (listed.contains(name)) continue;
    return make_error("additionalProperties beside a property \"{}\" from elsewhere cannot be merged", in_quotes(name));
  }
  return {};
}

Json without_notes(const Json& schema) {
  Json out = Json::object();
  for (const auto& [key, value] : schema.members()) {
    if (is_annotation(key) || key == "$defs" || key == "definitions") continue;
    const bool is_const = key == "const" && schema.find("enum") == nullptr;
    out.set(is_const ? "enum" : key, is_const ? Json(Json::Array{value}) : value);
  }
  return out;
}

// The values that are named, or null where any may come.
Json named_values(const Json& schema) {
  if (const Json* value = schema.find("const")) return Json(Json::Array{*value});
  const Json* values = schema.find("enum");
  return values != nullptr && values->is_array() ? *values : Json();
}

std::string_view type_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return "boolean";
  if (value.is_number()) return "number";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

// Types as words, "integer" as "number"; empty: any.
std::vector<std::string_view> types_of(const Json& schema) {
  std::vector<std::string_view> out;
  const Json values = named_values(schema);
  for (const Json& value : values.items_or_none()) out.push_back(type_of(value));
  if (!out.empty()) return out;
  const Json* type = schema.find("type");
  if (type == nullptr) return out;
  const auto add = [&](const Json& one) { out.push_back(one.text_or("") == "integer" ? "number" : one.text_or("")); };
  if (type->is_string()) add(*type);
  for (const Json& one : type->items_or_none()) add(one);
  return out;
}

bool share_nothing(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  return std::none_of(a.begin(), a.end(), [&](auto one) { return std::find(b.begin(), b.end(), one) != b.end(); });
}

bool values_differ(const Json& a, const Json& b) {
  const Json x = named_values(a), y = named_values(b);
  if (!x.is_array() || !y.is_array()) return false;
  // 1 and 1.0 are the same number; dump() tells them apart, so numbers do not count as different.
  const auto is_float = [](const Json& one) { return one.is_number() && !one.is_int(); };
  const std::set<std::string> theirs = texts_of(y.items());
  return std::none_of(x.items().begin(), x.items().end(),
                      [&](const Json& one) { return is_float(one) || theirs.contains(one.dump()); }) &&
         std::none_of(y.items().begin(), y.items().end(), is_float);
}

// Every object for `a` has a member that none for `b` has, or one of other values.
bool objects_differ(const Json& a, const Json& b) {
  std::set<std::string_view> needed;
  for (const Json& name : b.member("required").items_or_none()) needed.insert(name.text_or(""));
  for (const Json& name : a.member("required").items_or_none()) {
    if (!name.is_string()) continue;
    const Json* theirs = b.member("properties").find(name.as_string());
    if (theirs == nullptr) {
      const Json* additional = b.find("additionalProperties");
      if (additional != nullptr && !additional->bool_or(true)) return true;
      continue;
    }
    const Json* ours = a.member("properties").find(name.as_string());
    if (ours != nullptr && needed.contains(name.as_string()) && values_differ(*ours, *theirs)) return true;
  }
  return false;
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  for (const std::string_view one : {"title", "description", "default", "examples", "deprecated", "readOnly",
                                     "writeOnly", "$comment", "$schema", "contentEncoding", "contentMediaType"}) {
    if (keyword == one) return true;
  }
  return false;
}

const Json* pointed_at(const Json& document, std::string_view pointer) {
  const Json* at = &document;
  while (at != nullptr && pointer.starts_with("/")) {
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    std::string name;
    for (size_t i = 1; i < end; ++i) {
      const bool escaped = pointer[i] == '~' && i + 1 < end;
      name += escaped ? (pointer[++i] == '1' ? '/' : '~') : pointer[i];
    }
    pointer.remove_prefix(end);
    if (at->is_array()) {
      const auto index = parse_int(name, "index");
      const bool inside = index.ok() && *index >= 0 && *index < std::ssize(at->items());
      at = inside ? &at->items()[static_cast<size_t>(*index)] : nullptr;
    } else {
      at = at->find(name);
    }
  }
  return pointer.empty() ? at : nullptr;
}

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  return value.is_int() || (value.is_number() && value.as_double() == std::floor(value.as_double()));
}

size_t schema_steps(const Json& value) {
  constexpr size_t kBytes = 16;  // of a text, as dear as one value more
  size_t steps = 1 + value.text_or("").size() / kBytes;
  for (const Json& item : value.items_or_none()) steps += schema_steps(item);
  if (!value.is_object()) return steps;
  for (const auto& [name, member] : value.members()) steps += name.size() / kBytes + schema_steps(member);
  return steps;
}

size_t comparison_steps(const Json& schema) {
  const size_t names = schema.member("required").items_or_none().size();
  const Json& properties = schema.member("properties");
  // Every required name is looked for among all properties.
  const size_t looks = properties.is_object() ? names * properties.members().size() / 16 : 0;
  return 1 + (schema_steps(schema.member("enum")) + schema_steps(schema.member("const"))) / 4 + names / 4 + looks;
}

Result<Json> merge_schemas(const Json& a, const Json& b) {
  TRY(check_closed(a, b));
  TRY(check_closed(b, a));
  Json out = without_notes(a);
  const Json more = without_notes(b);
  for (const auto& [key, value] : more.members()) {
    Json* known = out.find(key);
    if (known == nullptr) {
      out.set(key, value);
      continue;
    }
    TRY_ASSIGN(*known, merge_values(key, *known, value));
  }
  return out;
}

bool are_disjoint(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return a.is_bool() ? !a.as_bool() : b.is_bool() && !b.as_bool();
  const auto ours = types_of(a), theirs = types_of(b);
  if (!ours.empty() && !theirs.empty() && share_nothing(ours, theirs)) return true;
  const auto only_objects = [](const std::vector<std::string_view>& types) {
    return types.size() == 1 && types[0] == "object";
  };
  if (values_differ(a, b)) return true;
  return only_objects(ours) && only_objects(theirs) && (objects_differ(a, b) || objects_differ(b, a));
}

}  // namespace andiron
