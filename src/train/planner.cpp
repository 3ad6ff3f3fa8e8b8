#include "train/planner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/strings.h"
#include "train/schedule.h"

namespace andiron {

namespace {

constexpr double kEpochsDefault = 3;
// Up to about four passes, repeated data is nearly worth new data (Muennighoff et al. 2023, arXiv 2305.16264).
constexpr double kEpochsMax = 4;
constexpr double kEpochsByHeart = 16;  // the held-out loss ends it earlier
constexpr int64_t kBatchMax = 4;       // four sequences of 512 keep the kernels busy; more only takes memory
constexpr int64_t kSequencesMax = 16, kStepsWanted = 100;  // of a step; so that the schedule has room to act
constexpr double kReserve = 0.08;                          // of a budget: speed varies, checkpoints are written
constexpr double kHeldOutShare = 0.1;                      // of the time, for measuring on held-out rows
constexpr int64_t kMeasurementsMax = 20;

class Planner {
 public:
  explicit Planner(const PlanInput& input) : in_(input) {}

  Result<Plan> run() {
    TRY(check());
    plan_.batch = in_.batch.value_or(std::min(kBatchMax, in_.sequences));
    plan_.memory = estimate_memory(in_.memory);
    choose_steps();
    TRY(fit_budget());
    plan_.epochs = static_cast<double>(plan_.steps * per_step()) / static_cast<double>(in_.sequences);
    choose_measurements();
    explain();
    return std::move(plan_);
  }

 private:
  int64_t per_step() const { return plan_.batch * plan_.grad_accum; }
  double tokens_per_step() const {
    return static_cast<double>(in_.tokens) * static_cast<double>(per_step()) / static_cast<double>(in_.sequences);
  }
  double seconds_per_step() const { return in_.tokens_per_s > 0 ? tokens_per_step() / in_.tokens_per_s : 0; }
  double measurement_seconds() const {
    if (in_.tokens_per_s <= 0) return 0;
    return kForwardShare * static_cast<double>(in_.held_out_tokens) / in_.tokens_per_s;
  }

  Status check() const {
    if (in_.tokens <= 0) return make_error("there is nothing to train on: no row has a token");
    if (in_.budget_seconds > 0 && in_.tokens_per_s <= 0) return make_error("a budget needs a measured speed");
    for (const auto& [name, value] : {std::pair("--steps", in_.steps), std::pair("--batch", in_.batch),
                                      std::pair("--grad-accum", in_.grad_accum)}) {
      if (value && *value < 1) return make_error("{}: expected 1 or more, got {}", name, *value);
    }
    if (in_.epochs && !(*in_.epochs > 0)) return make_error("--epochs: expected more than 0, got {}", *in_.epochs);
    return {};
  }

  // Sequences that may be trained on in all: what is asked for, or what the budget allows.
  double sequences_in_all() const {
    const auto pass = static_cast<double>(in_.sequences);
    if (in_.epochs) return *in_.epochs * pass;
    if (in_.budget_seconds <= 0) return (in_.by_heart ? kEpochsByHeart : kEpochsDefault) * pass;
    const double seconds_each = static_cast<double>(in_.tokens) / pass / in_.tokens_per_s;
    return std::min((in_.by_heart ? kEpochsByHeart : kEpochsMax) * pass, usable_seconds() / seconds_each);
  }
  double usable_seconds() const { return in_.budget_seconds * (1 - kReserve) * (1 - kHeldOutShare); }

  void choose_steps() {
    const double all = sequences_in_all();
    if (in_.grad_accum) {
      plan_.grad_accum = *in_.grad_accum;
    } else {
      const int64_t wanted = std::clamp(static_cast<int64_t>(all) / kStepsWanted, int64_t{1}, kSequencesMax);
      if (!in_.batch) plan_.batch = std::min(plan_.batch, wanted);
      plan_.grad_accum = std::max<int64_t>(1, wanted / plan_.batch);
    }
    if (in_.steps) {
      plan_.steps = *in_.steps;
    } else if (in_.budget_seconds > 0 && !in_.epochs) {
      plan_.steps = static_cast<int64_t>(all / static_cast<double>(per_step()));  // the whole steps within it
    } else {
      plan_.steps = steps_of_epochs(all / static_cast<double>(in_.sequences), in_.sequences, per_step());
    }
  }

  Status fit_budget() {
    plan_.seconds = static_cast<double>(plan_.steps) * seconds_per_step();
    if (in_.budget_seconds <= 0) return {};
    if (plan_.steps < 1) {
      return make_error(
          "the budget of {} has not room for one step, which takes about {}; allow more time, or ask for "
          "less with --batch or --seq-len",
          human_seconds(in_.budget_seconds), human_seconds(seconds_per_step()));
    }
    const double limit = in_.budget_seconds * (1 - kReserve);
    if (plan_.seconds <= limit) return {};
    return make_error(
        "{} steps take about {}, and the budget is {}; leave out --steps and --epochs to have as many as "
        "fit",
        human_count(plan_.steps), human_seconds(plan_.seconds), human_seconds(in_.budget_seconds));
  }

  // As often as a tenth of the time allows, but once at the end always.
  void choose_measurements() {
    int64_t times = std::min(kMeasurementsMax, plan_.steps);
    const double each = measurement_seconds();
    if (each > 0) {
      times = std::clamp(static_cast<int64_t>(kHeldOutShare * plan_.seconds / each), int64_t{1}, times);
    }
    plan_.held_out_every = (plan_.steps + times - 1) / times;
    if (in_.held_out_tokens > 0) plan_.seconds += each * static_cast<double>(times);
  }

  void explain() {
    auto& lines = plan_.lines;
    lines.push_back(format("data: {}, {} tokens, {} of them learnt from; {} of {} tokens", counted(in_.rows, "row"),
                           human_count(in_.tokens), human_count(in_.trained_tokens), counted(in_.sequences, "sequence"),
                           human_count(in_.sequence_length)));
    lines.push_back(format("plan: {} of {} ({} at a time), {:.2g} epochs", counted(plan_.steps, "step"),
                           counted(per_step(), "sequence"), plan_.batch, plan_.epochs));
    if (plan_.epochs < 1) lines.push_back(format("only {:.0f}% of the data will be seen", 100 * plan_.epochs));
    if (plan_.seconds > 0) {
      lines.push_back(format("time: about {} at {} tokens/s{}", human_seconds(plan_.seconds),
                             human_count(std::llround(in_.tokens_per_s)),
                             in_.budget_seconds > 0 ? format(", within {}", human_seconds(in_.budget_seconds)) : ""));
    }
    lines.push_back(format("memory: about {}", describe(plan_.memory)));
  }

  const PlanInput& in_;
  Plan plan_;
};

}  // namespace

Result<Plan> plan_run(const PlanInput& input) { return Planner(input).run(); }

}  // namespace andiron
