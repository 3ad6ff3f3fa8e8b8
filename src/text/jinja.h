// A Jinja template: parse once, render as often as wanted, from any threads.
//
// Output equals that of Python's jinja2 set up as Hugging Face transformers does for chat templates: an
// ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks and loopcontrols, and the additions tojson,
// raise_exception, strftime_now and the generation tag. Left out: include, import, extends, block, autoescape; the
// filters urlize, pprint, wordwrap, striptags and random; whole numbers beyond 64 bits.
//
// Templates are untrusted. There is no I/O, and every render has a budget (Limits): a hostile template gives an error.
// A million steps, the default, take at most about a second. A thread that renders needs 2 MiB of stack.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/jinja_runtime.h"
#include "text/jinja_text.h"
#include "text/jinja_value.h"

namespace andiron::jinja {

struct Syntax;

// Longer sources are refused: what is parsed takes up to 180 times as much. The longest known template has 20 KiB.
inline constexpr size_t kMaxTemplateBytes = 128 * 1024;

// A JSON value as a template value; strings and keys are tainted or not as a whole. An error when nested deeper than
// kMaxValueDepth or not UTF-8.
Result<Value> value_from_json(const Json& json, bool tainted);

class Template {
 public:
  // Messages name `name` and the line.
  static Result<Template> parse(std::string_view source, std::string_view name);

  struct Options {
    Limits limits;
    // What strftime_now shows, in seconds since 1970-01-01 00:00 of the local clock. Without it the function is not
    // defined, as templates expect where there is no clock.
    std::optional<int64_t> now;
  };
  // Values may be shared with other renders. The result is valid UTF-8.
  Result<Text> render(const std::vector<std::pair<std::string, Value>>& variables, const Options& options) const;

 private:
  Template(std::string name, std::shared_ptr<const Syntax> syntax);

  std::string name_;
  std::shared_ptr<const Syntax> syntax_;
};

}  // namespace andiron::jinja
