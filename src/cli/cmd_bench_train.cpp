// andiron bench --train: how fast an adapter is trained, where the time goes, and what share of the machine's limits
// that is. Limits and steps are measured in turns, so that both see the same machine.
//
// What is counted: of every position the products with the base's matrices, 2 FLOP a weight forward and 2 for dx = dy
// W, the output matrix among them (every position is trained), and 2 more forward for layers that are run again.
// Attention, the adapter's own products, the optimiser and the rest take time but do not count.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "adapter/adapter_base.h"
#include "base/cpu_info.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/machine_limits.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/model_cost.h"
#include "kernels/packing.h"
#include "model/quant_mix.h"
#include "ops/op_clock.h"
#include "train/memory_estimate.h"
#include "train/pass_plan.h"
#include "train/score.h"
#include "train/subject.h"
#include "train/trainer.h"

namespace andiron {

namespace {

constexpr std::array<const char*, kOpKinds> kOpNames = {"forward matmul", "backward dx",        "LoRA",
                                                        "attention",      "attention backward", "elementwise",
                                                        "head and loss",  "optimiser",          "other"};
constexpr std::array<const char*, kOpKinds> kOpKeys = {"forward_matmul",    "backward_dx",        "lora",
                                                       "attention_forward", "attention_backward", "elementwise",
                                                       "head_and_loss",     "optimizer",          "other"};

// An adapter of all layers in training, on tokens drawn evenly.
class TrainRunner {
 public:
  static Result<std::unique_ptr<TrainRunner>> create(const Machine& machine, std::shared_ptr<const Model> model,
                                                     const BenchOptions& options);

  Result<StepReport> step() { return trainer_->step(); }
  Ops& ops() { return pass_->ops(); }
  int64_t rows_per_pass() const { return rows_; }
  int64_t checkpointed() const { return checkpointed_; }
  int64_t parameters() const { return parameters_; }

 private:
  TrainRunner() = default;
  void draw_tokens(int64_t vocabulary, const BenchOptions& options);

  std::shared_ptr<const Model> model_;
  TokenRows rows_of_tokens_;
  std::unique_ptr<Subject> subject_;
  std::unique_ptr<TrainPass> pass_;
  std::unique_ptr<Trainer> trainer_;
  int64_t rows_ = 0, checkpointed_ = 0, parameters_ = 0;
};

void TrainRunner::draw_tokens(int64_t vocabulary, const BenchOptions& options) {
  const RandomStream random(1);
  uint64_t at = 0;
  for (int64_t i = 0; i < options.batch; ++i) {
    TokenRow row;
    for (int64_t j = 0; j <= options.sequence; ++j) {
      row.tokens.push_back(static_cast<int32_t>(random.uniform(at++) * static_cast<double>(vocabulary)));
    }
    row.trained.assign(row.tokens.size(), 1);
    row.trained[0] = 0;
    rows_of_tokens_.rows.push_back(std::move(row));
  }
}

Result<std::unique_ptr<TrainRunner>> TrainRunner::create(const Machine& machine, std::shared_ptr<const Model> model,
                                                         const BenchOptions& options) {
  auto runner = std::unique_ptr<TrainRunner>(new TrainRunner());
  TrainRunner& r = *runner;
  r.draw_tokens(model->config().vocabulary, options);
  LearnOptions learn;
  learn.rank = options.rank;
  learn.alpha = 2 * static_cast<double>(options.rank);
  TRY_ASSIGN(const AdapterBase base, describe_base(model->source()));
  TRY_ASSIGN(r.parameters_, Subject::parameters_count(*model, base, learn));
  TrainerOptions trainer;
  trainer.sequences = options.batch;
  trainer.packing.seq_len = options.sequence;
  trainer.rows_per_pass = andiron::rows_per_pass(options.sequence);
  trainer.schedule.kind = Schedule::Kind::kConstant;
  trainer.schedule.peak = 1e-4;
  trainer.schedule.steps = INT64_MAX;
  r.rows_ = std::min(trainer.rows_per_pass, options.batch * options.sequence);
  trainer.rows_per_pass = r.rows_;
  const auto asked = static_cast<uint64_t>(options.memory_gib * 1073741824.0);
  const uint64_t memory = memory_wanted(asked);
  MemoryInput needed;
  needed.weight_bytes = model->weight_bytes();
  needed.parameters = r.parameters_;
  needed.optimizer_bytes = Optimizer::state_bytes(r.parameters_, learn.optimizer.state_8bit);
  const uint64_t rest = estimate_memory(needed).total();
  const int threads = machine.team->size();
  r.checkpointed_ = TrainPass::checkpointed_within(memory > rest ? memory - rest : 0, *model, r.rows_, threads);
  TRY_ASSIGN(r.subject_, Subject::create(*model, base, *machine.kernels, *machine.team, learn));
  TRY_ASSIGN(r.pass_, TrainPass::create(*model, r.subject_->weights(), *machine.kernels, *machine.team,
                                        {r.rows_, r.checkpointed_}));
  TRY_ASSIGN(r.trainer_, Trainer::create(*r.pass_, r.subject_->trained(*r.pass_, *machine.team),
                                         {&r.rows_of_tokens_, nullptr, nullptr}, trainer, *machine.team));
  r.model_ = std::move(model);
  return runner;
}

// dx = dy W with a bf16 matrix of the model's feed-forward shape: what a product of training can reach here, with the
// kernels chosen.
class GemmMeter {
 public:
  GemmMeter(const ModelConfig& config, int64_t rows)
      : n_(std::max(config.feed_forward, config.experts.width)),
        k_(config.width),
        rows_(rows),
        weight_(packed_bytes(kPackedBF16, n_, k_)),
        dy_(static_cast<size_t>(rows * n_)),
        dx_(static_cast<size_t>(rows * k_)) {
    constexpr uint8_t kSmallBf16[2] = {0x80, 0x3c};  // 2^-6
    for (size_t i = 0; i < weight_.size(); ++i) weight_[i] = kSmallBf16[i % 2];
    std::fill(dy_.span().begin(), dy_.span().end(), 0x1p-6F);
  }

