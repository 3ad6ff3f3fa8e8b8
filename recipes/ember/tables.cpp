#include "tables.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/strings.h"
#include "frames.h"
#include "writer.h"

namespace andiron::ember {

namespace {

struct Entry {
  std::string_view key;
  std::string_view value;
  bool is_list = false;
  bool is_test = false;
};

bool is_key(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

// "key: wording" or "key = list".
Result<Entry> parse_entry(std::string_view line) {
  Entry out;
  out.is_test = line.starts_with('~');
  if (out.is_test) line.remove_prefix(1);
  const size_t at = line.find_first_of(":=");
  if (at == std::string_view::npos) return make_error("neither \"key: wording\" nor \"key = words\"");
  out.key = trimmed(line.substr(0, at));
  out.value = trimmed(line.substr(at + 1));
  out.is_list = line[at] == '=';
  if (!is_key(out.key)) return make_error("\"{}\" is no key", in_quotes(out.key));
  return out;
}

// "\\n" as the end of a line.
std::string with_line_ends(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool end = text[i] == '\\' && i + 1 < text.size() && text[i + 1] == 'n';
    out += end ? '\n' : text[i];
    i += end ? 1 : 0;
  }
  return out;
}

void add_words(std::vector<std::string>& words, std::string_view text) {
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word.empty()) continue;  // behind the last comma of a line
    words.emplace_back(word);
  }
}

}  // namespace

Status Tables::add(std::string_view text, const std::string& source) {
  std::string section;
  std::vector<std::string>* list = nullptr;  // what a line that begins with a space goes on with
  int number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (is_blank(line) || line.starts_with('#')) continue;
    if (line.starts_with("== ")) {
      section = trimmed(line.substr(3));
      if (!section.empty()) sections_.push_back(section);
      list = nullptr;
      continue;
    }
    if (line.starts_with(' ')) {
      if (list == nullptr) return make_error("{}:{}: there is no list to go on with", source, number);
      add_words(*list, line);
      continue;
    }
    const auto entry = parse_entry(line);
    if (!entry.ok()) return make_error("{}:{}: {}", source, number, entry.error().message);
    const std::string name = section.empty() ? std::string(entry->key) : format("{}.{}", section, entry->key);
    std::vector<std::string>& options = entry->is_test ? rules_[name].test : rules_[name].train;
    rules_[name].is_list = entry->is_list;
    list = entry->is_list ? &options : nullptr;
    if (entry->is_list) {
      add_words(options, entry->value);
    } else {
      options.push_back(with_line_ends(entry->value));
    }
  }
  for (const auto& [name, rule] : rules_) {
    if (rule.is_list) held_out_.insert(rule.test.begin(), rule.test.end());
  }
  return {};
}

void Tables::add_list(const std::string& name, const std::vector<std::string>& words) {
  Rule rule;
  rule.is_list = true;
  for (const std::string& word : words) {
    if (!holds_out(word)) rule.train.push_back(word);
  }
  if (!rule.train.empty()) rules_[name] = std::move(rule);
}

Result<Tables> Tables::read(const std::string& folder) {
  if (!is_folder(folder)) return make_error("{}: there is no such folder of tables", folder);
  std::vector<std::string> paths;
  std::error_code failure;
  std::filesystem::directory_iterator entry(folder, failure);
  for (; !failure && entry != std::filesystem::directory_iterator(); entry.increment(failure)) {
    if (entry->path().extension() == ".txt") paths.push_back(entry->path().string());
  }
  if (failure) return make_error("{}: cannot read this folder of tables: {}", folder, failure.message());
  std::sort(paths.begin(), paths.end());
  Tables out;
  for (const std::string& path : paths) {
    TRY_ASSIGN(const std::string text, read_text_file(path));
    TRY(out.add(text, path));
  }
  add_frames(out);
  TRY(out.check());
  return out;
}

Status Tables::check() const {
  for (const auto& [name, rule] : rules_) {
    if (rule.train.empty()) return make_error("{}: training has no wording of it", name);
    if (name.starts_with("frame.")) continue;  // what they make is checked
    for (const auto* options : {&rule.train, &rule.test, &rule.framed_train, &rule.framed_test}) {
      for (const std::string& wording : *options) {
        const auto unknown = unknown_reference(wording, *this);
        if (unknown) return make_error("{}: \"{}\" has {{{}}}, which is nothing", name, wording, *unknown);
      }
    }
  }
  return {};
}

const Rule* Tables::find(std::string_view name) const {
  const auto found = rules_.find(name);
  return found == rules_.end() ? nullptr : &found->second;
}

Rule* Tables::find(std::string_view name) {
  const auto found = rules_.find(name);
  return found == rules_.end() ? nullptr : &found->second;
}

const std::vector<std::string>& Tables::options(std::string_view name, Part part) const {
  const Rule* rule = find(name);
  ANDIRON_CHECK(rule != nullptr);
  return part == Part::kTest && !rule->test.empty() ? rule->test : rule->train;
}

}  // namespace andiron::ember
