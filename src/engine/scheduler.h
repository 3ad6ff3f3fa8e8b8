// Scheduler: many conversations with one model at once, in one batch.
//
//   TRY_ASSIGN(auto scheduler, Scheduler::create(model, tokenizer, kernels, team, options));
//   auto submitted = scheduler->submit(request, listener);   // any thread; returns at once
//   scheduler->cancel(ticket);                               // any thread
//
// A thread of its own runs steps. Each takes one token of every sequence that is decoding and a piece of the prompts
// that are waiting, which clients share evenly. Clients take turns at a place in the batch, and a client that has none
// gets one from whoever has two more than it: that one's last answer rests meanwhile, and goes on where it was. Within
// a client, who came first starts first.
//
// An answer has the bits (tokens and log-probabilities) that the same request alone would get from a Session of the
// same context and format: whatever else runs, whatever was found in the prefix cache.
//
// Keys and values take memory only as positions are filled, up to the context for each sequence that runs or rests
// (twice `sequences` at most), and give it back when the answer ends. What a sequence found in the prefix cache, or
// was the first to leave there, is in memory once for all that have it; who computes the same at the same time has its
// own. A request for which the system has none gets an Error, and the others go on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/thread_team.h"
#include "engine/answer_state.h"
#include "kernels/kernel_table.h"
#include "model/adapter_stack.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace andiron {

class ThreadGate;  // engine/thread_gate.h

struct SchedulerOptions {
  // Positions a sequence may have, prompt and answer together. 0: as SessionOptions.
  int64_t context = 0;
  KvFormat kv_format = kKvF16;
  int64_t sequences = 16;  // that run at once
  int64_t chunk = 256;     // prompt tokens in one step, all sequences together; at least one for each is taken
  // Requests that may wait; more are told to come again. The last quarter is for clients of whom none waits yet.
  int64_t queue = 256;
  // Of the prefix cache in memory (engine/prefix_cache.h), taken as it fills; 0: none.
  uint64_t prefix_bytes = uint64_t{1} << 30;
  // Where the prefix cache is kept on disk; "": nowhere. Needs prefix_bytes and base_hash.
  std::string prefix_folder = {};
  uint64_t prefix_disk_bytes = uint64_t{8} << 30;
  // Names the model's weights in the prefix cache.
  std::string base_hash = {};
  // Closed while anything waits or runs, for training that shares the processor; must outlive the scheduler. May be
  // null.
  ThreadGate* gate = nullptr;
};

struct GenerationRequest {
  std::vector<int32_t> prompt;                        // at least one token
  GenerateOptions options;                            // `draft` and `cancel` null
  std::shared_ptr<const AdapterStack> adapters = {};  // null: none
  std::string adapters_key = {};                      // the same for the same stack, also next year; "" for none
  uint64_t client = 0;                                // HttpRequest::client
};

struct GenerationReport {
  FinishReason reason = FinishReason::kStop;
  std::string stop_string = {};  // the one that was found
  int64_t prompt_tokens = 0;
  int64_t prompt_reused = 0;  // of these, found in the prefix cache
  int64_t tokens = 0;         // generated, an ending token included
  double queue_ms = 0;        // from submit() to the first step
  double prompt_ms = 0;       // from there to the first token
  double decode_ms = 0;       // of all tokens but the first
};

// Called on the scheduler's thread, in order, perhaps before submit() has returned; must not wait, nor destroy the
// scheduler. It may submit and cancel.
class GenerationListener {
 public:
  virtual ~GenerationListener() = default;
  // As the callback of Session::generate: the last event may bring text that had been held back, with token -1.
  virtual void on_token(const TokenEvent& event) = 0;
  // Once, last. An Error: of this request alone (a grammar too ambiguous, no token possible, no memory), or of the
  // model's file.
  virtual void on_end(Result<GenerationReport> report) = 0;
};

using Ticket = uint64_t;  // never 0, never used again
// The queue is full; there should be room again after so many seconds, at least 1, by the rates measured so far.
struct Overloaded {
  int64_t retry_after_s = 1;
};
// An Error: a prompt that does not fit, with the numbers, or options that no answer can have. Nobody hears of a request
// that got no Ticket.
using Submitted = std::variant<Ticket, Overloaded, Error>;

class Scheduler {
 public:
  // `tokenizer`, `kernels` and `team` must outlive it; the team is the scheduler's alone while it lives.
  static Result<std::unique_ptr<Scheduler>> create(std::shared_ptr<const Model> model, const Tokenizer& tokenizer,
                                                   const KernelTable& kernels, ThreadTeam& team,
                                                   const SchedulerOptions& options);
  // Cancels what waits and runs: every listener hears its end, before this returns.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Submitted submit(GenerationRequest request, std::shared_ptr<GenerationListener> listener);
  // The place is free within one step; on_end comes with kCancelled. A ticket that has ended: nothing.
  void cancel(Ticket ticket);

  // The mean of the last hidden states over all tokens, after the final norm, made 1 long. Queued as requests are, run
  // without the prefix cache. `done` is called on the scheduler's thread, once; a cancelled one gets an Error.
  Submitted embed(std::vector<int32_t> tokens, std::shared_ptr<const AdapterStack> adapters, uint64_t client,
                  std::function<void(Result<std::vector<float>>)> done);

  // Forgets what the prefix cache knows, on disk too: when it returns true, nothing there tells what was said. For when
  // somebody deletes a conversation. Waits for the step at hand; not from a listener. False: a file could not be
  // removed.
  bool forget_prefixes();

  struct Stats {
    int64_t running = 0, waiting = 0;  // now; an answer that rests is waiting
    int64_t context = 0;
    // Since the start. prompt_tokens: of the requests whose prompts are read, those reused included.
    uint64_t prompt_tokens = 0, prompt_reused = 0, tokens = 0, steps = 0, cancelled = 0, refused = 0;
    uint64_t prefix_bytes = 0;  // now, in memory
    // Of keys and values of those that run or rest, in whole pages, now. A page counts for each that has it, and in
    // prefix_bytes too: both together are more than what is in memory once.
    uint64_t kv_bytes = 0;
  };
  Stats stats() const;
  int64_t context() const;

 private:
  class Core;
  explicit Scheduler(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace andiron
