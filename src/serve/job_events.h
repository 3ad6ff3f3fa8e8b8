// What happened to a training job, in order: words for people, and the numbers of its steps. In memory, and in a file
// of lines of JSON that outlives the process; a disk that takes no more costs the lines, not the job.
//
// One owner, one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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
  static constexpr size_t kEventsMax = 5000;  // those that come then are dropped

  // Reads what is there; a file that is none of this kind counts as empty. "" for `path`: memory alone.
  explicit EventLog(std::string path);

  // None where there are too many.
  const JobEvent* add(std::string_view level, std::string message, Json data = {});
  std::span<const JobEvent> all() const { return events_; }
  // Removes the numbers of later steps, which will be taken again.
  void forget_steps_after(int64_t step);

 private:
  std::string path_;
  std::vector<JobEvent> events_;
};

}  // namespace andiron
