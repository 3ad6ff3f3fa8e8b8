// andiron ppl: perplexity of a text, and the distance from another model.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/perplexity.h"

namespace andiron {

namespace {

Json report_json(const PerplexityReport& report, const PplOptions& options) {
  Json json = Json::object();
  json.set("perplexity", report.perplexity);
  json.set("perplexity_error", report.perplexity_error);
  json.set("tokens", report.tokens);
  json.set("windows", report.windows);
  json.set("window", options.window);
  if (!options.base.empty()) {
    json.set("base_perplexity", report.base_perplexity);
    json.set("kl_mean", report.kl_mean);
    json.set("kl_error", report.kl_error);
    json.set("same_top", report.same_top);
  }
  return json;
}

void print_report(const PerplexityReport& report, const PplOptions& options) {
  std::fprintf(stdout, "perplexity  %.4f +- %.4f  (%lld tokens in %lld windows of %lld)\n", report.perplexity,
               report.perplexity_error, static_cast<long long>(report.tokens), static_cast<long long>(report.windows),
               static_cast<long long>(options.window));
  if (options.base.empty()) return;
  std::fprintf(stdout, "base        %.4f\n", report.base_perplexity);
  std::fprintf(stdout, "mean KL     %.6f +- %.6f nats\n", report.kl_mean, report.kl_error);
  std::fprintf(stdout, "same top    %.2f%%\n", 100 * report.same_top);
}

}  // namespace

Result<int> ppl_command(const GlobalOptions& global, const PplOptions& options) {
  TRY_ASSIGN(const std::string text, read_input(options.file));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source()));
  LoadedModel base;
  if (!options.base.empty()) {
    TRY_ASSIGN(base, load_model(global, machine, options.base));
  }
  const auto tokens = tokenizer->encode(text, {.add_special = false, .parse_special = false});
  const InterruptGuard interrupt(/*second_ends=*/true);
  Progress progress("perplexity", Progress::Unit::kSteps, global.quiet);
  PerplexityOptions measure;
  measure.window = options.window;
  measure.windows_max = options.windows_max;
  measure.kv_format = machine.kv_format;
  measure.cancel = interrupt.flag();
  measure.progress = [&](int64_t done, int64_t total, double perplexity) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total), format("{:.4f} so far", perplexity));
  };
  TRY_ASSIGN(const PerplexityReport report, measure_perplexity(*loaded.model, base.model.get(), *tokenizer, tokens,
                                                               *machine.kernels, *machine.team, measure));
  progress.clear();
  if (report.cancelled) return kExitInterrupted;
  if (options.json) {
    print_json(report_json(report, options));
  } else {
    print_report(report, options);
  }
  return 0;
}

}  // namespace andiron