  // As often as takes a twentieth of a second; billions of operations a second.
  void sample(Ops& ops) {
    const Linear linear = {kPackedBF16, n_, k_, weight_.data()};
    const auto begin = std::chrono::steady_clock::now();
    double seconds = 0;
    int64_t products = 0;
    for (; seconds < 0.05; ++products) {
      ops.linear_backward(linear, {dy_.data(), rows_, n_, n_}, {dx_.data(), rows_, k_, k_});
      seconds = seconds_since(begin);
    }
    samples_.push_back(2e-9 * static_cast<double>(products * rows_ * n_ * k_) / seconds);
  }
  double rate() const { return median(samples_); }
  std::string shape() const { return format("{} x {} x {}", rows_, n_, k_); }

 private:
  int64_t n_, k_, rows_;
  Buffer<uint8_t> weight_;
  Buffer<float> dy_, dx_;
  std::vector<double> samples_;
};

struct TrainMeasurement {
  std::vector<double> speeds;  // tokens per second
  std::array<double, kOpKinds> op_seconds{};
  double tokens = 0;  // of op_seconds
  MachineLimits limits;
  double gemm = 0;  // billions of operations a second
  std::string gemm_shape;
  uint64_t peak_bytes = 0;
  int64_t rows = 0, checkpointed = 0, layers = 0, parameters = 0;
  double flop_per_token = 0;

