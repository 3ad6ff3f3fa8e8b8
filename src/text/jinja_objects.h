// The callable values and the `loop` variable: values that know parts of the template or of the interpreter.
#pragma once

#include <optional>
#include <vector>

#include "text/jinja_value.h"

namespace andiron::jinja {

struct Builtin;    // jinja_runtime.h
struct Frame;      // jinja_interpreter.h
struct MacroNode;  // jinja_ast.h
struct Statement;  // jinja_ast.h

struct MacroObject : Object {
  const MacroNode* node = nullptr;
  Frame* frame = nullptr;  // where it was defined; owned by the interpreter until the render ends
};

// A global function, or a method bound to `self`.
struct FunctionObject : Object {
  const Builtin* builtin = nullptr;
  Value self;  // kMissing for a global function
};

// The `loop` variable. The filter of `{% for x in items if test %}` is applied one item at a time, because the body may
// change what the test reads.
struct LoopObject : Object {
  const Statement* statement = nullptr;
  Frame* parent = nullptr;       // the frame around the loop
  Frame* test_frame = nullptr;   // set while items must still pass the loop's test
  std::vector<Value> items;      // of the sequence
  size_t next_item = 0;          // the first of `items` not yet looked at
  std::optional<Value> after;    // looked at ahead of its turn
  Value before;                  // kMissing in the first round
  Value current;                 // kMissing before the first round
  Value last_changed;            // the argument tuple of the latest loop.changed()
  std::optional<size_t> length;  // once known
  int64_t index0 = -1;
  int depth0 = 0;
  bool finished = false;
};

}  // namespace andiron::jinja
