// Rows for `andiron learn` from conversations whose owner allowed it, on a connection within a transaction. Only what
// somebody said of an answer is taught: a thumb, or the answer written anew. The rest is what it was said about.
//
// kChat: {"messages"}: answers with a thumb up and edited answers are learned. One row for the branch that a
// conversation shows, up to the last of them, with "weight": 0 on every other answer. One more row for each of them
// that the shown branch does not hold: its branch, of which only that answer is learned. So no answer is learned twice.
// Of an answer and its edits the newest edit is learned; one with a thumb down counts as if it were not there.
//
// kPreference: {"prompt", "chosen", "rejected"}. An edited answer is better than what it was made of, unless that has a
// thumb up; an answer with a thumb up is better than one with a thumb down to the same question. Each answer is in as
// few pairs as give it one: of several, the newest stands for the others.
//
// kLabelled: {"messages", "label"}: the branch that ends with each answer that has a thumb.
//
// Left out are branches with files attached, as only text can be trained on; blank answers; branches in which nothing
// is asked.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "store/records.h"
#include "store/sqlite.h"

namespace andiron {

enum class TrainingKind { kChat, kPreference, kLabelled };
// "chat", "preference", "labelled": the kind of a Lesson, and the format that `learn` reads it as.
std::string training_kind_name(TrainingKind kind);

struct TrainingRow {
  Json row;
  std::string conversation;
  std::vector<std::string> messages;  // the answers that are learned, of a pair both: for the ledger
};
using TrainingRowSink = std::function<Status(TrainingRow&&)>;

struct TrainingReport {
  int64_t conversations = 0;  // that are for training
  int64_t rows = 0;
  int64_t with_files = 0;  // rows left out for what is attached
};

// In the order of the conversations and of their messages. An Error of the sink ends it, and so does `stop`, which is
// looked at before each conversation and may be null.
Result<TrainingReport> training_rows(SqliteConnection& db, TrainingKind kind, const TrainingRowSink& sink,
                                     const std::atomic<bool>* stop = nullptr);

}  // namespace andiron