  double share_of(double rate) const { return median(speeds) * flop_per_token * 1e-9 / rate; }
};

Result<TrainMeasurement> measure(const Machine& machine, const std::shared_ptr<const Model>& model,
                                 const BenchOptions& options, bool quiet) {
  TrainMeasurement m;
  TRY_ASSIGN(const auto runner, TrainRunner::create(machine, model, options));
  Progress progress("measuring", Progress::Unit::kSteps, quiet);
  TRY(runner->step());                 // warms up: memory, pages, clocks
  m.peak_bytes = peak_memory_bytes();  // before the meters take theirs
  TRY_ASSIGN(auto meter, LimitMeter::create(*machine.kernels, *machine.team, 0));
  GemmMeter gemm(model->config(), runner->rows_per_pass());
  OpClock clock;
  for (int i = 0; i < options.repeats; ++i) {
    meter.sample_peaks();
    gemm.sample(runner->ops());
    clock.start();
    runner->ops().time(&clock);
    TRY_ASSIGN(const StepReport step, runner->step());
    clock.enter(OpKind::kOther);
    runner->ops().time(nullptr);
    for (size_t kind = 0; kind < kOpKinds; ++kind) m.op_seconds[kind] += clock.seconds()[kind];
    m.tokens += static_cast<double>(step.tokens);
    m.speeds.push_back(static_cast<double>(step.tokens) / step.seconds);
    meter.sample_peaks();
    gemm.sample(runner->ops());
    progress.update(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(options.repeats));
  }
  m.limits = meter.limits();
  m.gemm = gemm.rate();
  m.gemm_shape = gemm.shape();
  m.rows = runner->rows_per_pass();
  m.checkpointed = runner->checkpointed();
  m.layers = model->config().blocks;
  m.parameters = runner->parameters();
  const ModelCost cost = model_cost(model->source(), model->config());
  const double again = static_cast<double>(m.checkpointed) / static_cast<double>(m.layers);
  m.flop_per_token =
      (4 + 2 * again) * static_cast<double>(cost.layer_products) + 4 * static_cast<double>(cost.head_products);
  return m;
}

Json bench_json(const TrainMeasurement& m, const Machine& machine, const Model& model, const BenchOptions& options) {
  Json json = Json::object();
  json.set("model", model.source().path());
  json.set("file_type", file_type_name(model.source()));
  json.set("weight_bytes", model.weight_bytes());
  json.set("cpu", cpu_info().brand);
  json.set("isa", machine.kernels->name);
  json.set("threads", machine.team->size());
  json.set("sequence", options.sequence);
  json.set("batch", options.batch);
  json.set("rank", options.rank);
  json.set("trained_parameters", m.parameters);
  json.set("rows_per_pass", m.rows);
  json.set("layers_run_again", m.checkpointed);
  json.set("train_tokens_per_s", median(m.speeds));
  json.set("train", speeds_json(m.speeds));
  json.set("peak_memory_bytes", m.peak_bytes);
  json.set("flop_per_token", m.flop_per_token);
  json.set("matmul_peak_gflop_per_s", m.limits.bf16_ops);
  json.set("share_of_matmul_peak", m.share_of(m.limits.bf16_ops));
  json.set("gemm_gflop_per_s", m.gemm);
  json.set("share_of_gemm", m.share_of(m.gemm));
  json.set("limits", limits_json(m.limits));
  Json ops = Json::array();
  double total = 0;
  for (const double seconds : m.op_seconds) total += seconds;
  for (size_t kind = 0; kind < kOpKinds; ++kind) {
    Json op = Json::object();
    op.set("op", kOpKeys[kind]);
    op.set("share", m.op_seconds[kind] / total);
    op.set("us_per_token", 1e6 * m.op_seconds[kind] / m.tokens);
    ops.push(std::move(op));
  }
  json.set("ops", std::move(ops));
  return json;
}

void print_text(const TrainMeasurement& m, const Machine& machine, const Model& model, const BenchOptions& options) {
  std::fprintf(stdout, "%s: %s %s, an adapter of rank %lld on all layers (%lld numbers), %d thread%s\n",
               printable(model_name(model.source())).c_str(), model.config().architecture.c_str(),
               std::string(file_type_name(model.source())).c_str(), static_cast<long long>(options.rank),
               static_cast<long long>(m.parameters), machine.team->size(), machine.team->size() == 1 ? "" : "s");
  std::fprintf(stdout, "%s, %s, medians of %d steps of %lld x %lld tokens\n", printable(cpu_info().brand).c_str(),
               machine.kernels->name, options.repeats, static_cast<long long>(options.batch),
               static_cast<long long>(options.sequence));
  print_speeds("train", options.batch * options.sequence, m.speeds);
  std::fprintf(stdout, "memory   %s at most; %lld tokens at a time, %lld of %lld layers run again\n",
               human_bytes(m.peak_bytes).c_str(), static_cast<long long>(m.rows),
               static_cast<long long>(m.checkpointed), static_cast<long long>(m.layers));
  std::fprintf(stdout, "limits   %s %.4g Gflop/s in registers; dx = dy W in bf16 (%s) %.4g\n",
               m.limits.bf16_ops > 2 * m.limits.f32_ops ? "bf16" : "f32", m.limits.bf16_ops, m.gemm_shape.c_str(),
               m.gemm);
  std::fprintf(stdout, "reached  %.4g Mflop a token: %.1f%% of the former, %.1f%% of the latter\n",
               1e-6 * m.flop_per_token, 100 * m.share_of(m.limits.bf16_ops), 100 * m.share_of(m.gemm));
  double total = 0;
  for (const double seconds : m.op_seconds) total += seconds;
  for (size_t kind = 0; kind < kOpKinds; ++kind) {
    std::fprintf(stdout, "  %-20s %5.1f%%  %9.1f us a token\n", kOpNames[kind], 100 * m.op_seconds[kind] / total,
                 1e6 * m.op_seconds[kind] / m.tokens);
  }
}

}  // namespace

Result<int> bench_train_command(const GlobalOptions& global, const BenchOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global, /*pin=*/true));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  if (options.sequence > loaded.model->config().context) {
    return make_error("sequences of {} tokens are not possible; this model's context is {}", options.sequence,
                      loaded.model->config().context);
  }
  TRY_ASSIGN(const TrainMeasurement m, measure(machine, loaded.model, options, global.quiet));
  if (options.json) {
    print_json(bench_json(m, machine, *loaded.model, options));
  } else {
    print_text(m, machine, *loaded.model, options);
  }
  return 0;
}

}  // namespace andiron
