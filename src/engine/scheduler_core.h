// Scheduler::Core: the scheduler's state and its thread. scheduler.cpp has what other threads call and who gets a place
// in the batch; scheduler_step.cpp has what a step computes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "engine/client_queues.h"
#include "engine/prefix_cache.h"
#include "engine/scheduler.h"
#include "engine/scheduler_job.h"
#include "engine/thread_gate.h"
#include "model/forward.h"

namespace andiron {

class Scheduler::Core {
 public:
  // `options`: checked, with a context.
  Core(std::shared_ptr<const Model> model, const Tokenizer& tokenizer, const KernelTable& kernels, ThreadTeam& team,
       const SchedulerOptions& options, std::unique_ptr<Forward> forward, std::unique_ptr<PrefixCache> prefix);
  ~Core();

  // Any thread.
  Submitted submit(std::unique_ptr<SchedulerJob> job);
  void cancel(Ticket ticket);
  bool forget_prefixes();
  Stats stats() const;
  int64_t context() const { return options_.context; }
  Status check(const SchedulerJob& job) const;

 private:
  using Job = SchedulerJob;
  struct Reader {
    uint64_t client;
    int64_t wants;  // tokens of its prompts
  };
  // scheduler.cpp: between steps.
  void run();
  bool gather_if_there_is_memory();
  bool gather();
  void take_cancels();
  void admit();
  int64_t places(uint64_t client) const;
  Job* last_of_busiest(uint64_t besides) const;
  void rest(Job* job);
  void sweep();
  void deliver();
  void tell_end(Job& job);
  uint64_t kv_bytes() const;
  int64_t retry_after_s() const;
  void leave_gate();

  // scheduler_step.cpp: a step.
  void step();
  void begin(Job& job);
  std::string space_of(const Job& job) const;
  void restore();
  void restore(Job& job, uint64_t& budget);
  bool restore_block(Job& job, int64_t block);
  void compose();
  void share_chunk();
  int64_t give_tokens(uint64_t client, int64_t budget);
  bool add_member(Job& job, int64_t tokens);
  void collect(size_t index);
  void add_hidden(Job& job, Rows hidden);
  void store_blocks(Job& job);
  void choose_tokens();
  void take_token(Job& job, std::span<const float> logits);

  const std::shared_ptr<const Model> model_;
  const Tokenizer& tokenizer_;
  ThreadTeam& team_;
  const SchedulerOptions options_;
  const std::string space_;  // of the prefix cache, without adapters
  std::unique_ptr<Forward> forward_;
  std::unique_ptr<PrefixCache> prefix_;  // may be null

  // The thread's own.
  std::vector<std::unique_ptr<Job>> running_;  // in the order in which they got their places
  std::vector<std::unique_ptr<Job>> ended_;    // not yet told
  std::vector<Job*> answering_;                // by the adapters that they wear, in this step
  std::vector<Sequence> batch_;
  std::vector<Job*> members_;                 // of batch_, one for one
  std::vector<size_t> choosing_;              // members whose token follows
  std::vector<Reader> readers_;               // clients whose prompts are read, in this step
  std::vector<std::string_view> being_read_;  // keys of blocks, in this step
  uint64_t epoch_ = 0;                        // of the last time that prefixes were forgotten
  uint64_t steps_ = 0, prompt_tokens_ = 0, reused_ = 0, tokens_ = 0;

  mutable std::mutex mutex_;  // of all below
  std::condition_variable work_, forgotten_;
  ClientQueues queues_;
  std::vector<Ticket> cancels_;
  Stats stats_;
  Ticket last_ticket_ = 0;
  double request_s_ = 0;  // running mean of how long a request has its place
  bool stopping_ = false;
  uint64_t forgets_asked_ = 0, forgets_done_ = 0;
  bool all_forgotten_ = true;  // the last time
  bool in_gate_ = false;

  std::thread thread_;
};

}  // namespace andiron
