#include "train/toml_table.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a time";
    default: return "nothing";
  }
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += format("{}{}", out.empty() ? "" : ", ", name);
  return out;
}

constexpr int kDepthMax = 8;  // of tables in tables: no file needs more than two

}  // namespace

const TomlTable::Value* TomlTable::find(std::string_view key) const {
  const auto found = std::find_if(values_.begin(), values_.end(), [&](const Value& v) { return v.key == key; });
  return found == values_.end() ? nullptr : &*found;
}

const TomlTable::Value* TomlTable::use(std::string_view key) {
  known_.emplace_back(key);
  return find(key);
}

Error TomlTable::error_at(std::string_view key, std::string_view message) const {
  const Value* value = find(key);
  return make_error("{}:{}: {}.{}: {}", file_, value != nullptr ? value->line : line_, name_, in_quotes(key), message);
}

Error TomlTable::wrong(const Value& value, std::string_view expected) const {
  std::string came = value.kind;
  if (const auto* text = std::get_if<std::string>(&value.value)) came = format("\"{}\"", in_quotes(*text));
  if (const auto* flag = std::get_if<bool>(&value.value)) came = *flag ? "true" : "false";
  if (const auto* whole = std::get_if<int64_t>(&value.value)) came = format("{}", *whole);
  if (const auto* number = std::get_if<double>(&value.value)) came = format("{}", *number);
  return error_at(value.key, format("expected {}, got {}", expected, came));
}

Status TomlTable::take(std::string_view key, std::string& out) {
  const Value* value = use(key);
  if (value == nullptr) return {};
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) return wrong(*value, "a text in quotes");
  out = *text;
  return {};
}

Status TomlTable::take(std::string_view key, bool& out) {
  const Value* value = use(key);
  if (value == nullptr) return {};
  const auto* flag = std::get_if<bool>(&value->value);
  if (flag == nullptr) return wrong(*value, "true or false");
  out = *flag;
  return {};
}

Status TomlTable::number(std::string_view key, double& out, Range range, bool whole) {
  const Value* value = use(key);
  if (value == nullptr) return {};
  const auto* integer = std::get_if<int64_t>(&value->value);
  const auto* real = std::get_if<double>(&value->value);
  const double number = integer != nullptr ? static_cast<double>(*integer) : real != nullptr ? *real : range.least - 1;
  const bool kind = integer != nullptr || (real != nullptr && !whole);
  if (!kind || !(number >= range.least && number <= range.most)) {
    return wrong(*value, format("a {} from {} to {}", whole ? "whole number" : "number", range.least, range.most));
  }
  out = number;
  return {};
}

Status TomlTable::take(std::string_view key, double& out, Range range) { return number(key, out, range, false); }

// Ranges end below 2^53, so that a double holds every whole number in them.
Status TomlTable::take(std::string_view key, int64_t& out, Range range) {
  auto value = static_cast<double>(out);
  TRY(number(key, value, range, true));
  out = static_cast<int64_t>(value);
  return {};
}

Status TomlTable::take(std::string_view key, std::optional<double>& out, Range range) {
  double value = 0;
  TRY(take(key, value, range));
  if (has(key)) out = value;
  return {};
}

Status TomlTable::take(std::string_view key, std::optional<int64_t>& out, Range range) {
  int64_t value = 0;
  TRY(take(key, value, range));
  if (has(key)) out = value;
  return {};
}

Status TomlTable::take_all(std::map<std::string, double>& out, Range range) {
  for (const Value& value : values_) TRY(take(value.key, out[value.key], range));
  return {};
}

Status TomlTable::need(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (!has(key)) return error_at(key, "is missing, and has no usual value");
  }
  return {};
}

Status TomlTable::done() const {
  for (const Value& value : values_) {
    if (std::find(known_.begin(), known_.end(), value.key) != known_.end()) continue;
    return error_at(value.key, format("there is no such key; there are {}", listed(known_)));
  }
  return {};
}

Result<TomlFile> TomlFile::parse(std::string_view text, const std::string& file) {
  if (text.size() > kBytesMax) {
    return make_error("{}: larger than the {} allowed here", file, human_bytes(kBytesMax));
  }
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    const auto& error = parsed.error();
    return make_error("{}:{}: {}", file, error.source().begin.line, in_quotes(error.description(), 200));
  }
  TomlFile out;
  out.file_ = file;
  std::vector<std::pair<std::string, const toml::table*>> open = {{"", &parsed.table()}};
  while (!open.empty()) {
    const auto [name, table] = open.back();
    open.pop_back();
    TomlTable& to = out.tables_[name];
    to.file_ = file;
    to.name_ = name;
    to.line_ = std::max<int64_t>(1, table->source().begin.line);
    for (const auto& [key, node] : *table) {
      if (const auto* inner = node.as_table()) {
        if (std::count(name.begin(), name.end(), '.') >= kDepthMax) {
          return make_error("{}:{}: tables in tables, more than {} deep", file, to.line_, kDepthMax);
        }
        open.emplace_back(name.empty() ? std::string(key.str()) : format("{}.{}", name, key.str()), inner);
        continue;
      }
      TomlTable::Value value{std::string(key.str()), {}, std::string(kind_of(node)), node.source().begin.line};
      if (const auto* text_value = node.as_string()) value.value = text_value->get();
      if (const auto* flag = node.as_boolean()) value.value = flag->get();
      if (const auto* whole = node.as_integer()) value.value = whole->get();
      if (const auto* real = node.as_floating_point()) value.value = real->get();
      to.values_.push_back(std::move(value));
    }
    std::stable_sort(to.values_.begin(), to.values_.end(),
                     [](const TomlTable::Value& a, const TomlTable::Value& b) { return a.line < b.line; });
  }
  return out;
}

TomlTable& TomlFile::table(const std::string& name) {
  known_.push_back(name);
  TomlTable& out = tables_[name];
  out.file_ = file_;
  out.name_ = name;
  return out;
}

Status TomlFile::done() const {
  for (const auto& [name, table] : tables_) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    if (!name.empty()) {
      return make_error("{}:{}: there is no table [{}]; there are {}", file_, table.line_, in_quotes(name),
                        listed(known_));
    }
    if (!table.values_.empty()) {
      return make_error("{}:{}: \"{}\" stands in no table; there are {}", file_, table.values_.front().line,
                        in_quotes(table.values_.front().key), listed(known_));
    }
  }
  return {};
}

}  // namespace andiron
