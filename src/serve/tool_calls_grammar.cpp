#include "serve/tool_calls_grammar.h"

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "grammar/json_schema.h"

namespace andiron {

namespace {

using Body = CallStyle::Body;

// Of all tools of a request: of their parameters, and of each schema that is read, with the definitions beside it.
constexpr size_t kToolSchemasBytesMax = 4 * kSchemaBytesMax;

class CallGrammar {
 public:
  CallGrammar(Grammar& grammar, const CallStyle& style, std::string_view begun)
      : grammar_(grammar), style_(style), begun_(begun) {}

  Result<uint32_t> calls(std::span<const OfferedTool> tools, bool parallel) {
    std::vector<uint32_t> first, further;
    for (const OfferedTool& tool : tools) {
      TRY_ASSIGN(const uint32_t node, call(tool));
      further.push_back(grammar_.call(named(node)));
      first.push_back(further.back());
    }
    const uint32_t one = grammar_.call(named(grammar_.choice(std::move(first))));
    if (style_.body == Body::kJson && style_.is_list) return list(one, parallel);
    const uint32_t section_close = grammar_.optional(marks({style_.section_close}));
    std::vector<uint32_t> parts = {start(), one};
    parts.push_back(grammar_.optional(close()));
    if (parallel) {
      const uint32_t next = grammar_.sequence({space(), reopen(), one, close()});
      parts.push_back(grammar_.repeat(next, 0, GrammarNode::kUnbounded));
    }
    parts.push_back(section_close);
    return grammar_.sequence(std::move(parts));
  }

 private:
  uint32_t named(uint32_t body) {
    const uint32_t rule = grammar_.rule(format("call-{}", grammar_.rules.size()));
    grammar_.rules[rule].body = body;
    return rule;
  }
  uint32_t nothing() { return grammar_.sequence({}); }
  uint32_t space() { return grammar_.optional(grammar_.text("\n")); }

  // Marks one after another, a line end allowed in front of each.
  uint32_t marks(std::initializer_list<std::string_view> texts) {
    std::vector<uint32_t> parts;
    for (const std::string_view text : texts) {
      if (text.empty()) continue;
      parts.push_back(space());
      parts.push_back(grammar_.text(text));
    }
    return grammar_.sequence(std::move(parts));
  }

  // What stands before the first call's body, but for what the prompt holds of it.
  uint32_t start() {
    std::string text = style_.section_open.empty() ? "" : style_.section_open + "\n";
    text += style_.open;
    return begun_.empty() && !style_.bare && !text.empty() ? grammar_.text(text) : nothing();
  }
  uint32_t close() {
    // Arguments between marks end with theirs.
    return style_.body == Body::kTagged ? nothing() : marks({style_.close});
  }
  // Between two calls.
  uint32_t reopen() {
    if (style_.body == Body::kTagged && !style_.section_open.empty()) {
      const uint32_t anew = marks({style_.section_close, style_.section_open});
      return grammar_.sequence({grammar_.optional(anew), space(), grammar_.text(style_.open)});
    }
    return grammar_.text(style_.bare ? ";" : style_.open);
  }

  uint32_t list(uint32_t one, bool parallel) {
    std::vector<uint32_t> parts = {start(), grammar_.text("["), one};
    if (parallel) {
      const uint32_t next = grammar_.sequence({grammar_.text(", "), one});
      parts.push_back(grammar_.repeat(next, 0, GrammarNode::kUnbounded));
    }
    parts.push_back(grammar_.text("]"));
    parts.push_back(grammar_.optional(close()));
    return grammar_.sequence(std::move(parts));
  }

  Status count_bytes(const Json& schema) {
    schema_bytes_ += schema.dump().size();
    if (schema_bytes_ <= kToolSchemasBytesMax) return {};
    return make_error("the tools' schemas have more than {} bytes, with what their parameters share",
                      kToolSchemasBytesMax);
  }
  Result<uint32_t> schema(const Json& schema, const std::string& place) {
    TRY(count_bytes(schema));
    TRY_ASSIGN(const Grammar inner, grammar_from_schema(schema, place));
    return grammar_.call(add_rules(grammar_, inner));
  }
  Result<uint32_t> arguments(const OfferedTool& tool) {
    const std::string place = format("the parameters of the tool \"{}\"", in_quotes(tool.name));
    return schema(tool.parameters.is_object() ? tool.parameters : any_object(), place);
  }
  static Json any_object() {
    Json out = Json::object();
    out.set("type", "object");
    return out;
  }

  // From behind the opening mark.
  Result<uint32_t> call(const OfferedTool& tool) {
    TRY(count_bytes(tool.parameters));
    if (style_.body == Body::kTagged) return tagged(tool);
    TRY_ASSIGN(const uint32_t values, arguments(tool));
    if (style_.body == Body::kNamedJson) {
      return grammar_.sequence(
          {name(tool, style_.name_before + tool.name + style_.name_after + style_.name_end), values});
    }
    const uint32_t before = grammar_.text(style_.name_is_key ? format("{{{}: ", json_quote(tool.name))
                                                             : format("{{\"{}\": {}, \"{}\": ", style_.name_key,
                                                                      json_quote(tool.name), style_.arguments_key));
    const uint32_t line = style_.is_list || style_.bare ? nothing() : space();
    return grammar_.sequence({line, before, values, grammar_.text("}")});
  }

  // Its name and what follows it, or nothing where the prompt holds it.
  uint32_t name(const OfferedTool&, const std::string& text) {
    return begun_.ends_with(text) ? nothing() : grammar_.text(text);
  }

