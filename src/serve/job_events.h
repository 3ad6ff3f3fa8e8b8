// What happened to a training job, in order: words for people, and the numbers of its steps. In memory, and in a file
// of lines of JSON that outlives the process; a disk that takes no more costs the lines, not the job.
//
// One owner, one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_fields.h"

namespace andiron {

struct JobEvent {
  int64_t number = 0;   // 1 for the first; later ones have higher numbers
  int64_t created = 0;  // seconds since 1970
  std::string level;    // "info", "warn", "error"
  std::string message;
  Json data;  // of a step: {"step", "train_loss", ...}; null: words alone
};

template <FieldsOf<JobEvent> E, typename Fields>
void fields(E& event, Fields&& at) {
  at("number", event.number);
  at("created", event.created);
  at("level", event.level);
  at("message", event.message);
  at("data", event.data);
}

class EventLog {
 public:
  // Those that come then are dropped. As a stream's first words they take less than Limit::kPendingBytes.
  static constexpr size_t kEventsMax = 2000;

  // What is in the file is read when it is asked for; one that is none of this kind counts as empty. "" for `path`:
  // memory alone.
  explicit EventLog(std::string path) : path_(std::move(path)), away_(!path_.empty()) {}

  // None where there are too many. `created`: 0: now.
  const JobEvent* add(std::string_view level, std::string message, Json data = {}, int64_t created = 0);
  std::span<const JobEvent> all();  // valid until the next call
  // Removes the numbers of later steps, which will be taken again.
  void forget_steps_after(int64_t step);
  // Gives the memory back until somebody asks: jobs that are over are kept, and looked at no more.
  void put_away();

 private:
  void fetch();

  std::string path_;
  bool away_;  // in the file alone
  std::vector<JobEvent> events_;
};

}  // namespace andiron
