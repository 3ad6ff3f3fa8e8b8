#include "train/pass_plan.h"

#include <algorithm>
#include <utility>

#include "base/cpu_info.h"
#include "base/strings.h"

namespace andiron {

std::string PassPlan::describe() const {
  const int64_t again = std::min(limits.checkpointed, layers);
  return format("{} trained numbers; {}", human_count(memory.parameters),
                again == 0 ? "all activations are remembered"
                           : format("{} of {} layers run again instead of being remembered", again, layers));
}

uint64_t memory_wanted(uint64_t memory_bytes) {
  return memory_bytes != 0 ? memory_bytes : memory_available_bytes() / 10 * 6;
}

Status check_memory(const MemoryEstimate& needed, uint64_t memory_bytes, uint64_t held_bytes, std::string_view advice) {
  const uint64_t most = memory_bytes != 0 ? memory_bytes : memory_available_bytes() + held_bytes;
  if (needed.total() <= most) return {};
  return make_error("training takes about {}; {} may be used: {}", describe(needed), human_bytes(most), advice);
}

Result<PassPlan> plan_pass(const Model& model, const PassWishes& wishes, int threads) {
  PassPlan out;
  out.layers = model.config().blocks;
  out.memory.weight_bytes = model.weight_bytes();
  out.memory.parameters = wishes.parameters;
  out.memory.optimizer_bytes = wishes.optimizer_bytes;
  const uint64_t rest = estimate_memory(out.memory).total(), wanted = memory_wanted(wishes.memory_bytes);
  int64_t checkpointed = wishes.checkpointing == Checkpointing::kOn ? out.layers : 0;
  if (wishes.checkpointing == Checkpointing::kAuto) {
    checkpointed = TrainPass::checkpointed_within(wanted > rest ? wanted - rest : 1, model, wishes.rows, threads);
  }
  out.limits = {wishes.rows, checkpointed};
  out.memory.pass_bytes = TrainPass::bytes_needed(model, out.limits, threads);
  TRY(check_memory(estimate_memory(out.memory), wishes.memory_bytes, out.memory.weight_bytes, wishes.advice));
  return out;
}

Result<double> measure_speed(TrainPass& pass, TrainSubject subject, const TrainData& data, TrainerOptions options,
                             ThreadTeam& team, const LearnEvents& events) {
  constexpr int kSteps = 3;
  constexpr double kLongStep = 20;  // seconds: one such says enough
  events.tell("measuring the speed of a few steps");
  options.schedule.peak = 0;
  options.schedule.steps = kSteps;
  TRY_ASSIGN(auto trainer, Trainer::create(pass, std::move(subject), data, options, team));
  double best = 0;
  for (int i = 0; i < kSteps; ++i) {
    if (events.stopped()) return make_error("stopped before the first step; there is nothing to go on with");
    TRY_ASSIGN(const StepReport report, trainer->step());
    best = std::max(best, static_cast<double>(report.tokens) / report.seconds);
    if (report.seconds > kLongStep) break;
  }
  pass.forget();
  return best;
}

}  // namespace andiron
