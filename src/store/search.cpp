#include "store/search.h"

#include <algorithm>

#include "base/strings.h"
#include "store/records.h"

namespace andiron {

namespace {

// Around what was found in a snippet. Control characters, which people do not type; a message that has them shows them
// as marks, and no harm is done.
constexpr char kMarkBegin = '\x02', kMarkEnd = '\x03';

// The words and quoted phrases of a search, in FTS5's notation: strings, in which nothing has a meaning.
Result<std::string> to_query(std::string_view text) {
  if (text.size() > StoreLimits::kQueryBytes) {
    return make_error("the search has {} bytes; at most {} can be looked for", text.size(), StoreLimits::kQueryBytes);
  }
  std::string query;
  size_t words = 0;
  bool prefix = false;
  const auto add = [&](std::string_view word) {
    if (is_blank(word)) return;
    query += format("{}\"{}\"", query.empty() ? "" : " ", word);
    ++words;
  };
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '"') {
      const size_t end = std::min(text.find('"', at + 1), text.size());
      add(text.substr(at + 1, end - at - 1));
      prefix = false;
      at = end + 1;
    } else {
      const size_t end = std::min(text.find_first_of(" \t\r\n\"", at), text.size());
      add(text.substr(at, end - at));
      prefix = end == text.size();
      at = end < text.size() && text[end] != '"' ? end + 1 : end;
    }
  }
  if (words > StoreLimits::kQueryWords) {
    return make_error("the search has {} words; at most {} can be looked for", words, StoreLimits::kQueryWords);
  }
  return prefix ? query + " *" : query;
}

void take_marks(std::string_view marked, SearchHit& hit) {
  size_t begin = 0;
  for (const char c : marked) {
    if (c == kMarkBegin) begin = hit.snippet.size();
    if (c == kMarkEnd && hit.snippet.size() > begin) hit.marks.emplace_back(begin, hit.snippet.size());
    if (c != kMarkBegin && c != kMarkEnd) hit.snippet += c;
  }
}

}  // namespace

Result<std::vector<SearchHit>> search_messages(SqliteConnection& db, std::string_view text, int64_t limit,
                                               int64_t offset) {
  std::vector<SearchHit> hits;
  if (!is_valid_utf8(text) || text.find('\0') != std::string_view::npos) {
    return make_error("the search is not text in UTF-8");
  }
  TRY_ASSIGN(const std::string query, to_query(text));
  if (query.empty()) return hits;
  TRY(
      db.query("SELECT c.id, c.title, m.id, m.role, m.created_ms, "
               "snippet(message_words, 0, char(2), char(3), '…', 24), bm25(message_words) "
               "FROM message_words JOIN message m ON m.number = message_words.rowid "
               "JOIN conversation c ON c.number = m.conversation "
               "WHERE message_words MATCH ? ORDER BY rank, m.number DESC LIMIT ? OFFSET ?",
               {query, std::max<int64_t>(limit, 0), std::max<int64_t>(offset, 0)}, [&](SqliteRow& row) {
                 SearchHit& hit = hits.emplace_back();
                 hit.conversation = row.text(0);
                 hit.title = row.text(1);
                 hit.message = row.text(2);
                 hit.role = row.text(3);
                 hit.created_ms = row.integer(4);
                 take_marks(row.text(5), hit);
                 hit.score = -row.number(6);
                 return Status();
               }));
  return hits;
}

Status add_words(SqliteConnection& db, int64_t message) {
  return db.run("INSERT INTO message_words (rowid, content) SELECT number, content FROM message WHERE number = ?",
                {message});
}

Status remove_words(SqliteConnection& db, int64_t message) {
  return db.run(
      "INSERT INTO message_words (message_words, rowid, content) SELECT 'delete', number, content FROM message "
      "WHERE number = ?",
      {message});
}

Status forget_words(SqliteConnection& db) {
  return db.run("INSERT INTO message_words (message_words) VALUES ('optimize')");
}

Status check_words(SqliteConnection& db) {
  return db.run("INSERT INTO message_words (message_words, rank) VALUES ('integrity-check', 1)");
}

}  // namespace andiron
