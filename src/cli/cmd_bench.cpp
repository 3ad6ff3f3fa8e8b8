// andiron bench: how fast a model runs, and what share of the machine's limits that is. Limits and model are measured
// in turns, so that both see the same machine.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <span>

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
#include "model/quant_mix.h"

namespace andiron {

namespace {

using Clock = std::chrono::steady_clock;

// The model under measurement: tokens drawn evenly from the vocabulary, no sampling.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> create(const Machine& machine, std::shared_ptr<const Model> model,
                                                const BenchOptions& options) {
    constexpr int64_t kChunk = 512;
    auto runner = std::unique_ptr<Runner>(new Runner(options));
    const int64_t positions = std::max(options.prefill, options.depth + options.decode);
    TRY_ASSIGN(auto cache, KvCache::create(*model, positions, machine.kv_format));
    runner->cache_ = std::make_unique<KvCache>(std::move(cache));
    const ForwardLimits limits = {.rows = std::min(kChunk, positions), .logit_rows = 1, .sequences = 1};
    TRY_ASSIGN(runner->forward_, Forward::create(*model, *machine.kernels, *machine.team, limits));
    const RandomStream random(1);
    for (int64_t i = 0; i < positions; ++i) {
      const auto vocabulary = static_cast<double>(model->config().vocabulary);
      runner->tokens_.push_back(static_cast<int32_t>(random.uniform(static_cast<uint64_t>(i)) * vocabulary));
    }
    runner->model_ = std::move(model);
    return runner;
  }

  // Tokens per second.
  Result<double> prefill() {
    const auto begin = Clock::now();
    TRY(fill(options_.prefill));
    return static_cast<double>(options_.prefill) / seconds_since(begin);
  }
  Result<double> decode() {
    if (options_.depth > 0) {
      TRY(fill(options_.depth));
    } else {
      cache_->truncate(0);
    }
    const auto begin = Clock::now();
    for (int64_t i = 0; i < options_.decode; ++i) TRY(run(options_.depth + i, 1, LogitRows::kLast));
    return static_cast<double>(options_.decode) / seconds_since(begin);
  }

 private:
  explicit Runner(const BenchOptions& options) : options_(options) {}

  Status run(int64_t first, int64_t count, LogitRows logits) {
    const Sequence sequence = {cache_.get(), std::span(tokens_).subspan(first, count), logits};
    return forward_->run({&sequence, 1});
  }
  Status fill(int64_t count) {
    cache_->truncate(0);
    const int64_t chunk = forward_->limits().rows;
    for (int64_t at = 0; at < count; at += chunk) {
      const int64_t next = std::min(chunk, count - at);
      TRY(run(at, next, at + next == count ? LogitRows::kLast : LogitRows::kNone));
    }
    return {};
  }

  BenchOptions options_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Forward> forward_;
  std::vector<int32_t> tokens_;
};

struct Measurement {
  std::vector<double> prefill, decode;  // tokens per second
  MachineLimits limits;
  uint64_t read_buffer_bytes = 0;  // over which the read limit was measured
  uint64_t bytes_per_token = 0;    // read while decoding, on average
  double decode_share = 0;         // of the bandwidth
  double prefill_share = 0;        // of the int8 peak
};

Result<Measurement> measure(const Machine& machine, const std::shared_ptr<const Model>& model,
                            const BenchOptions& options, bool quiet) {
  Measurement m;
  const ModelCost cost = model_cost(model->source(), model->config());
  m.bytes_per_token = bytes_per_token(cost, model->config(), machine.kv_format, options.depth + options.decode / 2);
  // As much as a token reads: what fits in a cache is read faster than memory, by the model as by the meter.
  TRY_ASSIGN(auto meter, LimitMeter::create(*machine.kernels, *machine.team, m.bytes_per_token));
  m.read_buffer_bytes = meter.read_buffer_bytes();
  TRY_ASSIGN(const auto runner, Runner::create(machine, model, options));
  Progress progress("measuring", Progress::Unit::kSteps, quiet);
  TRY(runner->prefill());  // warms up: pages, clocks
  for (int i = 0; i < options.repeats; ++i) {
    meter.sample_read();
    TRY_ASSIGN(const double decode, runner->decode());
    meter.sample_read();
    meter.sample_peaks();
    TRY_ASSIGN(const double prefill, runner->prefill());
    meter.sample_peaks();
    m.decode.push_back(decode);
    m.prefill.push_back(prefill);
    progress.update(static_cast<uint64_t>(i) + 1, static_cast<uint64_t>(options.repeats));
  }
  m.limits = meter.limits();
  m.decode_share = median(m.decode) * static_cast<double>(m.bytes_per_token) * 1e-9 / m.limits.read_bytes;
  const double prefill_ops = 2 * (static_cast<double>(cost.layer_products) +
                                  static_cast<double>(cost.head_products) / static_cast<double>(options.prefill));
  m.prefill_share = median(m.prefill) * prefill_ops * 1e-9 / m.limits.int8_ops;
  return m;
}

