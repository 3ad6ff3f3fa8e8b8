#include "preferences.h"

#include <algorithm>
#include <set>
#include <vector>

#include "base/json.h"
#include "base/strings.h"

namespace andiron::ember {

namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// The row without its last answer, which becomes the chosen one.
Result<std::string> pair_of(const Json& row, const Json& answer) {
  const auto messages = row.member("messages").items_or_none();
  if (messages.size() < 2) return make_error("expected a conversation, got {}", row.dump());
  const std::string_view chosen = messages.back().member("content").text_or("");
  if (chosen != answer.member("expected").text_or("")) {
    return make_error("row {} of the answers expects \"{}\", and the conversation has \"{}\"",
                      answer.member("row").dump(), answer.member("expected").text_or(""), chosen);
  }
  Json prompt = Json::array();
  for (const Json& message : messages.first(messages.size() - 1)) prompt.push(message);
  Json out = Json::object();
  out.set("prompt", std::move(prompt)).set("chosen", chosen).set("rejected", answer.member("given").text_or(""));
  return out.dump() + "\n";
}

}  // namespace

Result<Preferences> make_preferences(std::string_view rows, std::string_view answers) {
  Preferences out;
  std::vector<std::string_view> row_lines;  // eval reads a row that it has seen before no second time
  std::set<std::string_view> seen;
  for (const std::string_view line : lines_of(rows)) {
    if (seen.insert(line).second) row_lines.push_back(line);
  }
  for (const std::string_view line : lines_of(answers)) {
    ++out.answers;
    TRY_ASSIGN(const Json answer, parse_json(line, "answers"));
    if (answer.member("right").bool_or(true) || is_blank(answer.member("given").text_or(""))) continue;
    const int64_t number = static_cast<int64_t>(answer.member("row").number_or(0));
    if (number < 1 || static_cast<size_t>(number) > row_lines.size()) {
      return make_error("the answers have a row {}, and there are {} rows", number, row_lines.size());
    }
    TRY_ASSIGN(const Json row, parse_json(row_lines[static_cast<size_t>(number - 1)], "rows"));
    TRY_ASSIGN(const std::string pair, pair_of(row, answer));
    out.lines += pair;
    ++out.pairs;
  }
  return out;
}

}  // namespace andiron::ember
