#include "text/jinja_runtime.h"

#include <algorithm>
#include <bit>

#include "text/jinja_operations.h"

namespace andiron::jinja {

namespace {

// As Jinja's sandbox does.
constexpr uint64_t kMaxRange = 100'000;

}  // namespace

Runtime::~Runtime() { clear_namespaces(); }

void Runtime::clear_namespaces() {
  for (auto& name_space : namespaces_) name_space->attributes.clear();
}

Error Runtime::out_of_steps() const {
  return make_error("the template took more than {} steps; it may be broken or hostile", limits_.steps);
}

Error Runtime::out_of_memory() const {
  return make_error("the template's values need more than {}; it may be broken or hostile",
                    human_bytes(limits_.memory_bytes));
}

Status Runtime::check_depth(int depth) const {
  if (depth > kMaxValueDepth) return make_error("a value is nested deeper than {}", kMaxValueDepth);
  return {};
}

Result<Value> Runtime::string(Text text, bool is_markup) {
  TRY(spend_bytes(text.memory()));
  TRY_ASSIGN(auto object, make<StringObject>(text.memory()));
  object->text = std::move(text);
  object->length = code_point_count(object->text.view());
  object->markup = is_markup;
  return Value::of(Kind::kString, std::move(object));
}

Result<Value> Runtime::sequence(Kind kind, std::vector<Value> items) {
  TRY(spend(items.size() / 64));
  TRY_ASSIGN(auto object, make<SequenceObject>(items.capacity() * sizeof(Value)));
  for (const Value& item : items) object->depth = deepest(object->depth, item);
  ++object->depth;
  TRY(check_depth(object->depth));
  object->items = std::move(items);
  return Value::of(kind, std::move(object));
}

Result<Value> Runtime::dict(std::vector<DictObject::Entry> entries) {
  TRY(spend(entries.size()));
  TRY_ASSIGN(auto object, make<DictObject>(entries.capacity() * sizeof(DictObject::Entry) + 4 * entries.size()));
  for (const auto& [key, value] : entries) {
    if (!is_hashable(key)) return make_error("a {} cannot be a dict's key", type_name(key));
    // Sorting compares each key with about so many others.
    TRY(spend(key_bytes(key) / 1024 * std::bit_width(entries.size())));
    object->depth = deepest(deepest(object->depth, key), value);
  }
  ++object->depth;
  TRY(check_depth(object->depth));
  object->entries = std::move(entries);
  index_dict(*object);
  return Value::of(Kind::kDict, std::move(object));
}

Result<Value> Runtime::iterator(std::vector<Value> items, const char* type_name, std::optional<Error> error) {
  TRY_ASSIGN(auto object, make<IteratorObject>(items.capacity() * sizeof(Value)));
  for (const Value& item : items) object->depth = deepest(object->depth, item);
  ++object->depth;
  TRY(check_depth(object->depth));
  object->items = std::move(items);
  object->type_name = type_name;
  object->error = std::move(error);
  return Value::of(Kind::kIterator, std::move(object));
}

Result<Value> Runtime::range(int64_t start, int64_t stop, int64_t step) {
  if (step == 0) return make_error("range() needs a step other than 0");
  TRY_ASSIGN(auto object, make<RangeObject>(0));
  object->start = start;
  object->stop = stop;
  object->step = step;
  if (object->size() > kMaxRange) return make_error("range() is limited to {} items", kMaxRange);
  return Value::of(Kind::kRange, std::move(object));
}

Result<Value> Runtime::method(const Builtin* builtin, const Value& self) {
  TRY_ASSIGN(auto object, make<FunctionObject>(0));
  object->builtin = builtin;
  object->self = self;
  object->depth = self.depth() + 1;
  TRY(check_depth(object->depth));
  return Value::of(Kind::kFunction, std::move(object));
}

Result<Value> Runtime::view(ViewObject::Part part, const Value& dict) {
  TRY_ASSIGN(auto object, make<ViewObject>(0));
  object->part = part;
  object->dict = dict;
  object->depth = dict.depth() + 1;
  TRY(check_depth(object->depth));
  return Value::of(Kind::kView, std::move(object));
}

Value Runtime::undefined(std::string message) {
  auto object = make<UndefinedObject>(message.size());
  if (!object.ok()) return Value::undefined();  // its message is all that is lost
  (*object)->message = std::move(message);
  return Value::of(Kind::kUndefined, std::move(*object));
}

Value Runtime::undefined_variable(std::string_view name) {
  auto object = make<UndefinedObject>(name.size());
  if (!object.ok()) return Value::undefined();
  (*object)->name = name;
  return Value::of(Kind::kUndefined, std::move(*object));
}

Value Runtime::undefined_attribute(const Value& owner, std::string_view name) {
  constexpr size_t kShown = 80;
  auto object = make<UndefinedObject>(kShown);
  if (!object.ok()) return Value::undefined();
  (*object)->owner = std::string(type_name(owner)) + " object";
  (*object)->name = name.substr(0, kShown);
  return Value::of(Kind::kUndefined, std::move(*object));
}

Result<NamespaceObject*> Runtime::name_space() {
  constexpr uint64_t kNamespaceBytes = 256;
  if (!budget_.charge(kNamespaceBytes)) return out_of_memory();
  namespaces_.push_back(std::make_unique<NamespaceObject>());
  return namespaces_.back().get();
}

Result<Value> Runtime::run(const Builtin& builtin, const Value& self, Call& call) {
  if (builtin.free != nullptr) return builtin.free(*this, self, call);
  std::array<Value, Builtin::kMaxParameters> bound;
  const auto& names = builtin.parameters;
  const auto count = static_cast<size_t>(std::find(names.begin(), names.end(), "") - names.begin());
  size_t next = 0;
  if (!self.is_missing()) bound[next++] = self;
  if (next + call.positional.size() > count) {
    return make_error("{}() takes at most {} arguments, got {}", builtin.name, count - next, call.positional.size());
  }
  for (Value& value : call.positional) bound[next++] = std::move(value);
  for (auto& [name, value] : call.named) {
    const auto index = static_cast<size_t>(std::find(names.begin(), names.begin() + count, name) - names.begin());
    if (index == count || builtin.positional_only)
      return make_error("{}() has no parameter '{}'", builtin.name, in_quotes(name));
    if (!bound[index].is_missing()) return make_error("{}() got '{}' twice", builtin.name, name);
    bound[index] = std::move(value);
  }
  for (size_t i = 0; i < static_cast<size_t>(builtin.required); ++i) {
    if (bound[i].is_missing()) return make_error("{}() needs the argument '{}'", builtin.name, names[i]);
  }
  return builtin.fixed(*this, bound.data());
}

Result<Value> Runtime::apply_filter(std::string_view name, const Value& subject, Call& call) {
  const Builtin* filter = find_filter(name);
  if (filter == nullptr) return make_error("there is no filter '{}'", in_quotes(name));
  return run(*filter, subject, call);
}

Result<bool> Runtime::apply_test(std::string_view name, const Value& subject, Call& call) {
  const Builtin* test = find_test(name);
  if (test == nullptr) return make_error("there is no test '{}'", in_quotes(name));
  TRY_ASSIGN(const Value result, run(*test, subject, call));
  return truth(result);
}

bool TextBuilder::charge(uint64_t bytes) {
  if (!runtime_.budget().charge(bytes)) {
    failed_ = true;
    return false;
  }
  charged_ += bytes;
  return true;
}

// What memory really grows by: by half or double at a time, with the old copy kept until the new one is made.
bool TextBuilder::reserve(uint64_t bytes, uint64_t ranges) {
  if (failed_) return false;
  const uint64_t size = text_.size() + bytes;
  if (size > reserved_) {
    // The last time all that is left: growing byte by byte would copy everything for each.
    const uint64_t grown = std::max(size, std::min(2 * reserved_, runtime_.budget().memory_left()));
    if (!charge(grown)) return false;
    text_.reserve(grown);
    runtime_.budget().release(reserved_);
    charged_ -= reserved_;
    reserved_ = grown;
  }
  return charge(3 * ranges * sizeof(TaintRange));
}

void TextBuilder::spend(uint64_t steps) {
  if (failed_ || runtime_.budget().spend(steps)) return;
  failed_ = is_out_of_steps_ = true;
}

void TextBuilder::append_slice(const Text& text, size_t begin, size_t end) {
  // A short slice of a text with many ranges has few of them; each is at least one byte.
  if (reserve(end - begin, std::min<uint64_t>(text.tainted().size(), end - begin))) {
    text_.append_slice(text, begin, end);
  }
}

void TextBuilder::append(std::string_view bytes, bool tainted) {
  if (reserve(bytes.size())) text_.append(bytes, tainted);
}

void TextBuilder::append_repeated(std::string_view bytes, uint64_t count, bool tainted) {
  if (bytes.empty() || count == 0) return;
  if (count > runtime_.budget().memory_left() / bytes.size()) {
    failed_ = true;
    return;
  }
  spend(bytes.size() * count / 1024);
  if (!reserve(bytes.size() * count)) return;
  // In blocks: a call for each of a million spaces would take its time.
  const uint64_t each = std::min<uint64_t>(count, 4096 / bytes.size() + 1);
  std::string block;
  for (uint64_t i = 0; i < each; ++i) block += bytes;
  for (uint64_t left = count; left > 0; left -= std::min(left, each)) {
    text_.append(std::string_view(block).substr(0, std::min(left, each) * bytes.size()), tainted);
  }
}

void TextBuilder::append_code_point(uint32_t code_point, bool tainted) {
  std::string bytes;
  append_utf8(bytes, code_point);
  append(bytes, tainted);
}

Result<Text> TextBuilder::take() {
  if (failed_) return error();
  TRY(runtime_.spend_bytes(text_.memory()));
  runtime_.budget().release(charged_);
  charged_ = reserved_ = 0;
  return std::move(text_);
}

Result<Value> TextBuilder::finish(bool is_markup) {
  TRY_ASSIGN(Text text, take());
  return runtime_.string(std::move(text), is_markup);
}

}  // namespace andiron::jinja
