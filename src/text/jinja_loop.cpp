// For loops and the `loop` variable (jinja_interpreter.h).
#include "base/strings.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_operations.h"

namespace andiron::jinja {

Result<Interpreter::Flow> Interpreter::run_for(const Statement& s, Frame& frame) {
  TRY_ASSIGN(const Value sequence, evaluate(*s.expr, frame));
  return run_loop(s, frame, sequence, 0);
}

Result<Interpreter::Flow> Interpreter::run_loop(const Statement& s, Frame& parent, const Value& sequence, int depth0) {
  TRY_ASSIGN(auto items, iterate(*this, sequence));
  TRY_ASSIGN(auto loop, make<LoopObject>(items.size() * sizeof(Value)));
  loop->statement = &s;
  loop->parent = &parent;
  loop->depth0 = depth0;
  loop->items = std::move(items);
  const Value loop_value = Value::of(Kind::kLoop, loop);
  ScopeGuard test_scope(*this);
  if (s.test) {
    TRY(test_scope.open(s.test_scope, &parent));
    loop->test_frame = &test_scope.frame();
  } else {
    loop->length = loop->items.size();
  }
  bool ran = false;
  auto flow = run_rounds(s, loop_value, parent, ran);
  // What is kept of the loop may live on; it must hold no other values, or chains of loops could form.
  loop->finished = true;
  loop->test_frame = nullptr;
  loop->items.clear();
  loop->after.reset();
  loop->before = loop->current = loop->last_changed = Value();
  if (!flow.ok() || ran || s.otherwise.empty()) return flow;
  ScopeGuard scope(*this);
  TRY(scope.open(s.otherwise_scope, &parent));
  return run_body(s.otherwise, scope.frame());
}

// Runs the body for every item. `ran` becomes true when a round reaches the body's end: as in Jinja, a loop left by
// `break` in its first round still counts as one that never ran.
Result<Interpreter::Flow> Interpreter::run_rounds(const Statement& s, const Value& loop, Frame& parent, bool& ran) {
  LoopObject& state = loop.loop();
  ScopeGuard scope(*this);
  TRY(scope.open(s.scope, &parent));
  while (true) {
    TRY(spend(1 + static_cast<uint64_t>(s.scope.slots) / 16));
    Value item;
    TRY_ASSIGN(const bool has_item, next_item(state, item));
    if (!has_item) return Flow::kNormal;
    ++state.index0;
    state.before = std::move(state.current);
    state.current = item;
    enter(s.scope, scope.frame());
    if (s.loop_slot >= 0) scope.frame().slots[static_cast<size_t>(s.loop_slot)] = loop;
    TRY(assign(*s.target, item, scope.frame()));
    TRY_ASSIGN(const Flow flow, run_body(s.body, scope.frame()));
    if (flow == Flow::kBreak) return Flow::kNormal;
    if (flow == Flow::kNormal) ran = true;
  }
}

// The next item that passes the loop's test, if there is one.
Result<bool> Interpreter::next_item(LoopObject& loop, Value& item) {
  if (loop.after) {
    item = std::move(*loop.after);
    loop.after.reset();
    return true;
  }
  while (loop.next_item < loop.items.size()) {
    item = loop.items[loop.next_item++];
    if (loop.test_frame == nullptr) return true;
    TRY(assign(*loop.statement->test_target, item, *loop.test_frame));
    TRY_ASSIGN(const Value test, evaluate(*loop.statement->test, *loop.test_frame));
    if (truth(test)) return true;
  }
  return false;
}

Result<bool> Interpreter::peek_item(LoopObject& loop) {
  if (loop.after) return true;
  Value item;
  TRY_ASSIGN(const bool has_item, next_item(loop, item));
  if (has_item) loop.after = std::move(item);
  return has_item;
}

// Looks at all items that are left when the loop has a test.
Result<size_t> Interpreter::loop_length(LoopObject& loop) {
  if (loop.length) return *loop.length;
  const std::optional<Value> after = std::move(loop.after);
  loop.after.reset();
  std::vector<Value> rest;
  Value item;
  while (true) {
    TRY_ASSIGN(const bool has_item, next_item(loop, item));
    if (!has_item) break;
    rest.push_back(std::move(item));
  }
  loop.after = after;
  loop.items = std::move(rest);
  loop.next_item = 0;
  loop.test_frame = nullptr;
  loop.length = loop.items.size() + static_cast<size_t>(loop.index0 + 1) + (loop.after ? 1 : 0);
  return *loop.length;
}

namespace {

Result<Value> loop_cycle(Runtime&, const Value& self, Call& call) {
  if (call.positional.empty() || !call.named.empty()) return make_error("loop.cycle() needs items");
  return call.positional[static_cast<size_t>(self.loop().index0) % call.positional.size()];
}

Result<Value> loop_changed(Runtime& runtime, const Value& self, Call& call) {
  LoopObject& loop = self.loop();
  TRY_ASSIGN(Value values, runtime.tuple(std::move(call.positional)));
  bool same = false;
  if (!loop.last_changed.is_missing()) {
    TRY_ASSIGN(same, equals(runtime, loop.last_changed, values));
  }
  if (!loop.finished) loop.last_changed = std::move(values);
  return Value::boolean(!same);
}

constexpr Builtin kCycle{.name = "cycle", .free = loop_cycle};
constexpr Builtin kChanged{.name = "changed", .free = loop_changed};

}  // namespace

Result<Value> Interpreter::loop_attribute(const Value& value, std::string_view name) {
  LoopObject& loop = value.loop();
  if (name == "index") return Value::integer(loop.index0 + 1);
  if (name == "index0") return Value::integer(loop.index0);
  if (name == "first") return Value::boolean(loop.index0 == 0);
  if (name == "depth") return Value::integer(loop.depth0 + 1);
  if (name == "depth0") return Value::integer(loop.depth0);
  if (name == "previtem") return loop.before.is_missing() ? undefined("there is no previous item") : loop.before;
  if (name == "cycle") return method(&kCycle, value);
  if (name == "changed") return method(&kChanged, value);
  if (name == "last" || name == "nextitem") {
    TRY_ASSIGN(const bool has_next, peek_item(loop));
    if (name == "last") return Value::boolean(!has_next);
    return has_next ? *loop.after : undefined("there is no next item");
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    TRY_ASSIGN(const size_t length, loop_length(loop));
    const int64_t passed = name == "length" ? 0 : name == "revindex" ? loop.index0 : loop.index0 + 1;
    return Value::integer(static_cast<int64_t>(length) - passed);
  }
  return Value();
}

Result<Value> Interpreter::call_loop(const Value& value, Call& call) {
  LoopObject& loop = value.loop();
  if (!loop.statement->is_recursive) return make_error("only a loop marked 'recursive' can be called");
  if (loop.finished) return make_error("the loop has ended and cannot be called");
  if (call.positional.size() != 1 || !call.named.empty()) return make_error("loop() needs one sequence");
  if (calls_open_ >= limits().call_depth) return make_error("more than {} calls within each other", calls_open_);
  ++calls_open_;
  TextBuilder out(*this);
  Status status;
  {
    const OutputGuard guard(*this, out);
    auto flow = run_loop(*loop.statement, *loop.parent, call.positional[0], loop.depth0 + 1);
    if (!flow.ok()) status = std::move(flow).error();
  }
  --calls_open_;
  TRY(status);
  return out.finish();
}

}  // namespace andiron::jinja
