// What a scheduler knows of one request.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/answer_state.h"
#include "engine/prefix_block.h"
#include "engine/scheduler.h"
#include "kernels/kernel_table.h"
#include "model/kv_cache.h"

namespace andiron {

// What is said of a request that there is no memory for.
inline constexpr std::string_view kNoMemory = "there is no memory left for this answer";

using SchedulerClock = std::chrono::steady_clock;

inline double ms_between(SchedulerClock::time_point begin, SchedulerClock::time_point end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

struct SchedulerJob {
  SchedulerJob(GenerationRequest r, std::shared_ptr<GenerationListener> l)
      : request(std::move(r)), listener(std::move(l)), prompt_tokens(static_cast<int64_t>(request.prompt.size())) {}

  Ticket ticket = 0;
  GenerationRequest request;  // of an embedding: its tokens, adapters and client
  std::shared_ptr<GenerationListener> listener;
  std::function<void(Result<std::vector<float>>)> embedded;  // instead of a listener

  SchedulerClock::time_point submitted = SchedulerClock::now(), begun_at, first_token_at;
  bool begun = false;  // has run; one that waits nevertheless rests

  std::optional<KvCache> cache;
  std::vector<int32_t> tokens;  // prompt and answer; the cache has all, or all but the last
  int64_t prompt_tokens;
  bool uses_prefix = false;
  uint64_t epoch = 0;  // how often prefixes had been forgotten when it came
  PrefixChain chain;
  bool held = false;                    // more of the prompt comes from the prefix cache in the next step
  int64_t stored = 0;                   // leading blocks that came from the prefix cache or went there
  std::unique_ptr<AnswerState> answer;  // once the prompt was read
  OnToken on_token;
  std::vector<double> hidden_sum;  // of an embedding
  int64_t reused = 0;

  std::optional<Error> error;
  bool cancelled = false;
  Result<int32_t> choice = 0;  // the token chosen in this step

  bool is_embedding() const { return embedded != nullptr; }
  int64_t read() const { return cache ? cache->length() : 0; }
  int64_t pages() const { return (read() + kAttentionTile - 1) / kAttentionTile; }  // begun, of its cache
  bool is_reading() const { return answer == nullptr && read() < prompt_tokens; }
  bool takes_of_chunk() const { return is_reading() && !has_ended() && !held; }
  bool has_ended() const {
    if (error || cancelled) return true;
    return is_embedding() ? begun && read() == prompt_tokens : answer != nullptr && answer->done();
  }
};

}  // namespace andiron
