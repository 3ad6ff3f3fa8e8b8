#include "data/reader.h"

#include <algorithm>
#include <utility>

#include "base/content_hash.h"
#include "base/keyed_hash.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "data/find_files.h"
#include "data/json_rows.h"
#include "data/record.h"

namespace andiron {

namespace {

// Rows that are looked at before a file counts as none of the formats: the first may be broken or odd.
constexpr int kDetectRows = 100;
// A row is one conversation: far below what parse_json allows a model's tokenizer.
constexpr JsonLimits kRowLimits{.depth = 40, .values = 1'000'000};
// Texts are passed on in pieces, so that the tokenizer's memory is bounded too.
constexpr size_t kPieceBytes = 16 << 20;

std::string_view without_mark(std::string_view text) {
  return text.starts_with("\xef\xbb\xbf") ? text.substr(3) : text;
}

Result<Json> parse_row(const JsonRows::Row& row) {
  if (!row.problem.empty()) return Error{row.problem};
  return parse_json(row.text, "row", kRowLimits);
}

std::string member_names(const Json& record) {
  std::string names;
  for (const auto& [name, value] : record.members()) {
    if (names.size() > 200) return names + "...";
    names += (names.empty() ? "\"" : ", \"") + in_quotes(name, 40) + "\"";
  }
  return names;
}

// The format of the first row that has one.
Result<DataFormat> detect_rows(std::string_view text) {
  JsonRows rows(text);
  std::string reason = "it has no rows";
  for (int i = 0; i < kDetectRows; ++i) {
    const auto row = rows.next();
    if (!row) break;
    const auto record = parse_row(*row);
    if (!record.ok()) {
      if (i == 0) reason = record.error().message;
      continue;
    }
    if (const auto format = detect_record(*record)) return *format;
    if (i > 0) continue;
    reason = "its rows are no objects";
    if (record->is_object()) reason = "its rows have the members " + member_names(*record);
  }
  return make_error(
      "no known kind of data: {}; known are \"messages\", \"conversations\", \"instruction\" and \"output\", "
      "\"prompt\" and "
      "\"completion\", \"prompt\", \"chosen\" and \"rejected\", a \"label\" beside those, and \"text\"",
      reason);
}

// The text without the front matter of Markdown: what stands between a first line of three dashes (YAML) or plus signs
// (TOML) and the next such line.
std::string_view without_front_matter(std::string_view text) {
  const std::string_view fence = text.substr(0, 3);
  if (fence != "---" && fence != "+++") return text;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const bool is_fence = line.substr(0, 3) == fence && is_blank(line.substr(3));
    if (at == 0 && !is_fence) return text;
    if (at > 0 && is_fence) return text.substr(std::min(end + 1, text.size()));
    at = end + 1;
  }
  return text;
}

std::string with_plain_line_ends(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    out += text[i];
  }
  return out;
}

// The line of the first byte that is not UTF-8.
int64_t line_of_bad_byte(std::string_view text) {
  int64_t line = 1;
  bool valid = true;
  for (size_t at = 0; at < text.size();) {
    const uint32_t cp = next_code_point(text, at, &valid);
    if (!valid) break;
    if (cp == '\n') ++line;
  }
  return line;
}

void append_content(const Json& value, std::string& out) {
  if (value.is_string()) {
    out += json_quote(trimmed(value.as_string()));
  } else if (value.is_array()) {
    out += '[';
    for (const Json& item : value.items()) append_content(item, out);
    out += ']';
  } else if (value.is_object()) {
    out += '{';
    for (const auto& [key, item] : value.members()) {
      out += json_quote(key);
      append_content(item, out);
    }
    out += '}';
  } else {
    out += value.dump() + ' ';
  }
}

// What makes two rows the same, whatever format they are written in: of a text what a file of it has, see read_text().
std::string content_of(const Example& example) {
  if (example.kind == Example::Kind::kText) return with_plain_line_ends(trimmed(example.text));
  std::string out;
  for (const Json* part : {&example.messages, &example.tools, &example.chosen, &example.rejected}) {
    append_content(*part, out);
  }
  for (const std::string* part : {&example.prompt, &example.completion}) {
    append_content(Json(*part), out);
  }
  for (const std::string& choice : example.choices) append_content(Json(choice), out);
  if (example.desirable) out += *example.desirable ? "good" : "bad";
  return out;
}

}  // namespace

