#include "cli/id_list.h"

#include <algorithm>

#include "base/json.h"
#include "base/strings.h"

namespace andiron {

namespace {

Result<int32_t> checked_id(int64_t id, int64_t vocabulary, std::string_view what) {
  if (id < 0 || id >= vocabulary) {
    return make_error("{}: token {} is outside the vocabulary; expected 0 to {}", what, id, vocabulary - 1);
  }
  return static_cast<int32_t>(id);
}

Result<std::vector<int32_t>> ids_of_object(std::string_view text, int64_t vocabulary, std::string_view what) {
  TRY_ASSIGN(const Json json, parse_json(text, what));
  const Json& list = json.member("ids");
  if (!list.is_array()) {
    return make_error("{}: expected \"ids\" with a list of numbers in this JSON, as tokenize --json prints it", what);
  }
  std::vector<int32_t> ids;
  for (const Json& item : list.items()) {
    if (!item.is_int())
      return make_error("{}: expected whole numbers in \"ids\", got {}", what, in_quotes(item.dump()));
    TRY_ASSIGN(const int32_t id, checked_id(item.as_int(), vocabulary, what));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

Result<std::vector<int32_t>> parse_ids(std::string_view text, int64_t vocabulary, std::string_view what) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  const size_t first = text.find_first_not_of(kBetween);
  if (first != std::string_view::npos && text[first] == '{') return ids_of_object(text, vocabulary, what);
  std::vector<int32_t> ids;
  for (size_t at = first; at != std::string_view::npos;) {
    if (text[at] == '"' && !ids.empty()) {  // the piece of the id before it, to the end of the line
      at = text.find_first_not_of(kBetween, std::min(text.size(), text.find('\n', at)));
      continue;
    }
    const size_t end = std::min(text.size(), text.find_first_of(kBetween, at));
    TRY_ASSIGN(const int64_t id, parse_int(text.substr(at, end - at), what));
    TRY_ASSIGN(const int32_t token, checked_id(id, vocabulary, what));
    ids.push_back(token);
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

}  // namespace andiron
