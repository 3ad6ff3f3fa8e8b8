#include "format/hf_texts.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr uint64_t kReadmeBytesMax = 4 << 20;
constexpr uint64_t kTokenizerConfigBytesMax = 16 << 20;  // added_tokens_decoder alone can be some hundred KB
constexpr uint64_t kTemplateBytesMax = 1 << 20;

class TextReader {
 public:
  TextReader(const std::string& folder, std::deque<std::string>& storage) : folder_(folder), storage_(storage) {}

  Result<std::vector<MetaEntry>> read() {
    TRY(read_model_card());
    TRY(read_templates());
    return std::move(out_);
  }

 private:
  void add(std::string key, std::string text) {
    storage_.push_back(std::move(text));
    out_.push_back(MetaEntry::text(std::move(key), storage_.back()));
  }

  // The name is the folder's unless the model card's front matter has one ("model_name", as its specification says:
  // huggingface.co/docs/hub/model-cards). Of YAML only "key: value" lines at the outermost level are read.
  Status read_model_card() {
    std::string name = folder_.substr(folder_.rfind('/') == std::string::npos ? 0 : folder_.rfind('/') + 1);
    std::string text;
    if (file_exists(folder_ + "/README.md")) {
      TRY_ASSIGN(text, read_text_file(folder_ + "/README.md", kReadmeBytesMax));
    }
    constexpr std::pair<std::string_view, std::string_view> kLicence[] = {
        {"license", "general.license"},
        {"license_name", "general.license.name"},
        {"license_link", "general.license.link"},
    };
    std::string_view rest = text;
    if (take_line(rest) != "---" || text.find("\n---") == std::string::npos) rest = {};
    std::vector<std::string_view> seen;
    while (!rest.empty()) {
      const std::string_view line = take_line(rest);
      if (line == "---") break;
      const auto [key, value] = split_line(line);
      if (value.empty() || std::find(seen.begin(), seen.end(), key) != seen.end()) continue;
      if (key == "model_name") name = value;
      for (const auto& [member, gguf] : kLicence) {
        if (key != member) continue;
        add(std::string(gguf), std::string(value));
        seen.push_back(key);
      }
    }
    if (!name.empty() && name != "." && name != "..") add("general.name", std::move(name));
    return {};
  }

  static std::string_view take_line(std::string_view& rest) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  // "key: value", the value without quotes; empty views for any other line.
  static std::pair<std::string_view, std::string_view> split_line(std::string_view line) {
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos || line.front() == ' ' || line.front() == '#') return {};
    std::string_view value = line.substr(colon + 2);
    while (value.starts_with(' ')) value.remove_prefix(1);
    while (value.ends_with(' ')) value.remove_suffix(1);
    const bool is_quoted =
        value.size() >= 2 && value.front() == value.back() && (value.front() == '"' || value.front() == '\'');
    if (is_quoted) value = value.substr(1, value.size() - 2);
    // Lists, maps and block texts are not values of one line.
    if (value.starts_with('[') || value.starts_with('{') || value.starts_with('|') || value.starts_with('>'))
      value = {};
    return {line.substr(0, colon), value};
  }

  // The newest place wins, as in transformers: chat_template.jinja, chat_template.json, tokenizer_config.json.
  Status read_templates() {
    const std::string jinja = folder_ + "/chat_template.jinja";
    if (file_exists(jinja)) {
      TRY_ASSIGN(std::string text, read_text_file(jinja, kTemplateBytesMax));
      add("tokenizer.chat_template", std::move(text));
      return {};
    }
    for (const char* name : {"/chat_template.json", "/tokenizer_config.json"}) {
      const std::string path = folder_ + name;
      if (!file_exists(path)) continue;
      TRY_ASSIGN(const std::string text, read_text_file(path, kTokenizerConfigBytesMax));
      TRY_ASSIGN(const Json config, parse_json(text, path, {.depth = 32, .values = 300'000}));
      const Json& found = config.member("chat_template");
      if (!found.is_null()) return add_templates(found, path);
    }
    return {};
  }

  // One text, or a list of {"name", "template"}, of which "default" is the usual one.
  Status add_templates(const Json& found, const std::string& path) {
    if (found.is_string()) {
      add("tokenizer.chat_template", found.as_string());
      return {};
    }
    const auto wrong = [&] {
      return make_error("{}: \"chat_template\" should be a text or a list of named texts", path);
    };
    if (!found.is_array()) return wrong();
    for (const Json& item : found.items()) {
      const Json& name = item.member("name");
      const Json& text = item.member("template");
      if (!name.is_string() || !text.is_string()) return wrong();
      if (!is_plain(name.as_string())) {
        return make_error("{}: a chat template has the name \"{}\"; letters, digits, '_' and '-' are expected", path,
                          in_quotes(name.as_string()));
      }
      const bool is_default = name.as_string() == "default";
      add(is_default ? "tokenizer.chat_template" : "tokenizer.chat_template." + name.as_string(), text.as_string());
    }
    return {};
  }

  static bool is_plain(const std::string& name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    });
  }

  const std::string& folder_;
  std::deque<std::string>& storage_;
  std::vector<MetaEntry> out_;
};

}  // namespace

Result<std::vector<MetaEntry>> read_hf_texts(const std::string& folder, std::deque<std::string>& storage) {
  return TextReader(folder, storage).read();
}

}  // namespace andiron
