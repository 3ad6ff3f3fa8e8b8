// json_schemas.jsonl holds schemas with texts that must match and texts that must not. Besides, random walks under the
// masks write texts for each; those are held against python3-jsonschema where that is installed, and always against the
// small checker here.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "grammar/token_grammar.h"

namespace andiron {
namespace {

const std::string kSchemas = std::string(ANDIRON_SOURCE_DIR) + "/src/grammar/json_schemas.jsonl";
constexpr size_t kSchemaCount = 238;  // a file that is cut short would test little

std::vector<Json> read_cases() {
  std::vector<Json> out;
  std::ifstream file(kSchemas);
  for (std::string line; std::getline(file, line);) {
    auto parsed = parse_json(line, kSchemas);
    EXPECT_TRUE(parsed.ok()) << line;
    if (parsed.ok()) out.push_back(std::move(*parsed));
  }
  return out;
}

bool accepts(const Automaton& automaton, std::string_view text) {
  Pushdown pushdown(automaton);
  uint32_t at = pushdown.start();
  for (const char c : text) at = pushdown.next(at, static_cast<uint8_t>(c));
  EXPECT_FALSE(pushdown.overflowed());
  return pushdown.accepts(at);
}

TEST(JsonSchema, AcceptsAndRefusesWhatTheTableSays) {
  const auto cases = read_cases();
  ASSERT_EQ(cases.size(), kSchemaCount);
  for (const Json& one : cases) {
    const std::string name = one.find("schema")->dump();
    const auto grammar = grammar_from_schema(*one.find("schema"), "schema");
    ASSERT_TRUE(grammar.ok()) << name << ": " << grammar.error().message;
    const auto automaton = Automaton::compile(*grammar);
    ASSERT_TRUE(automaton.ok()) << name << ": " << automaton.error().message;
    for (const Json& text : one.find("yes")->items()) {
      EXPECT_TRUE(accepts(*automaton, text.as_string())) << name << ": " << text.as_string();
    }
    for (const Json& text : one.find("no")->items()) {
      EXPECT_FALSE(accepts(*automaton, text.as_string())) << name << ": " << text.as_string();
    }
  }
}

// A vocabulary of all bytes of ASCII, parts of longer characters, and pieces that cross the ends of strings, numbers,
// members and arrays.
std::vector<std::string> walk_pieces() {
  std::vector<std::string> pieces;
  for (char c = 1; c < 127; ++c) pieces.emplace_back(1, c);
  for (const char* piece :
       {"\xc3", "\xa4",  "\u00e4", "\xe2\x82", "\xac", "\xf0\x9f", "\x98\x80", "\":",  "\", \"", "{\"", "\"}", "\"]",
        "},",   "}]",    "[]",     "{}",       "[{",   "true",     "false",    "null", "ull",    "1,",  "12",  "0.5",
        "00",   "-1",    "e1",     "ab",       "abc",  "name",     "\":\"",    "\": ", "\": [",  "\\u", "\\n", "d8",
        "a\"",  "a\", ", "9}",     "2024",     "-0",   "T1",       ":0",       "Z\"",  "@a",     ".b",  "]}",  " }"}) {
    pieces.emplace_back(piece);
  }
  pieces.emplace_back("<end>");
  return pieces;
}

// One text under the masks: drawn evenly for a while, then by whatever closes what is open.
Result<std::string> random_walk(const std::shared_ptr<const TokenGrammar>& grammar,
                                const std::vector<std::string>& pieces, uint64_t seed) {
  GrammarMatcher matcher(grammar);
  const RandomStream random(seed);
  const auto end = static_cast<int32_t>(pieces.size()) - 1;
  std::string text;
  for (uint64_t step = 0; step < 3000; ++step) {
    TRY_ASSIGN(const auto mask, matcher.mask());
    std::vector<int32_t> allowed;
    for (int32_t token = 0; token <= end; ++token) {
      if ((mask[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0) allowed.push_back(token);
    }
    if (allowed.empty()) return make_error("nothing is allowed after {}", text);
    int32_t chosen = allowed[static_cast<size_t>(random.uniform(step) * static_cast<double>(allowed.size()))];
    const auto is_allowed = [&](int32_t token) {
      return std::find(allowed.begin(), allowed.end(), token) != allowed.end();
    };
    if (step > 40) {
      if (is_allowed(end)) return text;
      for (const char closing : std::string_view(step % 4 == 0 ? "" : "0}]\"")) {
        if (is_allowed(closing - 1)) chosen = closing - 1;
      }
    }
    if (chosen == end) return text;
    TRY(matcher.accept(chosen));
    text += pieces[static_cast<size_t>(chosen)];
  }
  return make_error("no end of {}", text);
}

// A part of JSON schema, read plainly: what it does not know it takes for valid.
class Checker {
 public:
  explicit Checker(const Json& document) : document_(document) {}

  bool valid(const Json& schema, const Json& value) const {
    if (schema.is_bool()) return schema.as_bool();
    if (const Json* ref = schema.find("$ref")) {
      if (!valid(follow(ref->as_string()), value)) return false;
    }
    if (const Json* type = schema.find("type"); type != nullptr && !has_type(*type, value)) return false;
    if (const Json* list = schema.find("enum"); list != nullptr && !is_one_of(*list, value)) return false;
    if (const Json* only = schema.find("const"); only != nullptr && only->dump() != value.dump()) return false;
    for (const Json& one : schema.member("allOf").items_or_none()) {
      if (!valid(one, value)) return false;
    }
    if (schema.find("anyOf") != nullptr && matches(schema.member("anyOf"), value) == 0) return false;
    if (schema.find("oneOf") != nullptr && matches(schema.member("oneOf"), value) != 1) return false;
    if (value.is_number() && !number(schema, value.as_double())) return false;
    if (value.is_string() && !string(schema, value.as_string())) return false;
    if (value.is_array() && !array(schema, value)) return false;
    return !value.is_object() || object(schema, value);
  }

 private:
  const Json& follow(std::string_view pointer) const {
    const Json* at = &document_;
    std::string name;
    for (size_t i = 1; i < pointer.size(); ++i) {
      if (pointer[i] == '/') {
        if (i > 1) at = at->find(name);
        name.clear();
      } else if (pointer[i] == '~') {
        name += pointer[++i] == '1' ? '/' : '~';
      } else {
        name += pointer[i];
      }
    }
    return name.empty() ? *at : *at->find(name);
  }
  static bool has_type(const Json& type, const Json& value) {
    if (type.is_array()) {
      return std::any_of(type.items().begin(), type.items().end(),
                         [&](const Json& one) { return has_type(one, value); });
    }
    const std::string& name = type.as_string();
    if (name == "integer") return value.is_number() && value.as_double() == std::floor(value.as_double());
    return (name == "null" && value.is_null()) || (name == "boolean" && value.is_bool()) ||
           (name == "number" && value.is_number()) || (name == "string" && value.is_string()) ||
           (name == "array" && value.is_array()) || (name == "object" && value.is_object());
  }
  static bool is_one_of(const Json& list, const Json& value) {
    return std::any_of(list.items().begin(), list.items().end(),
                       [&](const Json& one) { return one.dump() == value.dump(); });
  }
  int matches(const Json& list, const Json& value) const {
    int count = 0;
    for (const Json& one : list.items()) count += valid(one, value) ? 1 : 0;
    return count;
  }
  static bool number(const Json& schema, double value) {
    return value >= schema.member("minimum").number_or(-INFINITY) &&
           value <= schema.member("maximum").number_or(INFINITY) &&
           value > schema.member("exclusiveMinimum").number_or(-INFINITY) &&
           value < schema.member("exclusiveMaximum").number_or(INFINITY);
  }
  static bool string(const Json& schema, const std::string& value) {
    double letters = 0;
    for (size_t at = 0; at < value.size(); ++letters) next_code_point(value, at);
    return letters >= schema.member("minLength").number_or(0) &&
           letters <= schema.member("maxLength").number_or(INFINITY);
  }
  bool array(const Json& schema, const Json& value) const {
    const auto size = static_cast<double>(value.items().size());
    if (size < schema.member("minItems").number_or(0) || size > schema.member("maxItems").number_or(INFINITY))
      return false;
    const auto prefix = schema.member("prefixItems").items_or_none();
    for (size_t i = 0; i < value.items().size(); ++i) {
      const Json* rule = i < prefix.size() ? &prefix[i] : schema.find("items");
      if (rule != nullptr && !valid(*rule, value.items()[i])) return false;
    }
    return true;
  }
  bool object(const Json& schema, const Json& value) const {
    for (const Json& name : schema.member("required").items_or_none()) {
      if (value.find(name.as_string()) == nullptr) return false;
    }
    for (const auto& [name, member] : value.members()) {
      const Json* rule = schema.member("properties").find(name);
      if (rule == nullptr) rule = schema.find("additionalProperties");
      if (rule != nullptr && !valid(*rule, member)) return false;
    }
    return true;
  }

  const Json& document_;
};

struct Written {
  size_t schema;
  std::string text;
};

std::vector<Written> write_texts(const std::vector<Json>& cases, int each) {
  const auto pieces = walk_pieces();
  const std::vector<std::string_view> views(pieces.begin(), pieces.end());
  const auto vocabulary =
      std::make_shared<const TokenTrie>(views, std::vector<int32_t>{static_cast<int32_t>(pieces.size()) - 1});
  std::vector<Written> out;
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto grammar = grammar_from_schema(*cases[i].find("schema"), "schema");
    EXPECT_TRUE(grammar.ok());
    const auto tokens = TokenGrammar::create(*grammar, vocabulary);
    EXPECT_TRUE(tokens.ok());
    for (int n = 0; tokens.ok() && n < each; ++n) {
      const auto text = random_walk(*tokens, pieces, 1000 * i + static_cast<uint64_t>(n));
      EXPECT_TRUE(text.ok()) << cases[i].dump() << ": " << text.error().message;
      if (text.ok()) out.push_back({i, *text});
    }
  }
  return out;
}

TEST(JsonSchema, WhatIsWrittenUnderTheMasksIsValid) {
  const auto cases = read_cases();
  const auto texts = write_texts(cases, 20);
  ASSERT_EQ(texts.size(), kSchemaCount * 20);
  size_t checked = 0;
  std::vector<int> checked_of(cases.size());
  for (const Written& one : texts) {
    const auto value = parse_json(one.text, "answer");
    // A grammar cannot know which names an object with names of its own choice has had.
    if (!value.ok() && value.error().message.find("appears twice") != std::string::npos) continue;
    ASSERT_TRUE(value.ok()) << one.text << ": " << value.error().message;
    const Json& schema = *cases[one.schema].find("schema");
    EXPECT_TRUE(Checker(schema).valid(schema, *value)) << schema.dump() << ": " << one.text;
    ++checked;
    ++checked_of[one.schema];
  }
  // Few schemas leave names open, and few texts take one twice.
  EXPECT_GE(checked, texts.size() * 19 / 20);
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_GT(checked_of[i], 0) << cases[i].dump();
}

TEST(JsonSchema, WhatIsWrittenIsValidForPythonToo) {
  const auto cases = read_cases();
  const TestFolder folder;
  const std::string instances = folder.file("instances.jsonl");
  {
    std::ofstream file(instances);
    const auto texts = write_texts(cases, 40);
    ASSERT_EQ(texts.size(), kSchemaCount * 40);
    for (const Written& one : texts) {
      file << Json(Json::Array{Json(static_cast<int64_t>(one.schema)), Json(one.text)}).dump() << "\n";
    }
  }
  const std::string script = std::string(ANDIRON_SOURCE_DIR) + "/tests/oracles/json_schema_oracle.py";
  const std::string output = folder.file("output.txt");
  int code = 3;
  for (const char* python : {"/usr/bin/python3", "python3"}) {
    if (code != 3 && code != 127) break;
    const std::string command =
        format("{} -W ignore '{}' '{}' '{}' > '{}'", python, script, kSchemas, instances, output);
    const int status = std::system(command.c_str());
    code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  if (code == 3 || code == 127) {
    GTEST_SKIP() << "no python3 with jsonschema (package python3-jsonschema) is installed: NOT COMPARED";
  }
  std::ifstream file(output);
  const std::string said(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(code, 0) << said;
  EXPECT_NE(said.find(format("{} texts looked at, 0 not valid", kSchemaCount * 40)), std::string::npos) << said;
}

TEST(JsonSchema, WhatCannotBeCarriedIsRefusedByNameAndPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"not": {"type": "null"}})", "schema, #: the keyword \"not\" cannot be carried by a grammar"},
      {R"({"properties": {"a": {"patternProperties": {}}}})",
       "#/properties/a: the keyword \"patternProperties\" cannot"},
      {R"({"properties": {"a/b~": {"items": {"not": {}}}}})", "schema, #/properties/a~1b~0/items: the keyword \"not\""},
      {R"({"items": {"uniqueItems": true}})", "#/items: the keyword \"uniqueItems\" cannot be carried"},
      {R"({"type": "integer", "multipleOf": 3})", "the keyword \"multipleOf\" cannot"},
      {R"({"if": true})", "the keyword \"if\""},
      {R"({"dependentRequired": {}})", "the keyword \"dependentRequired\""},
      {R"({"$dynamicRef": "#x"})", "the keyword \"$dynamicRef\""},
      {R"({"minProperties": 1})", "the keyword \"minProperties\""},
      {R"({"propertyNames": {}})", "the keyword \"propertyNames\""},
      {R"({"contains": {}})", "the keyword \"contains\""},
      {R"({"nonsense": 1})", "the keyword \"nonsense\""},
      {R"({"type": "string", "format": "phone"})",
       "\"format\" cannot be carried by a grammar: the format phone is not known"},
      {R"({"type": "string", "pattern": "(?=a)b"})", "looking ahead is not supported"},
      {R"({"type": "string", "pattern": "(a)\\1"})", "the keyword \"pattern\" cannot be carried"},
      {R"({"type": "string", "pattern": "a\\b"})", "the escape \\b is not supported"},
      {R"({"type": "string", "pattern": "^a|b$"})", "put the alternatives into a group"},
      {R"({"type": "string", "pattern": "a^b"})", "'^' within the pattern is not supported"},
      {R"({"type": "string", "pattern": "["})", "'[' without ']'"},
      {R"({"type": "string", "pattern": "a", "minLength": 2})",
       "\"minLength\" cannot be carried by a grammar: it stands beside pattern"},
      {R"({"type": "string", "minLength": 3, "maxLength": 2})", "\"maxLength\" is less than \"minLength\""},
      {R"({"type": "string", "maxLength": 1000000})",
       "\"maxLength\" cannot be carried by a grammar: it is above 100000"},
      {R"({"type": "string", "maxLength": 1.5})", "\"maxLength\" must be a whole number"},
      {R"({"enum": ["a"], "minLength": 1})", "\"minLength\" cannot be carried by a grammar: it stands beside enum"},
      {R"({"enum": 3})", "\"enum\" must be a list"},
      {R"({"enum": []})", "no value is left"},
      {R"({"enum": ["a"], "type": "integer"})", "no value is left"},
      {R"({"type": "word"})", "\"word\" is not a type"},
      {R"({"type": []})", "no type is left"},
      {R"({"type": 3})", "\"type\" must be a text or a list"},
      {R"(false)", "the schema false allows nothing"},
      {R"(3)", "expected a schema"},
      {R"({"items": 3})", "#/items: expected a schema"},
      {R"({"properties": 3})", "\"properties\" must be an object"},
      {R"({"required": "a"})", "\"required\" must be a list of names"},
      {R"({"required": ["a"], "additionalProperties": false})",
       "the property \"a\" is required, but additionalProperties forbids it"},
      {R"({"$ref": "other.json"})", "only references within the document"},
      {R"({"$ref": "#/$defs/none"})", "points to #/$defs/none, which is not there"},
      {R"({"$ref": "#"})", "is left-recursive"},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", "is left-recursive"},
      {R"({"$ref": "#", "minimum": 3})", "without end"},
      {R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})", "the keyword \"pattern\" is asked for twice"},
      {R"({"allOf": [{"type": "integer"}, {"type": "string"}]})", "no type is left"},
      {R"({"allOf": [{"properties": {"a": true}, "additionalProperties": false}, {"properties": {"b": true}}]})",
       "additionalProperties beside a property \"b\" from elsewhere"},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", "a value might be valid for branches 0 and 1 both"},
      {R"({"oneOf": [{"properties": {"a": true}}, {"properties": {"b": true}}]})",
       "a value might be valid for branches"},
      {R"({"oneOf": []})", "\"oneOf\" must be a list"},
      {R"({"type": "integer", "minimum": 3, "maximum": 2})", "between its bounds lies no number"},
      {R"({"type": "integer", "minimum": "3"})", "\"minimum\" must be a number"},
      {R"({"type": "integer", "minimum": 1e300})", "\"minimum\" cannot be carried by a grammar: it is beyond 1e15"},
      {R"({"type": "array", "minItems": 3, "maxItems": 2})", "no array has 3 items and at most 2"},
      {R"({"properties": {"a": {"$id": "x"}}})", "the keyword \"$id\" cannot"},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", "no text matches the grammar"},
      {R"({"type")", "schema"},
  };
  for (const auto& [text, message] : cases) {
    const auto grammar = parse_json_schema(text, "schema");
    std::string said = grammar.ok() ? "" : grammar.error().message;
    if (grammar.ok()) {
      const auto automaton = Automaton::compile(*grammar);
      said = automaton.ok() ? "" : automaton.error().message;
    }
    EXPECT_FALSE(said.empty()) << text;
    EXPECT_NE(said.find(message), std::string::npos) << text << ": " << said;
  }
}

// The size counts however the schema came: read from a file, or within a request that may be far larger.
TEST(JsonSchema, LargeSchemasAreRefused) {
  const auto described = [](size_t letters) {
    return Json(Json::Object{{"type", Json("null")}, {"description", Json(std::string(letters, 'x'))}});
  };
  const size_t around = described(0).dump().size();
  EXPECT_TRUE(grammar_from_schema(described(kSchemaBytesMax - around), "schema").ok());
  const Json over = described(kSchemaBytesMax - around + 1);
  for (const auto& grammar : {grammar_from_schema(over, "schema"), parse_json_schema(over.dump(), "schema")}) {
    ASSERT_FALSE(grammar.ok());
    EXPECT_NE(grammar.error().message.find("the schema has 262145 bytes on one line; at most 262144"),
              std::string::npos)
        << grammar.error().message;
  }
}

// Properties that are not allowed, and names that are required and not among them: as many as a schema has room for.
TEST(JsonSchema, ManyNames) {
  Json properties = Json::object(), required = Json::array();
  for (int i = 0; i < 8000; ++i) {
    properties.set(format("p{}", i), false);
    required.push(format("q{}", i));
  }
  required.push("q0");
  Json schema = Json::object();
  schema.set("properties", std::move(properties)).set("required", std::move(required));
  ASSERT_LE(schema.dump().size(), kSchemaBytesMax);
  const auto grammar = grammar_from_schema(schema, "schema");
  EXPECT_TRUE(grammar.ok()) << grammar.error().message;
}

// What small schemas can be merged to is counted, and refused at the place where it becomes too much.
TEST(JsonSchema, MergesThatGrowAreRefused) {
  std::string doubling = R"({"$ref": "#/$defs/d0", "$defs": {)";
  for (int i = 0; i < 24; ++i) {
    const auto branch = [&](char letter) {
      return format(R"({{"$ref": "#/$defs/d{}", "properties": {{"{}{}": {{}}}}}})", i + 1, letter, i);
    };
    doubling += format(R"("d{}": {{"anyOf": [{}, {}]}}, )", i, branch('a'), branch('b'));
  }
  doubling += R"("d24": {"type": "object"}}})";
  std::string beside = R"({"properties": {"x": {"enum": [0)";
  for (int i = 1; i < 2000; ++i) beside += format(", {}", i);
  beside += R"(]}}, "anyOf": [{"required": ["x"]})";
  for (int i = 0; i < 2000; ++i) beside += format(R"(, {{"required": ["x", "y{}"]}})", i);
  beside += "]}";
  std::string pairs = R"({"oneOf": [{"const": -1})";
  for (int i = 0; i < 5000; ++i) pairs += format(R"(, {{"const": {}}})", i);
  pairs += "]}";
  const std::string far(100'000, 'p');
  const std::string deep = format(R"({{"properties": {{"{}": {{"prefixItems": [{{"anyOf": [{{"const": 0}})", far);
  std::string places = deep;
  for (int i = 1; i < 1000; ++i) places += format(R"(, {{"const": {}}})", i);
  places += "]}]}}}";
  const std::string steps = "takes more than 2000000 steps", large = "the schema is too large to be compiled";
  const std::pair<std::string, std::string> cases[] = {
      {doubling, large}, {beside, steps}, {pairs, steps}, {places, steps}};
  for (const auto& [schema, message] : cases) {
    const auto grammar = parse_json_schema(schema, "schema");
    ASSERT_FALSE(grammar.ok()) << schema.substr(0, 100);
    EXPECT_NE(grammar.error().message.find(message), std::string::npos) << grammar.error().message;
    EXPECT_EQ(grammar.error().message.find("schema, #"), 0u) << "it names the place";
  }
}

// Types that are named again and again are the same types, in a merge too.
TEST(JsonSchema, TypesAreCountedOnce) {
  const auto list = [](const char* name) {
    Json out = Json::array();
    for (int i = 0; i < 8000; ++i) out.push(name);
    return Json(Json::Object{{"type", out}});
  };
  Json both = Json::object();
  both.set("allOf", Json(Json::Array{list("integer"), list("number")}));
  for (const Json& schema : {list("integer"), both}) {
    const auto grammar = grammar_from_schema(schema, "schema");
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    EXPECT_LT(grammar->nodes.size(), 1000u);  // those of one whole number are some hundreds
  }
}

// {"list": [schema(0), schema(1), ...]} beside what `schema` has already.
Json listed(Json schema, const char* list, int count, const std::function<Json(int)>& make) {
  Json branches = Json::array();
  for (int i = 0; i < count; ++i) branches.push(make(i));
  schema.set(list, std::move(branches));
  return schema;
}

// What is merged is merged in one go however long its lists are, and what multiplies itself is refused.
TEST(JsonSchema, WhatIsPutTogetherHasALimit) {
  const auto numbers = [](int first, int step) {
    return listed(Json::object(), "enum", 10'000, [=](int i) { return Json(int64_t{first} + int64_t{step} * i); });
  };
  const auto object = [](const char* letter) {
    Json properties = Json::object(), required = Json::array();
    for (int i = 0; i < 3000; ++i)
      properties.set(format("{}{}", letter, i), Json(Json::Object{{"type", Json("null")}}));
    for (int i = 0; i < 3000; ++i) required.push(format("{}{}", letter, i));
    return Json(Json::Object{{"type", Json("object")}, {"properties", properties}, {"required", required}});
  };
  const auto alone = [](int i) { return Json(Json::Object{{"const", Json(int64_t{i})}}); };
  const Json long_value = listed(Json::object(), "enum", 1, [](int) { return Json(std::string(20'000, 'x')); });
  struct Case {
    Json schema;
    bool is_refused;
  };
  const std::vector<Case> cases = {
      {listed(Json::object(), "allOf", 2, [&](int i) { return numbers(i, 1); }), false},
      {listed(Json::object(), "oneOf", 2, [&](int i) { return numbers(i, 2); }), false},
      {listed(Json::object(), "allOf", 2, [&](int i) { return object(i == 0 ? "a" : "b"); }), false},
      {listed(Json::object(), "oneOf", 1000, alone), false},
      {listed(Json::object(), "oneOf", 3000, alone), true},
      {listed(long_value, "anyOf", 3000,
              [](int) {
                return Json(Json::Object{{"type", Json("string")}});
              }),
       true}};
  for (size_t i = 0; i < cases.size(); ++i) {
    ASSERT_LE(cases[i].schema.dump().size(), kSchemaBytesMax) << i;
    const auto grammar = grammar_from_schema(cases[i].schema, "schema");
    ASSERT_EQ(grammar.ok(), !cases[i].is_refused) << i << (grammar.ok() ? "" : ": " + grammar.error().message);
    if (grammar.ok()) continue;
    EXPECT_NE(grammar.error().message.find("takes more than 2000000 steps"), std::string::npos)
        << grammar.error().message;
  }
}

// Every cut and every flipped bit of a schema is a schema or an error with a message.
TEST(JsonSchema, DamagedSchemasAreReadOrRefused) {
  const std::string whole =
      R"({"$defs":{"a":{"minimum":-3,"maximum":12}},"properties":{"x":{"$ref":"#/$defs/a"},"y":{"pattern":"^[a-c]{2}\\d$"}}})";
  const auto look = [](const std::string& text) {
    const auto grammar = parse_json_schema(text, "schema");
    if (grammar.ok()) {
      const auto automaton = Automaton::compile(*grammar);
      EXPECT_TRUE(automaton.ok() || !automaton.error().message.empty());
    } else {
      EXPECT_FALSE(grammar.error().message.empty());
    }
  };
  for (size_t cut = 0; cut < whole.size(); ++cut) look(whole.substr(0, cut));
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    look(flipped);
  }
}

}  // namespace
}  // namespace andiron
