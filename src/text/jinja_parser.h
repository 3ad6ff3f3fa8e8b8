// Reads a template's text into its syntax tree. Grammar: Jinja 3.1, with the loopcontrols extension (break, continue)
// and transformers' generation tag; without include, import, extends, block and autoescape, for a chat template stands
// alone.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja_ast.h"

namespace andiron::jinja {

// `source` must be valid UTF-8. Slots are not yet assigned (jinja_scope.h). Messages begin with the line.
Result<Syntax> parse_syntax(std::string_view source);

}  // namespace andiron::jinja
