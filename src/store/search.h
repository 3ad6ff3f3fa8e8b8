// Words of past messages, found again (SQLite's FTS5), on a connection within a transaction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/sqlite.h"

namespace andiron {

struct SearchHit {
  std::string conversation, title;  // the conversation's id and title
  std::string message, role;
  int64_t created_ms = 0;
  std::string snippet;                           // some words around what was found
  std::vector<std::pair<size_t, size_t>> marks;  // what was found in it: first byte and end
  double score = 0;                              // BM25, more is better
};

// Messages that have every word of `text`, the best first. Case and accents do not count; what stands in double quotes
// is found as it stands; the last word may be the beginning of one. Signs are no words: text without any finds nothing.
// Languages written without spaces are found by what stands between two signs.
Result<std::vector<SearchHit>> search_messages(SqliteConnection& db, std::string_view text, int64_t limit,
                                               int64_t offset);

// Put a message's words into the index, and take them out while the message is still there.
Status add_words(SqliteConnection& db, int64_t message);
Status remove_words(SqliteConnection& db, int64_t message);
// Words that were taken out stay in the index's older parts until these are merged with the newer ones. This merges
// all.
Status forget_words(SqliteConnection& db);
// Compares the index with the messages.
Status check_words(SqliteConnection& db);

}  // namespace andiron
