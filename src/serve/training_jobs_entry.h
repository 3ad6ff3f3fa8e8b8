// A job in memory. Internal to the training_jobs*.cpp files.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serve/training_jobs.h"

namespace andiron {

inline constexpr std::string_view kJobPrefix = "ftjob-";   // of an id
inline constexpr std::string_view kPlanId = "plan";        // in its place: what a plan reads of the chats
inline constexpr const char* kJobDiscarded = "discarded";  // a decision

// Under TrainingJobs::mutex_, but for `stop`.
struct TrainingJobs::Entry {
  Entry(TrainingJob kept, EventLog log, int64_t place) : job(std::move(kept)), events(std::move(log)), order(place) {}

  struct Watch {
    Watcher tell;
    std::shared_ptr<const std::atomic<bool>> gone;  // may be null
  };

  TrainingJob job;
  EventLog events;
  std::vector<Watch> watchers;
  const int64_t order;   // later ones have higher numbers
  bool working = false;  // the thread has it
  // Of this time on the thread: the steps that were done before, and when the next one began, as now_seconds() says.
  int64_t done_before = 0;
  double began = 0;
  std::atomic<bool> stop{false};
};

// What the events of a job that has succeeded, or is over at all, come to in the end.
std::string result_words(const TrainingJob& job);
std::string last_words(const TrainingJob& job);

// The id under which the store keeps the speed of training, to plan by.
std::string speed_setting(const std::string& model_name);

inline ApiError conflict(std::string message, std::string code) {
  return {409, std::move(message), "", std::move(code), {}};
}

}  // namespace andiron