size_t piece_size(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text.size();
  const auto is_space = [](char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  for (size_t at = bytes_max; at > bytes_max / 2; --at) {
    if (text[at - 1] == '\n' && !is_space(text[at])) return at;
  }
  return bytes_max - incomplete_utf8_tail(text.substr(0, bytes_max));
}

Result<DataFormat> detect_format(std::string_view bytes, std::string_view name) {
  const std::string_view text = trimmed(without_mark(bytes));
  if (text.empty()) return make_error("it is empty");
  if (const std::string problem = why_not_text(bytes, name); !problem.empty()) return Error{problem};
  const FileKind kind = kind_of_name(name);
  if (kind == FileKind::kMarkdown) return DataFormat::kMarkdown;
  if (kind == FileKind::kJson) return detect_rows(text);
  if (text.front() == '{' || text.front() == '[') {  // a text may begin so as well
    if (auto format = detect_rows(text); format.ok()) return format;
  }
  return DataFormat::kText;
}

Result<DataFormat> format_of(const FoundFile& file, std::string_view bytes, std::optional<DataFormat> format) {
  if (!file.given && !format && kind_of_name(file.path) == FileKind::kUnknown) {
    return make_error("its name is none of data (.jsonl .json .txt .md); name it, or say the format, to have it read");
  }
  auto detected = detect_format(bytes, file.path);
  if (format && (detected.ok() || why_not_text(bytes, file.path).empty())) return *format;
  return detected;
}

Status DataReader::read(const std::vector<std::string>& paths, std::optional<DataFormat> format) {
  TRY_ASSIGN(const auto found, find_files(paths, report_.skipped));
  for (const FoundFile& file : found) {
    TRY(check_stop());
    const auto refuse = [&](std::string reason) -> Status {
      if (file.given) return make_error("{}: {}", in_quotes(file.path, 200), reason);
      report_.skipped.add(file.path, 0, std::move(reason));
      return {};
    };
    auto mapped = MappedFile::open(file.path);
    if (!mapped.ok()) {
      if (file.given) return std::move(mapped).error();
      TRY(refuse(mapped.error().message));
      continue;
    }
    const auto bytes = (*mapped)->bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto read_as = format_of(file, text, format);
    if (!read_as.ok()) {
      TRY(refuse(read_as.error().message));
      continue;
    }
    TRY(read_bytes(text, file.path, *read_as, !format));
    TRY((*mapped)->check_intact());
  }
  return {};
}

Status DataReader::read_bytes(std::string_view bytes, const std::string& path, DataFormat format, bool alike) {
  report_.files.emplace_back();
  DataFile& file = report_.files.back();
  file.path = path;
  file.format = format;
  file.bytes = bytes.size();
  file.hash = content_hash(bytes);
  const std::string_view text = without_mark(bytes);
  if (format == DataFormat::kText) return read_text(bytes, text, file);
  if (format == DataFormat::kMarkdown) return read_text(bytes, without_front_matter(text), file);
  return read_rows(text, alike, file);
}

// Hashes with the key of this process: nobody can make a row that counts as a duplicate of another.
bool DataReader::is_new(std::string_view content) {
  const HashKey& key = hash_key();
  const HashKey second{~key.start, key.factor ^ 0x5851f42d4c957f2c};
  return seen_.insert({keyed_hash(content, key), keyed_hash(content, second)}).second;
}

Status DataReader::check_stop() const {
  if (stop_ == nullptr || !stop_->load()) return {};
  return make_error("stopped while the data was read");
}

Status DataReader::read_rows(std::string_view text, bool alike, DataFile& file) {
  const size_t index = report_.files.size() - 1;
  JsonRows rows(text);
  while (const auto row = rows.next()) {
    TRY(check_stop());
    ++file.rows;
    auto example = [&]() -> Result<Example> {
      TRY_ASSIGN(const Json record, parse_row(*row));
      const auto found = detect_record(record);
      if (alike && found && *found != file.format) {
        return make_error("the file is {} data, this row is {}", data_format_name(file.format),
                          data_format_name(*found));
      }
      return read_record(record, file.format);
    }();
    if (!example.ok()) {
      file.bad.add(file.path, row->line, example.error().message);
      continue;
    }
    const std::string content = content_of(*example);
    if (!is_new(content)) {
      ++file.duplicates;
      continue;
    }
    example->document = content_hash(content);
    example->file = index;
    example->line = row->line;
    TRY(sink_(std::move(*example)));
  }
  return {};
}

Status DataReader::read_text(std::string_view bytes, std::string_view text, DataFile& file) {
  file.rows = 1;
  text = trimmed(text);
  if (text.empty()) {
    file.bad.add(file.path, 0, "it is empty");
    return {};
  }
  if (!is_valid_utf8(text)) {
    file.bad.add(file.path, line_of_bad_byte(bytes),
                 "not UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8 FILE > NEW");
    return {};
  }
  std::string plain;  // only of a text with other line ends: the others are not copied
  if (text.find("\r\n") != std::string_view::npos) {
    plain = with_plain_line_ends(text);
    text = plain;
  }
  if (!is_new(text)) {
    file.duplicates = 1;
    return {};
  }
  const std::string document = content_hash(text);
  for (bool first = true; !text.empty(); first = false) {
    TRY(check_stop());
    const size_t size = piece_size(text, kPieceBytes);
    Example piece;
    piece.kind = Example::Kind::kText;
    piece.text = std::string(text.substr(0, size));
    piece.first_piece = first;
    piece.last_piece = size == text.size();
    piece.document = document;
    piece.file = report_.files.size() - 1;
    text.remove_prefix(size);
    TRY(sink_(std::move(piece)));
  }
  return {};
}

}  // namespace andiron