Json bench_json(const Measurement& m, const Machine& machine, const LoadedModel& loaded, const BenchOptions& options) {
  const MachineLimits& l = m.limits;
  Json json = Json::object();
  json.set("model", loaded.model->source().path());
  json.set("file_type", file_type_name(loaded.model->source()));
  json.set("weight_bytes", loaded.model->weight_bytes());
  json.set("cpu", cpu_info().brand);
  json.set("isa", machine.kernels->name);
  json.set("threads", machine.team->size());
  json.set("prefill_tokens", options.prefill);
  json.set("decode_tokens", options.decode);
  json.set("depth", options.depth);
  json.set("load_ms", loaded.load_ms);
  json.set("prefill_tokens_per_s", median(m.prefill));
  json.set("decode_tokens_per_s", median(m.decode));
  json.set("prefill", speeds_json(m.prefill));
  json.set("decode", speeds_json(m.decode));
  json.set("limits", limits_json(l));
  json.set("read_buffer_bytes", m.read_buffer_bytes);
  json.set("bytes_per_token", m.bytes_per_token);
  json.set("decode_limit_tokens_per_s", l.read_bytes * 1e9 / static_cast<double>(m.bytes_per_token));
  json.set("shares",
           Json(Json::Object{{"decode_of_read", Json(m.decode_share)}, {"prefill_of_int8", Json(m.prefill_share)}}));
  return json;
}

void print_text(const Measurement& m, const Machine& machine, const LoadedModel& loaded, const BenchOptions& options) {
  const ModelSource& source = loaded.model->source();
  const std::string type(file_type_name(source));
  std::fprintf(stdout, "%s: %s %s, %s of weights, %s\n", printable(model_name(source)).c_str(),
               loaded.model->config().architecture.c_str(), type.c_str(),
               human_bytes(loaded.model->weight_bytes()).c_str(), counted(machine.team->size(), "thread").c_str());
  std::fprintf(stdout, "%s, %s, medians of %d\n", printable(cpu_info().brand).c_str(), machine.kernels->name,
               options.repeats);
  std::fprintf(stdout, "loaded in %.0f ms%s; a token reads %s\n", loaded.load_ms,
               loaded.model->weights_from_cache() ? " (packed before)" : "", human_bytes(m.bytes_per_token).c_str());
  print_speeds("prefill", options.prefill, m.prefill);
  print_speeds("decode", options.decode, m.decode);
  std::fprintf(stdout, "limits   read %.2f GB/s (%s over and over), int8 %.4g Gop/s, bf16 %.4g, f32 %.4g Gflop/s\n",
               m.limits.read_bytes, human_bytes(m.read_buffer_bytes).c_str(), m.limits.int8_ops, m.limits.bf16_ops,
               m.limits.f32_ops);
  std::fprintf(stdout, "reached  decode %.1f%% of the read limit (%.2f tokens/s), prefill %.1f%% of the int8 peak\n",
               100 * m.decode_share, m.limits.read_bytes * 1e9 / static_cast<double>(m.bytes_per_token),
               100 * m.prefill_share);
}

}  // namespace

Result<int> bench_command(const GlobalOptions& global, const BenchOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global, /*pin=*/true));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const Measurement m, measure(machine, loaded.model, options, global.quiet));
  if (options.json) {
    print_json(bench_json(m, machine, loaded, options));
  } else {
    print_text(m, machine, loaded, options);
  }
  return 0;
}

}  // namespace andiron
