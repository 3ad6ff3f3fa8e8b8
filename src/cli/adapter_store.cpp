#include "cli/adapter_store.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "adapter/adapter_base.h"
#include "base/atomic_file.h"
#include "base/atomic_folder.h"
#include "base/strings.h"
#include "base/user_folder.h"
#include "cli/shipped_model.h"
#include "format/model_source.h"

namespace andiron {

namespace {

bool is_name(std::string_view text) {
  // What a killed program leaves of a folder is named so (base/atomic_folder.h).
  if (text.find(".part-") != std::string_view::npos) return false;
  if (text == "none" || text == "base") return false;  // what parse_stack() calls no adapter at all
  return !text.empty() && text.size() <= 100 && text[0] != '.' && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
}

}  // namespace

Result<std::string> adapters_folder() {
  const std::string data = user_folder("XDG_DATA_HOME", ".local/share");
  if (data.empty()) {
    return make_error(
        "there is no place for named adapters: neither XDG_DATA_HOME nor HOME is an absolute path; give a folder with "
        "--out");
  }
  return data + "/adapters";
}

Status check_adapter_name(std::string_view name) {
  if (is_name(name)) return {};
  return make_error(
      "\"{}\" cannot be the name of an adapter; letters, digits, \".\", \"_\" and \"-\" can, and no dot "
      "first; \"none\" and \"base\" mean no adapter",
      andiron::in_quotes(name));
}

Result<std::string> adapter_folder(std::string_view name) {
  TRY(check_adapter_name(name));
  TRY_ASSIGN(const std::string folder, adapters_folder());
  return format("{}/{}", folder, name);
}

Result<std::vector<std::string>> stored_adapters() {
  TRY_ASSIGN(const std::string folder, adapters_folder());
  if (!file_exists(folder)) return std::vector<std::string>();
  TRY_ASSIGN(auto names, list_folder(folder));
  std::erase_if(names,
                [&](const std::string& name) { return !is_name(name) || !is_folder(format("{}/{}", folder, name)); });
  return names;
}

Result<StackEntry> parse_adapter(const std::string& text) {
  if (text.empty()) return make_error("expected the name of an adapter, a PEFT folder or a GGUF adapter, got no text");
  std::error_code error;
  StackEntry entry;
  std::string name = text;
  if (!std::filesystem::exists(name, error)) {
    if (const size_t colon = text.rfind(':'); colon != std::string::npos) {
      TRY_ASSIGN(const double strength, parse_double(std::string_view(text).substr(colon + 1),
                                                     format("the strength in \"{}\"", andiron::in_quotes(text))));
      entry.strength = static_cast<float>(strength);
      if (!std::isfinite(entry.strength)) {
        return make_error("the strength in \"{}\" is not a finite number", andiron::in_quotes(text));
      }
      name = text.substr(0, colon);
    }
  }
  entry.path = name;
  if (std::filesystem::exists(name, error)) return entry;
  if (!is_name(name)) {
    return make_error("\"{}\": expected the name of an adapter, a PEFT folder or a GGUF adapter; there is none such",
                      andiron::in_quotes(name));
  }
  TRY_ASSIGN(entry.path, adapter_folder(name));
  if (std::filesystem::exists(entry.path, error)) return entry;
  return make_error(
      "{}: there is no adapter of this name, nor such a file or folder; andiron adapters list shows what "
      "there is",
      andiron::in_quotes(name));
}

Result<std::vector<StackEntry>> parse_adapters(const std::vector<std::string>& texts) {
  std::vector<StackEntry> out;
  for (const std::string& text : texts) {
    TRY_ASSIGN(StackEntry entry, parse_adapter(text));
    out.push_back(std::move(entry));
  }
  return out;
}

Result<Adapter> read_named_adapter(const std::string& text, const std::string& model) {
  TRY_ASSIGN(const StackEntry entry, parse_adapter(text));
  if (entry.strength != 1) return make_error("{}: expected an adapter without a strength", andiron::in_quotes(text));
  if (!model.empty()) {
    TRY_ASSIGN(const std::string file, model_path(model));
    TRY_ASSIGN(const auto source, open_model_source(file));
    TRY_ASSIGN(const AdapterBase base, describe_base(*source));
    return read_adapter(entry.path, &base);
  }
  auto adapter = read_adapter(entry.path);
  if (adapter.ok() || !adapter.error().message.ends_with("give the model with it")) return adapter;
  return make_error("{}: --model MODEL", adapter.error().message);
}

Result<std::string> new_adapter_folder(const std::string& name) {
  TRY_ASSIGN(std::string folder, adapter_folder(name));
  if (!file_exists(folder)) {
    std::error_code error;
    const auto store = std::filesystem::path(folder).parent_path();
    std::filesystem::create_directories(store, error);
    if (error) return make_error("{}: the folder cannot be made: {}", store.string(), error.message());
    TRY(check_free(folder));
    return folder;
  }
  return make_error(
      "\"{0}\": there is an adapter of this name already, which is not overwritten; choose another name, or remove it "
      "first: andiron adapters remove {0}",
      name);
}

Result<std::vector<StackEntry>> parse_stack(const std::string& text) {
  std::vector<StackEntry> out;
  if (text == "none" || text == "base") return out;
  if (text.empty())
    return make_error("expected adapters such as me or me+work:0.5, got no text; none is the model alone");
  if (file_exists(text)) return parse_adapters({text});
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('+', at), text.size());
    if (end == at) return make_error("\"{}\": expected an adapter on both sides of every +", andiron::in_quotes(text));
    TRY_ASSIGN(StackEntry entry, parse_adapter(text.substr(at, end - at)));
    out.push_back(std::move(entry));
    at = end + 1;
  }
  return out;
}

}  // namespace andiron
