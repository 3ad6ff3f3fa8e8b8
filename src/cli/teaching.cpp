#include "cli/teaching.h"

#include <utility>

#include "base/user_folder.h"
#include "cli/adapter_store.h"
#include "cli/answering.h"
#include "cli/shipped_model.h"
#include "cli/version.h"

namespace andiron {

namespace {

// Of the user's data folder.
std::string jobs_folder(const std::string& data) { return data + "/jobs"; }

}  // namespace

bool forget_taught(TrainingJobs* jobs, std::span<const std::string> runs) {
  if (jobs != nullptr) return jobs->forget(runs);
  const std::string data = user_folder("XDG_DATA_HOME", ".local/share");
  if (!data.empty()) TrainingJobs::remove_chats_of(jobs_folder(data), runs);
  return true;
}

Result<Teaching> make_teaching(const GlobalOptions& global, const Machine& machine, const std::string& model,
                               const ModelHost& host, Store& store, ThreadGate& gate) {
  const std::string data = user_folder("XDG_DATA_HOME", ".local/share");
  if (data.empty()) {
    return make_error(
        "there is no place for what is learned: neither XDG_DATA_HOME nor HOME is an absolute path; --no-learn serves "
        "without teaching");
  }
  Teaching out;
  TRY_ASSIGN(FileShelf shelf, FileShelf::open(data + "/files"));
  out.shelf = std::make_unique<FileShelf>(std::move(shelf));
  TrainingOptions options;
  options.model_name = host.name();
  options.base_path = model;
  options.version = kVersion;
  options.general = general_rows_of(model);
  options.folder = jobs_folder(data);
  options.adapter_folder = [](const std::string& name) { return adapter_folder(name); };
  options.answerer = [loaded = host.model(), &host, kernels = machine.kernels,
                      session = session_options(global, machine, 512)](ThreadTeam& team) {
    return study_answerer(loaded, host.tokenizer(), *kernels, team, session);
  };
  options.gate = &gate;
  options.threads = machine.team->size();
  TRY_ASSIGN(out.jobs, TrainingJobs::create(host.model(), host.tokenizer(), *machine.kernels, store, *out.shelf,
                                            std::move(options)));
  return out;
}

}  // namespace andiron
