// What `andiron serve` teaches its model with: the same folders, rows and questions as `andiron learn`.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "cli/app.h"
#include "engine/thread_gate.h"
#include "serve/file_shelf.h"
#include "serve/model_host.h"
#include "serve/training_jobs.h"
#include "store/store.h"

namespace andiron {

struct Teaching {
  std::unique_ptr<FileShelf> shelf;
  std::unique_ptr<TrainingJobs> jobs;  // ends before the shelf
};

// `model`: as the command line names it. Files lie in files/, what is kept of jobs in jobs/, of the user's data folder.
// All must outlive it.
Result<Teaching> make_teaching(const GlobalOptions& global, const Machine& machine, const std::string& model,
                               const ModelHost& host, Store& store, ThreadGate& gate);

// Chats were removed that these runs learn from (Store::Removal::runs): what was written down of them goes, also where
// nothing is taught (`jobs` is null). Whether the store has no trace of it any more.
bool forget_taught(TrainingJobs* jobs, std::span<const std::string> runs);

}  // namespace andiron
