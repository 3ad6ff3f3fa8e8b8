#include "cli/adapter_store.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/strings.h"

namespace andiron {

namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 100 && text[0] != '.' && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

}  // namespace

Result<std::string> adapters_folder() {
  const char* data = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (data != nullptr && data[0] == '/') {
    folder = data;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::filesystem::path(home) / ".local" / "share";
  } else {
    return make_error(
        "there is no place for named adapters: neither XDG_DATA_HOME nor HOME is set; give a folder with "
        "--out");
  }
  folder = folder / "andiron" / "adapters";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return make_error("{}: the folder cannot be made: {}", folder.string(), error.message());
  return folder.string();
}

Result<std::string> adapter_folder(std::string_view name) {
  if (!is_name(name)) {
    return make_error(
        "\"{}\" cannot be the name of an adapter; letters, digits, \".\", \"_\" and \"-\" can, and no dot "
        "first",
        andiron::quoted(name));
  }
  TRY_ASSIGN(const std::string folder, adapters_folder());
  return format("{}/{}", folder, name);
}

Result<StackEntry> parse_adapter(const std::string& text) {
  std::error_code error;
  StackEntry entry;
  std::string name = text;
  if (!std::filesystem::exists(name, error)) {
    if (const size_t colon = text.rfind(':'); colon != std::string::npos) {
      TRY_ASSIGN(const double strength, parse_double(std::string_view(text).substr(colon + 1), "--adapter"));
      entry.strength = static_cast<float>(strength);
      name = text.substr(0, colon);
    }
  }
  entry.path = name;
  if (std::filesystem::exists(name, error)) return entry;
  if (!is_name(name)) return make_error("{}: there is no such adapter", andiron::quoted(name));
  TRY_ASSIGN(entry.path, adapter_folder(name));
  if (std::filesystem::exists(entry.path, error)) return entry;
  return make_error(
      "{}: there is no adapter of this name, nor such a file or folder; andiron adapters list shows what "
      "there is",
      andiron::quoted(name));
}

Result<std::vector<StackEntry>> parse_adapters(const std::vector<std::string>& texts) {
  std::vector<StackEntry> out;
  for (const std::string& text : texts) {
    TRY_ASSIGN(StackEntry entry, parse_adapter(text));
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace andiron
