#include "grammar/schema_merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

// Values by their text, so that lists of any length are compared in little more than the time it takes to read them.
using Texts = std::set<std::string>;

Texts texts_of(std::span<const Json> list) {
  Texts out;
  for (const Json& one : list) out.insert(one.dump());
  return out;
}

// The first of each name.
std::map<std::string_view, const Json*> members_of(const Json& object) {
  std::map<std::string_view, const Json*> out;
  if (!object.is_object()) return out;
  for (const auto& [name, value] : object.members()) out.emplace(name, &value);
  return out;
}

Json::Array as_list(const Json& value) { return value.is_array() ? value.items() : Json::Array{value}; }

// The types in both lists; "integer" lies within "number".
Json common_types(const Json& a, const Json& b) {
  const Texts theirs = texts_of(as_list(b));
  const bool any_number = theirs.contains("\"number\""), any_whole = theirs.contains("\"integer\"");
  Json out = Json::array();
  for (const Json& type : as_list(a)) {
    const std::string_view name = type.text_or("");
    if (theirs.contains(type.dump())) {
      out.push(type);
    } else if ((name == "integer" && any_number) || (name == "number" && any_whole)) {
      out.push("integer");
    }
  }
  return out;
}

Json all_of(const Json& a, const Json& b) { return Json(Json::Object{{"allOf", Json(Json::Array{a, b})}}); }

Json union_of(const Json& a, const Json& b) {
  Json out = a;
  Texts known = texts_of(a.items_or_none());
  for (const Json& one : b.items_or_none()) {
    if (known.insert(one.dump()).second) out.push(one);
  }
  return out;
}

Json in_both(const Json& a, const Json& b) {
  const Texts theirs = texts_of(b.items_or_none());
  Json out = Json::array();
  for (const Json& one : a.items_or_none()) {
    if (theirs.contains(one.dump())) out.push(one);
  }
  return out;
}

Json merge_properties(const Json& a, const Json& b) {
  Json::Object out(a.members().begin(), a.members().end());
  std::map<std::string, size_t> places;
  for (size_t i = 0; i < out.size(); ++i) places.emplace(out[i].first, i);
  for (const auto& [name, schema] : b.members()) {
    const auto [at, fresh] = places.emplace(name, out.size());
    if (fresh) {
      out.emplace_back(name, schema);
    } else if (Json& known = out[at->second].second; known.dump() != schema.dump()) {
      known = all_of(known, schema);
    }
  }
  return Json(std::move(out));
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
  if (key == "enum" && a.is_array() && b.is_array()) return in_both(a, b);
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
  const auto own = members_of(closed.member("properties"));
  for (const auto& [name, schema] : properties->members()) {
    if (own.contains(name)) continue;
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
std::set<std::string_view> types_of(const Json& schema) {
  std::set<std::string_view> out;
  if (const Json* value = schema.find("const")) return {type_of(*value)};
  if (const Json* values = schema.find("enum")) {
    for (const Json& value : values->items_or_none()) out.insert(type_of(value));
  }
  const Json* type = schema.find("type");
  if (!out.empty() || type == nullptr) return out;
  const auto add = [&](const Json& one) { out.insert(one.text_or("") == "integer" ? "number" : one.text_or("")); };
  if (type->is_string()) add(*type);
  for (const Json& one : type->items_or_none()) add(one);
  return out;
}

bool share_nothing(const std::set<std::string_view>& a, const std::set<std::string_view>& b) {
  return std::none_of(a.begin(), a.end(), [&](auto one) { return b.contains(one); });
}

bool values_differ(const Json& a, const Json& b) {
  const Json x = named_values(a), y = named_values(b);
  if (!x.is_array() || !y.is_array()) return false;
  // 1 and 1.0 are the same number; dump() tells them apart, so numbers do not count as different.
  const auto is_float = [](const Json& one) { return one.is_number() && !one.is_int(); };
  const Texts theirs = texts_of(y.items());
  return std::none_of(x.items().begin(), x.items().end(),
                      [&](const Json& one) { return is_float(one) || theirs.contains(one.dump()); }) &&
         std::none_of(y.items().begin(), y.items().end(), is_float);
}

// Every object for `a` has a member that none for `b` has, or one of other values.
bool objects_differ(const Json& a, const Json& b) {
  const auto ours = members_of(a.member("properties")), theirs = members_of(b.member("properties"));
  const Texts they_require = texts_of(b.member("required").items_or_none());
  const Json* additional = b.find("additionalProperties");
  const bool closed = additional != nullptr && !additional->bool_or(true);
  for (const Json& name : a.member("required").items_or_none()) {
    if (!name.is_string()) continue;
    const auto their = theirs.find(name.as_string());
    if (their == theirs.end()) {
      if (closed) return true;
      continue;
    }
    const auto our = ours.find(name.as_string());
    const bool both = our != ours.end() && they_require.contains(name.dump());
    if (both && values_differ(*our->second, *their->second)) return true;
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

const Json* at_pointer(const Json& document, std::string_view pointer) {
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

Json without(const Json& object, std::string_view key) {
  Json out = Json::object();
  for (const auto& [name, value] : object.members()) {
    if (name != key) out.set(name, value);
  }
  return out;
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
  const auto only_objects = [](const std::set<std::string_view>& types) {
    return types.size() == 1 && types.contains("object");
  };
  if (values_differ(a, b)) return true;
  return only_objects(ours) && only_objects(theirs) && (objects_differ(a, b) || objects_differ(b, a));
}

}  // namespace andiron
