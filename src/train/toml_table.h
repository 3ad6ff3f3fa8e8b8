// TOML files whose keys are all known: each value is taken once, with its type and range, and what is left is an Error.
// Messages name the file, the line and the key, what was expected and what came.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace andiron {

class TomlTable {
 public:
  struct Range {
    double least, most;
  };

  // Each leaves `out` alone where the key is absent.
  Status take(std::string_view key, std::string& out);
  Status take(std::string_view key, bool& out);
  Status take(std::string_view key, int64_t& out, Range range);
  Status take(std::string_view key, double& out, Range range);
  Status take(std::string_view key, std::optional<int64_t>& out, Range range);
  Status take(std::string_view key, std::optional<double>& out, Range range);
  // All keys of a table whose keys are names, with a number each.
  Status take_all(std::map<std::string, double>& out, Range range);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  // An Error where one of these is absent.
  Status need(std::initializer_list<std::string_view> keys) const;
  // An Error for the first key that nobody has taken.
  Status done() const;
  // At the key's line, or the table's where it has no such key: "a.toml:3: model.width: MESSAGE".
  Error error_at(std::string_view key, std::string_view message) const;

 private:
  friend class TomlFile;
  // A date, a list or a table is none of the types here, and has only a kind.
  struct Value {
    std::string key;
    std::variant<std::monostate, std::string, bool, int64_t, double> value;
    std::string kind;  // "a list"
    int64_t line = 0;
  };

  const Value* find(std::string_view key) const;
  const Value* use(std::string_view key);
  Error wrong(const Value& value, std::string_view expected) const;
  Status number(std::string_view key, double& out, Range range, bool whole);

  std::string file_, name_;
  int64_t line_ = 1;
  std::vector<Value> values_;       // in the order of the file
  std::vector<std::string> known_;  // keys asked for
};

class TomlFile {
 public:
  // The parser goes down a key of many dots by recursion, however deep, and so do its destructors; in so many bytes
  // there is no room for more than the stack can take.
  static constexpr size_t kBytesMax = 16 << 10;
  static Result<TomlFile> parse(std::string_view text, const std::string& file);

  // "model", "data.weights"; empty where the file has none. Valid as long as this.
  TomlTable& table(const std::string& name);
  // An Error for the first table that nobody asked for, and for the first key outside all tables.
  Status done() const;

 private:
  std::string file_;
  std::map<std::string, TomlTable> tables_;
  std::vector<std::string> known_;
};

}  // namespace andiron
