#include "text/jinja.h"

#include <utility>

#include "base/strings.h"
#include "text/jinja_ast.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_parser.h"
#include "text/jinja_scope.h"

namespace andiron::jinja {

namespace {

Result<Value> convert(const Json& json, bool tainted, int depth) {
  if (depth > kMaxValueDepth) return make_error("data nested deeper than {}", kMaxValueDepth);
  if (json.is_null()) return Value::none();
  if (json.is_bool()) return Value::boolean(json.as_bool());
  if (json.is_int()) return Value::integer(json.as_int());
  if (json.is_number()) return Value::real(json.as_double());
  if (json.is_string()) {
    if (!is_valid_utf8(json.as_string())) return make_error("a text that is not UTF-8");
    return make_string(Text(json.as_string(), tainted));
  }
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.items().size());
    for (const Json& item : json.items()) {
      TRY_ASSIGN(Value value, convert(item, tainted, depth + 1));
      items.push_back(std::move(value));
    }
    return make_list(std::move(items));
  }
  std::vector<DictObject::Entry> entries;
  entries.reserve(json.members().size());
  for (const auto& [key, item] : json.members()) {
    if (!is_valid_utf8(key)) return make_error("a name that is not UTF-8");
    TRY_ASSIGN(Value value, convert(item, tainted, depth + 1));
    entries.emplace_back(make_string(Text(key, tainted)), std::move(value));
  }
  return make_dict(std::move(entries));
}

}  // namespace

Result<Value> value_from_json(const Json& json, bool tainted) { return convert(json, tainted, 1); }

Template::Template(std::string name, std::shared_ptr<const Syntax> syntax)
    : name_(std::move(name)), syntax_(std::move(syntax)) {}

Result<Template> Template::parse(std::string_view source, std::string_view name) {
  if (source.size() > kMaxTemplateBytes) {
    return make_error("{}: the template has {}, at most {} are accepted", name, human_bytes(source.size()),
                      human_bytes(kMaxTemplateBytes));
  }
  if (!is_valid_utf8(source)) return make_error("{}: the template is not UTF-8", name);
  auto syntax = parse_syntax(source);
  if (!syntax.ok()) return make_error("{}: {}", name, syntax.error().message);
  auto shared = std::make_shared<Syntax>(std::move(*syntax));
  if (auto status = assign_slots(*shared); !status.ok()) return make_error("{}: {}", name, status.error().message);
  return Template(std::string(name), std::move(shared));
}

Result<Text> Template::render(const std::vector<std::pair<std::string, Value>>& variables,
                              const Options& options) const {
  Interpreter interpreter(*syntax_, variables, options.limits);
  interpreter.now = options.now;
  auto text = interpreter.render();
  if (!text.ok()) return make_error("{}: {}", name_, text.error().message);
  return text;
}

}  // namespace andiron::jinja
