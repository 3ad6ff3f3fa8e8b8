#include "cli/id_list.h"

#include "base/strings.h"

namespace andiron {

Result<std::vector<int32_t>> parse_ids(std::string_view text, int64_t vocabulary, std::string_view what) {
  constexpr std::string_view kBetween = " \t\r\n,[]";
  std::vector<int32_t> ids;
  for (size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;) {
    const size_t end = std::min(text.size(), text.find_first_of(kBetween, at));
    TRY_ASSIGN(const int64_t id, parse_int(text.substr(at, end - at), what));
    if (id < 0 || id >= vocabulary) {
      return make_error("{}: token {} is outside the vocabulary; expected 0 to {}", what, id, vocabulary - 1);
    }
    ids.push_back(static_cast<int32_t>(id));
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

}  // namespace andiron