  Result<uint32_t> tagged(const OfferedTool& tool) {
    std::vector<uint32_t> parts = {name(tool, tool.name + style_.name_end)};
    std::set<std::string_view> needed;
    for (const Json& one : tool.parameters.member("required").items_or_none()) needed.insert(one.text_or(""));
    const Json& properties = tool.parameters.member("properties");
    for (const auto& [key, value] : properties.is_object() ? properties.members() : Json::Object{}) {
      TRY_ASSIGN(const uint32_t one, parameter(tool, key, value));
      parts.push_back(needed.contains(key) ? one : grammar_.optional(one));
    }
    parts.push_back(marks({style_.close}));
    return grammar_.sequence(std::move(parts));
  }

  Result<uint32_t> parameter(const OfferedTool& tool, const std::string& key, const Json& value) {
    const bool is_string = value.member("type").text_or("") == "string";
    const bool is_text = is_string && value.find("enum") == nullptr;
    const std::string& attribute = is_string ? style_.text_attribute : style_.json_attribute;
    const uint32_t before = grammar_.text(style_.key_open + key + style_.key_end);
    const bool own_line = style_.text_attribute.empty() && !style_.value_open.empty();
    const uint32_t open =
        grammar_.sequence({own_line ? space() : nothing(), grammar_.text(attribute + style_.value_open)});
    std::vector<uint32_t> parts = {space(), before, open};
    if (is_text) {
      parts.push_back(add_text_until(grammar_, style_.value_end));
    } else {
      TRY_ASSIGN(const uint32_t inner, value_of(tool, key, value));
      parts.insert(parts.end(), {space(), inner, space(), grammar_.text(style_.value_end)});
    }
    return grammar_.sequence(std::move(parts));
  }

  // Texts of a choice stand there without quotes.
  Result<uint32_t> value_of(const OfferedTool& tool, const std::string& key, const Json& value) {
    const Json* choices = value.find("enum");
    if (value.member("type").text_or("") == "string" && choices != nullptr) {
      std::vector<uint32_t> texts;
      for (const Json& choice : choices->items_or_none()) texts.push_back(grammar_.text(choice.text_or("")));
      if (!texts.empty()) return grammar_.choice(std::move(texts));
    }
    Json whole = value;
    for (const char* name : {"$defs", "definitions"}) {  // which it may refer to
      const Json* definitions = tool.parameters.find(name);
      if (whole.is_object() && definitions != nullptr && whole.find(name) == nullptr) whole.set(name, *definitions);
    }
    return schema(whole, format("the parameter \"{}\" of the tool \"{}\"", in_quotes(key), in_quotes(tool.name)));
  }

  Grammar& grammar_;
  const CallStyle& style_;
  std::string_view begun_;
  size_t schema_bytes_ = 0;
};

}  // namespace

bool has_call_grammar(const CallStyle& style) {
  return style.body == Body::kJson || style.body == Body::kNamedJson || style.body == Body::kTagged;
}

Result<uint32_t> add_calls(Grammar& grammar, const CallStyle& style, std::span<const OfferedTool> tools, bool parallel,
                           std::string_view begun) {
  return CallGrammar(grammar, style, begun).calls(tools, parallel);
}

uint32_t add_rules(Grammar& grammar, const Grammar& other) {
  const auto nodes = static_cast<uint32_t>(grammar.nodes.size());
  const auto sets = static_cast<uint32_t>(grammar.sets.size());
  const auto rules = static_cast<uint32_t>(grammar.rules.size());
  for (GrammarNode node : other.nodes) {
    if (node.kind == GrammarNode::Kind::kChars) node.index += sets;
    if (node.kind == GrammarNode::Kind::kRule) node.index += rules;
    for (uint32_t& child : node.children) child += nodes;
    grammar.nodes.push_back(std::move(node));
  }
  grammar.sets.insert(grammar.sets.end(), other.sets.begin(), other.sets.end());
  for (GrammarRule rule : other.rules) {
    rule.name = format("{}-{}", rules, rule.name);
    rule.body += nodes;
    grammar.rules.push_back(std::move(rule));
  }
  return rules + other.root;
}

// Cut before every first byte of the mark, what lies before the mark is pieces, each a true beginning of the mark and
// then, unless the piece ends there, a character that the mark has not there.
uint32_t add_text_until(Grammar& grammar, std::string_view mark) {
  std::vector<uint32_t> marks;
  for (size_t at = 0; at < mark.size();) marks.push_back(next_code_point(mark, at));
  const auto except = [&](std::initializer_list<uint32_t> code_points) {
    std::vector<CharSet> sets;
    for (const uint32_t one : code_points) sets.emplace_back(one, one);
    CharSet set = CharSet::union_of(sets);
    set.complement();
    return grammar.chars(std::move(set));
  };
  const uint32_t plain = grammar.repeat(except({marks[0]}), 0, GrammarNode::kUnbounded);
  std::vector<uint32_t> pieces;
  std::string begun;
  for (size_t i = 1; i < marks.size(); ++i) {
    append_utf8(begun, marks[i - 1]);
    const uint32_t other = grammar.sequence({except({marks[0], marks[i]}), plain});
    pieces.push_back(grammar.sequence({grammar.text(begun), grammar.optional(other)}));
  }
  std::vector<uint32_t> parts = {plain};
  if (!pieces.empty()) parts.push_back(grammar.repeat(grammar.choice(std::move(pieces)), 0, GrammarNode::kUnbounded));
  parts.push_back(grammar.text(mark));
  return grammar.sequence(std::move(parts));
}

}  // namespace andiron
