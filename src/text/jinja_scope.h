// Gives every name of a template its slot.
//
// Jinja decides at compile time what a name refers to, and not always as a chain of dictionaries would: a name that is
// assigned anywhere in a scope belongs to that scope from its beginning (so a loop body that reads `x` before a later
// top-level `set x` sees nothing, even if the caller passed an x), an assignment in a loop starts each round from the
// outer value, and an assignment in only some branches of an `if` falls back to the outer value or the caller's. This
// pass follows the same rules (Jinja 3.1, "idtracking").
//
// It also refuses what Jinja refuses while compiling: unknown filters and tests outside of conditions, assignments to
// `loop` inside of loops, break and continue outside of loops.
#pragma once

#include "base/result.h"
#include "text/jinja_ast.h"

namespace andiron::jinja {

Status assign_slots(Syntax& syntax);

}  // namespace andiron::jinja
