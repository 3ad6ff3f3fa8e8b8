#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "grammar/json_numbers.h"
#include "grammar/json_strings.h"
#include "grammar/schema_merge.h"

namespace andiron {

namespace {

constexpr int kDepthMax = 100;          // schemas within schemas, merged ones too
constexpr size_t kOptionalMax = 200;    // optional properties of an object that requires none: squared
constexpr size_t kManyProperties = 24;  // from here on each is a rule
constexpr size_t kPrefixMax = 64;
// Steps (schema_steps) of merging, writing out and comparing schemas: branches that refer to branches, and a list
// beside each, would be copied without end. An ordinary schema takes some thousands; a step is a few small allocations,
// so these should be about a second at most.
constexpr size_t kStepsMax = 2'000'000;
constexpr size_t kBytesPerStep = 32;  // of text that is written out

constexpr std::array<std::string_view, 7> kTypes = {"object",  "array",   "string", "number",
                                                    "integer", "boolean", "null"};
constexpr std::array<std::string_view, 4> kStringKeys = {"minLength", "maxLength", "pattern", "format"};
constexpr std::array<std::string_view, 4> kNumberKeys = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
constexpr std::array<std::string_view, 3> kObjectKeys = {"properties", "required", "additionalProperties"};
constexpr std::array<std::string_view, 5> kArrayKeys = {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"};
constexpr std::array<std::string_view, 11> kOtherKeys = {"type", "enum",  "const", "anyOf",       "oneOf",  "allOf",
                                                         "$ref", "$defs", "$id",   "definitions", "$schema"};

template <typename List>
bool has(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}
template <typename List>
bool any_key(const Json& schema, const List& keys) {
  return std::any_of(keys.begin(), keys.end(), [&](std::string_view key) { return schema.find(key) != nullptr; });
}

class SchemaCompiler {
 public:
  SchemaCompiler(const Json& document, std::string_view source) : document_(document) { grammar_.source = source; }

  Result<Grammar> compile() {
    const uint32_t root = grammar_.rule("root");
    grammar_.root = root;
    TRY_ASSIGN(grammar_.rules[root].body, schema(document_, "#"));
    TRY(check_grammar(grammar_));
    return std::move(grammar_);
  }

 private:
  template <typename... Args>
  Error fail(const std::string& path, fmt::format_string<Args...> pattern, Args&&... args) const {
    return make_error("{}, {}: {}", grammar_.source, in_quotes(path, 200),
                      andiron::format(pattern, std::forward<Args>(args)...));
  }
  Error refuse(const std::string& path, std::string_view key, std::string_view why) const {
    return fail(path, "the keyword \"{}\" cannot be carried by a grammar{}{}", in_quotes(key), why.empty() ? "" : ": ",
                why);
  }

  Status spend(size_t steps, const std::string& path) {
    steps_ += std::min(steps, kStepsMax + 1);
    if (steps_ <= kStepsMax) return {};
    return fail(path,
                "merging and comparing its parts takes more than {} steps; fewer branches, or less beside them, help",
                kStepsMax);
  }

  uint32_t space() {
    if (!space_) space_ = grammar_.optional(grammar_.text(" "));
    return *space_;
  }
  uint32_t comma() {
    if (!comma_) comma_ = grammar_.sequence({grammar_.text(","), space()});
    return *comma_;
  }

  // A call of the rule for this schema; schemas that read the same are one rule, which is how recursion ends.
  Result<uint32_t> schema(const Json& schema, const std::string& path) {
    if (schema.is_bool() && !schema.as_bool()) return fail(path, "the schema false allows nothing");
    if (schema.is_bool()) return any_value();
    if (!schema.is_object()) return fail(path, "expected a schema: an object, true or false");
    if (schema.members().empty()) return any_value();
    std::string text = schema.dump();
    TRY(spend(1 + (text.size() + path.size()) / kBytesPerStep, path));
    const auto [known, fresh] = rules_.try_emplace(std::move(text), 0);
    if (!fresh) return grammar_.call(known->second);
    const uint32_t rule = grammar_.rule(path);
    known->second = rule;
    TRY_ASSIGN(grammar_.rules[rule].body, body(schema, path));
    return grammar_.call(rule);
  }

  Result<uint32_t> body(const Json& schema, const std::string& path) {
    struct Leave {
      int& depth;
      ~Leave() { --depth; }
    } const leave{++depth_};
    if (depth_ > kDepthMax) return fail(path, "schemas are nested, or merged, deeper than {}", kDepthMax);
    if (grammar_.nodes.size() > kGrammarNodesMax || grammar_.rules.size() > kGrammarRulesMax) {
      return fail(path, "the schema is too large to be compiled");
    }
    TRY(check_keywords(schema, path));
    if (schema.find("$ref") != nullptr) return reference(schema, path);
    if (schema.find("allOf") != nullptr) {
      TRY_ASSIGN(const Json merged, merge_all_of(schema, path));
      return body(merged, path);
    }
    for (const std::string_view key : {"anyOf", "oneOf"}) {
      if (schema.find(key) != nullptr) return alternatives(schema, key, path);
    }
    if (schema.find("const") != nullptr || schema.find("enum") != nullptr) return values(schema, path);
    return typed(schema, path);
  }

  Status check_keywords(const Json& schema, const std::string& path) const {
    for (const auto& [key, value] : schema.members()) {
      const bool known = has(kStringKeys, key) || has(kNumberKeys, key) || has(kObjectKeys, key) ||
                         has(kArrayKeys, key) || has(kOtherKeys, key) || is_annotation(key);
      if (!known) return refuse(path, key, "");
      if (key == "$id" && path != "#") return refuse(path, key, "references are resolved in the whole document only");
    }
    return {};
  }

  // ---- references and combinations

  static Json without(const Json& schema, std::string_view key) {
    Json out = Json::object();
    for (const auto& [name, value] : schema.members()) {
      if (name != key) out.set(name, value);
    }
    return out;
  }
  static bool says_something(const Json& schema) {
    return std::any_of(schema.members().begin(), schema.members().end(), [](const Json::Member& member) {
      return !is_annotation(member.first) && member.first != "$defs" && member.first != "definitions" &&
             member.first != "$id";
    });
  }

  // The schema that "#/a/b~1c" points to.
  Result<const Json*> target(const Json& schema, const std::string& path) {
    const Json& reference = schema.member("$ref");
    if (!reference.is_string()) return fail(path, "\"$ref\" must be a text");
    const auto known = targets_.find(reference.as_string());
    if (known != targets_.end()) return known->second;
    if (!reference.as_string().starts_with("#")) {
      return refuse(path, "$ref", "only references within the document (#/...) are followed");
    }
    const Json* at = pointed_at(document_, std::string_view(reference.as_string()).substr(1));
    if (at == nullptr) return fail(path, "\"$ref\" points to {}, which is not there", in_quotes(reference.as_string()));
    targets_.emplace(reference.as_string(), at);
    return at;
  }

  Result<uint32_t> reference(const Json& schema, const std::string& path) {
    TRY_ASSIGN(const Json* found, target(schema, path));
    const Json rest = without(schema, "$ref");
    if (!says_something(rest)) return this->schema(*found, std::string(schema.find("$ref")->as_string()));
    TRY_ASSIGN(const Json merged, merge(rest, *found, path, 0));
    return body(merged, path);
  }

  // Both at once; what `b` refers to in place of the reference.
  Result<Json> merge(const Json& a, const Json& b, const std::string& path, int depth) {
    if (depth > kDepthMax) return fail(path, "references lead to one another without end");
    TRY(spend(schema_steps(a) + schema_steps(b) + path.size() / kBytesPerStep, path));
    if (b.is_bool()) return b.as_bool() ? Result<Json>(a) : fail(path, "the schema false allows nothing");
    if (!b.is_object()) return fail(path, "expected a schema: an object, true or false");
    if (b.find("$ref") != nullptr) {
      TRY_ASSIGN(const Json* found, target(b, path));
      TRY_ASSIGN(const Json both, merge(a, without(b, "$ref"), path, depth + 1));
      return merge(both, *found, path, depth + 1);
    }
    if (a.find("$ref") != nullptr) return merge(b, a, path, depth + 1);
    auto merged = merge_schemas(a, b);
    if (!merged.ok()) return fail(path, "{}", merged.error().message);
    return merged;
  }

  Result<Json> merge_all_of(const Json& schema, const std::string& path) {
    const Json& list = schema.member("allOf");
    if (!list.is_array() || list.items().empty()) return fail(path, "\"allOf\" must be a list of schemas");
    Json merged = without(schema, "allOf");
    for (size_t i = 0; i < list.items().size(); ++i) {
      TRY_ASSIGN(merged, merge(merged, list.items()[i], format("{}/allOf/{}", path, i), 0));
    }
    return merged;
  }

  Result<uint32_t> alternatives(const Json& schema, std::string_view key, const std::string& path) {
    const Json& list = schema.member(key);
    if (!list.is_array() || list.items().empty()) return fail(path, "\"{}\" must be a list of schemas", key);
    const Json rest = without(schema, key);
    std::vector<uint32_t> choices;
    std::vector<Json> seen;
    size_t compared = 0;  // comparison_steps of all of these
    for (size_t i = 0; i < list.items().size(); ++i) {
      const Json& branch = list.items()[i];
      if (branch.is_bool() && !branch.as_bool()) continue;
      const std::string place = format("{}/{}/{}", path, key, i);
      TRY_ASSIGN(Json merged, merge(rest, branch, place, 0));
      if (key == "oneOf") {
        compared += comparison_steps(merged);
        TRY(spend(compared + seen.size() * comparison_steps(merged), place));
      }
      for (size_t j = 0; key == "oneOf" && j < seen.size(); ++j) {
        if (are_disjoint(seen[j], merged)) continue;
        return refuse(path, key, format("a value might be valid for branches {} and {} both; anyOf may do", j, i));
      }
      TRY_ASSIGN(const uint32_t one, this->schema(says_something(rest) ? merged : branch, place));
      choices.push_back(one);
      if (key == "oneOf") seen.push_back(std::move(merged));
    }
    if (choices.empty()) return fail(path, "\"{}\" allows nothing", key);
    return grammar_.choice(std::move(choices));
  }

  // ---- values and types

  Result<std::vector<std::string_view>> types(const Json& schema, const std::string& path) const {
    std::vector<std::string_view> out;
    const Json* type = schema.find("type");
    if (type != nullptr) {
      if (!type->is_string() && !type->is_array()) return fail(path, "\"type\" must be a text or a list of texts");
      const Json::Array one = {*type};
      for (const Json& name : type->is_array() ? type->items() : one) {
        const auto known = std::find(kTypes.begin(), kTypes.end(), name.text_or(""));
        if (known == kTypes.end()) return fail(path, "{} is not a type", in_quotes(name.dump()));
        if (!has(out, *known)) out.push_back(*known);
      }
      if (out.empty()) return fail(path, "no type is left");
      return out;
    }
    if (any_key(schema, kObjectKeys)) out.emplace_back("object");
    if (any_key(schema, kArrayKeys)) out.emplace_back("array");
    if (any_key(schema, kStringKeys)) out.emplace_back("string");
    if (any_key(schema, kNumberKeys)) out.emplace_back("number");
    return out;
  }

  // Exactly this value, but for spaces.
  uint32_t literal(const Json& value) {
    if (!value.is_array() && !value.is_object()) return grammar_.text(value.dump());
    std::vector<uint32_t> parts;
    const auto add = [&](uint32_t part) {
      if (!parts.empty()) parts.push_back(comma());
      parts.push_back(part);
    };
    for (const Json& item : value.items_or_none()) add(literal(item));
    if (value.is_array()) return enclosed("[", whole(std::move(parts)), value.items().empty(), "]");
    for (const auto& [name, item] : value.members()) add(member(grammar_.text(json_quote(name)), literal(item)));
    return enclosed("{", whole(std::move(parts)), value.members().empty(), "}");
  }
  std::vector<uint32_t> whole(std::vector<uint32_t> parts) {
    if (parts.empty()) return {};
    return {grammar_.sequence(std::move(parts))};
  }

  Result<uint32_t> values(const Json& schema, const std::string& path) {
    for (const auto& [key, value] : schema.members()) {
      const bool other =
          has(kStringKeys, key) || has(kNumberKeys, key) || has(kObjectKeys, key) || has(kArrayKeys, key);
      if (other) return refuse(path, key, "it stands beside enum or const, which say all");
    }
    const Json* list = schema.find("enum");
    if (list != nullptr && !list->is_array()) return fail(path, "\"enum\" must be a list");
    const Json* only = schema.find("const");
    const std::string only_text = only == nullptr ? "" : only->dump();
    std::vector<uint32_t> choices;
    const Json::Array named = list != nullptr ? list->items() : Json::Array{*only};
    TRY_ASSIGN(const auto allowed, types(schema, path));
    for (const Json& value : named) {
      const bool typed = schema.find("type") == nullptr || std::any_of(allowed.begin(), allowed.end(), [&](auto type) {
                           return is_of_type(value, type);
                         });
      if (typed && (only == nullptr || only_text == value.dump())) choices.push_back(literal(value));
    }
    if (choices.empty()) return fail(path, "no value is left of enum or const");
    return grammar_.choice(std::move(choices));
  }

  Result<uint32_t> typed(const Json& schema, const std::string& path) {
    TRY_ASSIGN(const auto types, this->types(schema, path));
    if (types.empty()) return any_value();
    std::vector<uint32_t> choices;
    for (const std::string_view type : types) {
      TRY_ASSIGN(const uint32_t one, of_type(schema, type, path));
      choices.push_back(one);
    }
    return grammar_.choice(std::move(choices));
  }

  Result<uint32_t> of_type(const Json& schema, std::string_view type, const std::string& path) {
    if (type == "object") return object(schema, path);
    if (type == "array") return array(schema, path);
    if (type == "string") return string(schema, path);
    if (type == "boolean") return grammar_.choice({grammar_.text("true"), grammar_.text("false")});
    if (type == "null") return grammar_.text("null");
    return number(schema, type == "integer", path);
  }

  uint32_t any_value() {
    if (!any_) {
      any_ = grammar_.rule("any value");
      const Json any_object(Json::Object{{"additionalProperties", Json(true)}});
      std::vector<uint32_t> choices;
      for (const std::string_view type : kTypes) {
        if (type != "integer") choices.push_back(*of_type(type == "object" ? any_object : Json::object(), type, "#"));
      }
      grammar_.rules[*any_].body = grammar_.choice(std::move(choices));
    }
    return grammar_.call(*any_);
  }

  // A count such as maxItems; none where it is not given.
  Result<std::optional<uint32_t>> count(const Json& schema, std::string_view key, const std::string& path) const {
    const Json* value = schema.find(key);
    if (value == nullptr) return std::optional<uint32_t>();
    const double number = value->number_or(-1);
    if (number < 0 || number != std::floor(number))
      return fail(path, "\"{}\" must be a whole number of at least 0", key);
    if (number > kGrammarRepeatMax) return refuse(path, key, format("it is above {}", kGrammarRepeatMax));
    return std::optional(static_cast<uint32_t>(number));
  }

  // ---- texts and numbers

  Result<uint32_t> string(const Json& schema, const std::string& path) {
    const Json* pattern = schema.find("pattern");
    const Json* format_name = schema.find("format");
    TRY_ASSIGN(const auto least, count(schema, "minLength", path));
    TRY_ASSIGN(const auto most, count(schema, "maxLength", path));
    if (pattern == nullptr && format_name == nullptr) return quoted_string(least.value_or(0), most, path);
    std::string_view asked = pattern != nullptr ? "pattern" : "format";
    for (const std::string_view key : {"minLength", "maxLength", "format"}) {
      if (key != asked && schema.find(key) != nullptr) return refuse(path, key, format("it stands beside {}", asked));
    }
    const Json& value = schema.member(asked);
    if (!value.is_string()) return fail(path, "\"{}\" must be a text", asked);
    std::optional<std::string_view> text = value.as_string();
    if (pattern == nullptr) text = format_pattern(value.as_string());
    if (!text) return refuse(path, "format", format("the format {} is not known", in_quotes(value.as_string())));
    const auto inner = json_pattern(grammar_, *text);
    if (!inner.ok()) return refuse(path, asked, inner.error().message);
    return grammar_.sequence({grammar_.text("\""), *inner, grammar_.text("\"")});
  }

  Result<uint32_t> quoted_string(uint32_t least, std::optional<uint32_t> most, const std::string& path) {
    if (most && *most < least) return fail(path, "\"maxLength\" is less than \"minLength\"");
    if (least == 0 && !most && string_) return grammar_.call(*string_);
    if (!any_char_) any_char_ = json_any_char(grammar_);
    const uint32_t inner = grammar_.repeat(*any_char_, least, most.value_or(GrammarNode::kUnbounded));
    const uint32_t whole = grammar_.sequence({grammar_.text("\""), inner, grammar_.text("\"")});
    if (least != 0 || most) return whole;
    string_ = grammar_.rule("string");
    grammar_.rules[*string_].body = whole;
    return grammar_.call(*string_);
  }

  Result<uint32_t> number(const Json& schema, bool whole, const std::string& path) {
    NumberBounds bounds;
    const auto take = [&](std::string_view key, bool exclusive, bool low) -> Status {
      const Json* value = schema.find(key);
      if (value == nullptr) return {};
      if (!value->is_number()) return fail(path, "\"{}\" must be a number", key);
      const double number = value->as_double();
      if (!(std::abs(number) <= NumberBounds::kMagnitudeMax)) return refuse(path, key, "it is beyond 1e15");
      auto& bound = low ? bounds.lowest : bounds.highest;
      const bool tighter = !bound || (low ? number >= bound->value : number <= bound->value);
      if (tighter) bound = {number, exclusive};
      return {};
    };
    TRY(take("minimum", false, true));
    TRY(take("exclusiveMinimum", true, true));
    TRY(take("maximum", false, false));
    TRY(take("exclusiveMaximum", true, false));
    const auto made = whole ? json_integer(grammar_, bounds) : json_number(grammar_, bounds);
    if (!made) return fail(path, "between its bounds lies no number that a grammar can carry (see the whole numbers)");
    return *made;
  }

  // ---- objects and arrays

  struct Member {
    uint32_t node;
    bool required;
  };

  uint32_t member(uint32_t name, uint32_t value) {
    return grammar_.sequence({name, grammar_.text(":"), space(), value});
  }

  // The schema of members without a name of their own; none where there are none.
  Result<std::optional<uint32_t>> additional(const Json& schema, const std::string& path) {
    const Json* given = schema.find("additionalProperties");
    const bool open = schema.find("properties") == nullptr && schema.find("required") == nullptr;
    if (given == nullptr ? !open : !given->bool_or(true)) return std::optional<uint32_t>();
    const Json any(true);
    TRY_ASSIGN(const uint32_t value, this->schema(given == nullptr ? any : *given, path + "/additionalProperties"));
    return std::optional(value);
  }

  Result<uint32_t> required_value(const Json& schema, const std::string& name, const std::string& path) {
    const Json* given = schema.find("additionalProperties");
    if (given != nullptr && !given->bool_or(true)) {
      return fail(path, "the property \"{}\" is required, but additionalProperties forbids it", in_quotes(name));
    }
    const Json any(true);
    return this->schema(given == nullptr ? any : *given, path + "/additionalProperties");
  }

  Status list_members(const Json& schema, const std::string& path, std::vector<Member>& members,
                      std::vector<std::string>& names) {
    const Json* required = schema.find("required");
    const auto is_text = [](const Json& one) { return one.is_string(); };
    if (required != nullptr &&
        (!required->is_array() || !std::all_of(required->items().begin(), required->items().end(), is_text))) {
      return fail(path, "\"required\" must be a list of names");
    }
    std::set<std::string_view> needed, listed;  // thousands, in a large schema
    for (const Json& one : schema.member("required").items_or_none()) needed.insert(one.as_string());
    const Json* properties = schema.find("properties");
    if (properties != nullptr && !properties->is_object()) return fail(path, "\"properties\" must be an object");
    const bool many = properties != nullptr && properties->members().size() >= kManyProperties;
    const Json nothing = Json::object();
    for (const auto& [name, value] : (properties == nullptr ? nothing : *properties).members()) {
      names.push_back(name);
      listed.insert(name);
      if (value.is_bool() && !value.as_bool() && !needed.contains(name)) continue;
      const std::string place = format("{}/properties/{}", path, pointer_part(name));
      TRY(spend(1 + place.size() / kBytesPerStep, place));
      TRY_ASSIGN(const uint32_t made, this->schema(value, place));
      members.push_back({member(grammar_.text(json_quote(name)), made), needed.contains(name)});
      if (!many) continue;
      const uint32_t rule = grammar_.rule(place + " and its name");
      grammar_.rules[rule].body = members.back().node;
      members.back().node = grammar_.call(rule);
    }
    std::optional<uint32_t> other;  // the value of each that has no schema of its own
    for (const Json& name : schema.member("required").items_or_none()) {
      if (!listed.insert(name.as_string()).second) continue;
      names.push_back(name.as_string());
      if (!other) {
        TRY_ASSIGN(other, required_value(schema, name.as_string(), path));
      }
      members.push_back({member(grammar_.text(json_quote(name.as_string())), *other), true});
    }
    return {};
  }

  // Members from the `first` on, each with a comma before it.
  uint32_t members_after(const std::vector<Member>& members, size_t first, std::optional<uint32_t> extra) {
    std::vector<uint32_t> parts;
    for (size_t i = first; i < members.size(); ++i) {
      const uint32_t one = grammar_.sequence({comma(), members[i].node});
      parts.push_back(members[i].required ? one : grammar_.optional(one));
    }
    if (extra) parts.push_back(grammar_.repeat(grammar_.sequence({comma(), *extra}), 0, GrammarNode::kUnbounded));
    return grammar_.sequence(std::move(parts));
  }

  Result<uint32_t> object(const Json& schema, const std::string& path) {
    std::vector<Member> members;
    std::vector<std::string> names;
    TRY(list_members(schema, path, members, names));
    TRY_ASSIGN(const auto extra_value, additional(schema, path));
    std::optional<uint32_t> extra;
    if (extra_value) {
      for (const std::string& name : names) {
        if (name.size() > kNameBytesMax)
          return fail(path, "the name of a property is longer than {} bytes", kNameBytesMax);
      }
      const uint32_t name =
          grammar_.sequence({grammar_.text("\""), json_names_except(grammar_, names), grammar_.text("\"")});
      extra = member(name, *extra_value);
    }
    const auto first =
        std::find_if(members.begin(), members.end(), [](const Member& one) { return one.required; }) - members.begin();
    const auto required = static_cast<size_t>(first);
    std::vector<uint32_t> choices;
    if (required < members.size()) {
      std::vector<uint32_t> parts;
      for (size_t i = 0; i < required; ++i)
        parts.push_back(grammar_.optional(grammar_.sequence({members[i].node, comma()})));
      parts.push_back(members[required].node);
      parts.push_back(members_after(members, required + 1, extra));
      choices.push_back(grammar_.sequence(std::move(parts)));
    } else {
      if (members.size() > kOptionalMax) {
        return fail(path, "{} optional properties and none required; at most {} can be carried", members.size(),
                    kOptionalMax);
      }
      for (size_t i = 0; i < members.size(); ++i) {
        choices.push_back(grammar_.sequence({members[i].node, members_after(members, i + 1, extra)}));
      }
      if (extra) choices.push_back(grammar_.sequence({*extra, members_after(members, members.size(), extra)}));
    }
    return enclosed("{", std::move(choices), required == members.size(), "}");
  }

  // Brackets around one of the choices, or, with `empty`, around nothing.
  uint32_t enclosed(std::string_view open, std::vector<uint32_t> choices, bool empty, std::string_view close) {
    std::vector<uint32_t> inner;
    if (!choices.empty()) inner.push_back(grammar_.sequence({grammar_.choice(std::move(choices)), space()}));
    if (empty) inner.push_back(grammar_.sequence({}));
    return grammar_.sequence({grammar_.text(open), space(), grammar_.choice(std::move(inner)), grammar_.text(close)});
  }

  Result<uint32_t> array(const Json& schema, const std::string& path) {
    const Json* unique = schema.find("uniqueItems");
    if (unique != nullptr && unique->bool_or(true)) return refuse(path, "uniqueItems", "");
    TRY_ASSIGN(const auto least, count(schema, "minItems", path));
    TRY_ASSIGN(auto most, count(schema, "maxItems", path));
    const uint32_t min = least.value_or(0);
    std::vector<uint32_t> prefix;
    const Json* given = schema.find("prefixItems");
    if (given != nullptr && (!given->is_array() || given->items().size() > kPrefixMax)) {
      return fail(path, "\"prefixItems\" must be a list of at most {} schemas", kPrefixMax);
    }
    for (const Json& one : schema.member("prefixItems").items_or_none()) {
      if (most && prefix.size() == *most) break;
      TRY_ASSIGN(const uint32_t item, this->schema(one, format("{}/prefixItems/{}", path, prefix.size())));
      prefix.push_back(item);
    }
    const Json* items = schema.find("items");
    const Json any(true);
    if (items == nullptr && (prefix.empty() || min > prefix.size())) items = &any;
    const auto before = static_cast<uint32_t>(prefix.size());
    if (items == nullptr || (items->is_bool() && !items->as_bool())) most = std::min(most.value_or(before), before);
    if (most && *most < min) return fail(path, "no array has {} items and at most {}", min, *most);
    std::optional<uint32_t> item;
    if (!most || *most > before) {
      TRY_ASSIGN(item, this->schema(*items, path + "/items"));
    }
    return list_of(prefix, item, min, most);
  }

  // From the last item to the first: what follows an item is all or nothing of the next.
  uint32_t list_of(const std::vector<uint32_t>& prefix, std::optional<uint32_t> item, uint32_t min,
                   std::optional<uint32_t> most) {
    const auto before = static_cast<uint32_t>(prefix.size());
    std::optional<uint32_t> tail;  // what follows the items of the prefix
    if (item) {
      const uint32_t skip = std::max(before, 1u);  // the first item has no comma
      const uint32_t max = most ? *most - skip : GrammarNode::kUnbounded;
      tail = grammar_.repeat(grammar_.sequence({comma(), *item}), min > skip ? min - skip : 0, max);
      if (before == 0) tail = grammar_.sequence({*item, *tail});
    }
    for (uint32_t i = before; i-- > 0;) {
      uint32_t one = i == 0 ? prefix[i] : grammar_.sequence({comma(), prefix[i]});
      if (tail) one = grammar_.sequence({one, *tail});
      tail = min > i ? one : i == 0 ? one : grammar_.optional(one);
    }
    std::vector<uint32_t> choices;
    if (tail) choices.push_back(*tail);
    return enclosed("[", std::move(choices), min == 0, "]");
  }

  const Json& document_;
  Grammar grammar_;
  std::map<std::string, uint32_t> rules_;       // by the schema's text
  std::map<std::string, const Json*> targets_;  // by the reference
  size_t steps_ = 0;                            // see kStepsMax
  std::optional<uint32_t> any_, string_, any_char_, space_, comma_;
  int depth_ = 0;
};

}  // namespace

Result<Grammar> grammar_from_schema(const Json& schema, std::string_view source) {
  const size_t bytes = schema.dump().size();
  if (bytes > kSchemaBytesMax) {
    return make_error("{}: the schema has {} bytes on one line; at most {} can be read", source, bytes,
                      kSchemaBytesMax);
  }
  return SchemaCompiler(schema, source).compile();
}

Result<Grammar> parse_json_schema(std::string_view text, std::string_view source) {
  TRY_ASSIGN(const Json schema, parse_json(text, source));
  return grammar_from_schema(schema, source);
}

}  // namespace andiron
