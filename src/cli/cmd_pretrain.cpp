// andiron pretrain: a model from random weights.
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/learn_display.h"
#include "cli/machine_limits.h"
#include "cli/terminal.h"
#include "cli/version.h"
#include "train/pretrain.h"
#include "train/verdict.h"

namespace andiron {

namespace {

// All but what stands in the configuration.
Result<PretrainOptions> pretrain_options(const PretrainCommandOptions& o) {
  PretrainOptions out = o.pretrain;
  TRY_ASSIGN(out.budget_seconds, budget_seconds_of(o.budget, o.until));
  TRY_ASSIGN(out.checkpointing, checkpointing_from_name(o.checkpointing));
  TRY_ASSIGN(out.memory_bytes, memory_bytes_of(o.memory_gib));
  out.version = ANDIRON_VERSION;
  return out;
}

// What the products of this configuration could do here at most, a second.
Result<double> measure_peak(const Machine& machine, const PretrainConfig& config) {
  constexpr int kSamples = 3;
  TRY_ASSIGN(auto meter, LimitMeter::create(*machine.kernels, *machine.team, 0));
  for (int i = 0; i < kSamples; ++i) meter.sample_peaks();
  const MachineLimits limits = meter.limits();
  if (config.compute == "q8_0") return 1e9 * limits.int8_ops;
  return 1e9 * (config.compute == "bf16" ? limits.bf16_ops : limits.f32_ops);
}

void print_result(const LearnResult& result, const std::string& folder) {
  const RunRecord& r = result.record;
  const double before = r.before.member(kHeldOutLoss).number_or(NAN),
               after = r.after.member(kHeldOutLoss).number_or(NAN);
  if (!std::isnan(after)) std::fprintf(stdout, "held-out loss %.4f before, %.4f after\n", before, after);
  std::fprintf(stdout, "%s after %lld steps and %s: %s\n", r.verdict.c_str(), static_cast<long long>(r.steps),
               human_seconds(r.seconds).c_str(), printable(folder).c_str());
  for (const std::string& reason : r.reasons) std::fprintf(stdout, "  %s\n", printable(reason).c_str());
  std::fprintf(stdout, "andiron run %s/model.gguf -p TEXT\n", printable(folder).c_str());
}

}  // namespace

Status check_pretrain_options(const PretrainCommandOptions& options) {
  TRY(pretrain_options(options));
  return {};
}

Result<int> pretrain_command(const GlobalOptions& global, const PretrainCommandOptions& options) {
  TRY_ASSIGN(PretrainOptions training, pretrain_options(options));
  TRY_ASSIGN(training.config, read_pretrain_config(options.config));
  // Not the whole path: the name goes into files that are shared.
  if (training.config.model.name.empty()) training.config.model.name = name_of_folder(training.out);
  TRY_ASSIGN(const Machine machine, make_machine(global));
  double peak = 0;
  if (!global.quiet) {
    TRY_ASSIGN(peak, measure_peak(machine, training.config));
  }
  LearnDisplay display(global.quiet, peak);
  display.events().tell(
      format("this machine: {:.4g} Gflop/s in {} at most, in registers", 1e-9 * peak, training.config.compute));
  TRY_ASSIGN(const LearnResult result, pretrain(*machine.kernels, *machine.team, training, display.events()));
  display.close();
  if (options.json) {
    Json json = run_record_json(result.record);
    json.set("out", training.out).set("stopped", result.stopped);
    print_json(json);
  } else if (!result.stopped) {
    print_result(result, training.out);
  }
  return result.stopped ? kExitInterrupted : 0;
}

}  // namespace andiron
