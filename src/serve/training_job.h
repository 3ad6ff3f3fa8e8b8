// A training job: what was asked for, and how far it is. All of it outlives the process, as the details of a StoredRun.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fields.h"
#include "train/learn_options.h"
#include "train/loss_log.h"

namespace andiron {

struct TrainingAsk {
  std::string model;
  std::vector<std::string> files;  // ids on the shelf
  bool chats = false;              // also, or alone: what the chats give that may be learned from
  std::string suffix;              // the adapter's name; "": one is made up
  bool preferences = false;        // DPO, on pairs of answers
  std::optional<int64_t> epochs, batch, rank, seed;
  std::optional<double> rate_multiplier;  // of usual_rate()
  std::optional<double> beta;             // of DPO
  double budget_seconds = 0;              // 0: none
  std::string study = "auto";             // see StudyMode
  Json metadata = Json::object();         // the caller's own
  bool plan_only = false;
};

template <FieldsOf<TrainingAsk> A, typename Fields>
void fields(A& ask, Fields&& at) {
  at("model", ask.model);
  at("files", ask.files);
  at("chats", ask.chats);
  at("suffix", ask.suffix);
  at("preferences", ask.preferences);
  at("epochs", ask.epochs);
  at("batch", ask.batch);
  at("rank", ask.rank);
  at("seed", ask.seed);
  at("rate_multiplier", ask.rate_multiplier);
  at("beta", ask.beta);
  at("budget_seconds", ask.budget_seconds);
  at("study", ask.study);
  at("metadata", ask.metadata);
}

// The states of a job. Those that wait or run go on when the server starts again.
inline constexpr const char* kJobQueued = "queued";
inline constexpr const char* kJobRunning = "running";
inline constexpr const char* kJobPaused = "paused";
inline constexpr const char* kJobSucceeded = "succeeded";
inline constexpr const char* kJobFailed = "failed";
inline constexpr const char* kJobCancelled = "cancelled";

struct TrainingJob {
  std::string id;  // "ftjob-" and 32 hexadecimal digits
  std::string state;
  std::string adapter;    // its name
  int64_t created = 0;    // seconds since 1970, here and below
  int64_t begun = 0;      // when its folder became its own; 0: it has none
  int64_t finished = 0;   // 0: not yet
  std::string run_begun;  // RunRecord::started: which run its folder holds
  std::string error;      // why it failed
  std::string decision;   // the person's: "kept", "discarded", or ""
  std::string activity;   // what is being done beside the steps: "measuring the held-out loss"
  std::vector<std::string> plan;
  int64_t steps = 0, step = 0;  // planned, done
  int64_t tokens = 0;           // trained on
  double loss = kNotMeasured, held_out_loss = kNotMeasured, tokens_per_s = kNotMeasured, seconds_left = kNotMeasured;
  double rate = 0;                                       // of the optimiser
  double epochs = 0;                                     // as chosen
  int64_t batch = 0;                                     // sequences of a step, as chosen
  Json before = Json::object(), after = Json::object();  // of RunRecord
  std::string verdict;                                   // likewise: "kept" or "draft", as its losses say
  std::vector<std::string> reasons;                      // likewise
  Json samples = Json::array();                          // rows held out: {"prompt", "prompt_tokens", "expected"}
  TrainingAsk ask;

  bool is_over() const { return state == kJobSucceeded || state == kJobFailed || state == kJobCancelled; }
};

template <FieldsOf<TrainingJob> J, typename Fields>
void fields(J& job, Fields&& at) {
  at("state", job.state);
  at("created", job.created);
  at("begun", job.begun);
  at("finished", job.finished);
  at("run_begun", job.run_begun);
  at("error", job.error);
  at("decision", job.decision);
  at("plan", job.plan);
  at("steps", job.steps);
  at("step", job.step);
  at("tokens", job.tokens);
  at("loss", job.loss);
  at("held_out_loss", job.held_out_loss);
  at("tokens_per_s", job.tokens_per_s);
  at("rate", job.rate);
  at("epochs", job.epochs);
  at("batch", job.batch);
  at("before", job.before);
  at("after", job.after);
  at("verdict", job.verdict);
  at("reasons", job.reasons);
  at("samples", job.samples);
  at("ask", job.ask);
}

}  // namespace andiron
