// Jinja: any text as a template, rendered for a fixed conversation under a small budget. Besides not crashing: the
// result is UTF-8, is the same the second time, its taint is well-formed, and what came from the conversation is
// tainted.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/strings.h"
#include "text/jinja.h"

namespace {

using namespace andiron;

// U+E000, a private character: the conversation is full of it, and templates have no reason to write it themselves.
constexpr std::string_view kMark = "\ue000";

std::vector<std::pair<std::string, jinja::Value>> conversation() {
  const auto json = parse_json(R"({
    "messages": [{"role": "system", "content": "\ue000 be <kind> \ue000"},
                 {"role": "user", "content": [{"type": "text", "text": "\ue000Ab, c\n\n d\ue000"}, {"type": "image"}]},
                 {"role": "assistant", "content": null, "reasoning_content": "\ue000",
                  "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f\ue000",
                                  "arguments": {"a\ue000": [1, 2.5, true, null, "x\ue000y"]}}}]},
                 {"role": "tool", "content": "\ue000\t\ue000", "tool_call_id": "1"}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "\ue000",
               "parameters": {"type": "object", "properties": {"p\ue000": {"type": "string"}}, "required": []}}}],
    "add_generation_prompt": true, "d": {"b": 1, "a": {"c": [3, 1, 2]}}, "s": "x \ue000 y", "n": 7, "f": 2.5,
    "users": [{"name": "\ue000", "age": 30}, {"name": "B", "age": 25}], "empty": [], "z": null})",
                               "conversation");
  std::vector<std::pair<std::string, jinja::Value>> variables;
  for (const auto& [name, value] : json->members()) {
    variables.emplace_back(name, *jinja::value_from_json(value, true));
  }
  return variables;
}

void check_taint(const jinja::Text& text, std::string_view source) {
  size_t last = 0;
  for (const jinja::TaintRange& range : text.tainted()) {
    if (range.begin >= range.end || range.end > text.size() || (last != 0 && range.begin <= last)) std::abort();
    last = range.end;
  }
  // A template can write the character itself: as it is, escaped, or by its number.
  for (const std::string_view spelling :
       {kMark, std::string_view("e000"), std::string_view("E000"), std::string_view("%c"), std::string_view(":c")}) {
    if (source.find(spelling) != std::string_view::npos) return;
  }
  for (size_t at = text.view().find(kMark); at != std::string_view::npos; at = text.view().find(kMark, at + 1)) {
    for (size_t i = 0; i < kMark.size(); ++i) {
      if (!text.is_tainted_at(at + i)) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = conversation();
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = jinja::Template::parse(source, "input");
  if (!parsed.ok()) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  jinja::Template::Options options;
  options.limits = {.steps = 20'000, .output_bytes = 64 << 10, .memory_bytes = 4 << 20, .call_depth = 100};
  options.now = 1'764'062'301;
  const auto first = parsed->render(variables, options);
  const auto second = parsed->render(variables, options);
  if (first.ok() != second.ok()) std::abort();
  if (!first.ok()) return 0;
  if (first->bytes() != second->bytes() || !is_valid_utf8(first->bytes())) std::abort();
  check_taint(*first, source);
  return 0;
}
