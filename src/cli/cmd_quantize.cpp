// andiron quantize: the same model in another number format.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/shipped_model.h"
#include "cli/terminal.h"
#include "engine/quantize.h"

namespace andiron {

namespace {

double bits_per_weight(uint64_t bytes, uint64_t parameters) {
  return parameters > 0 ? 8 * static_cast<double>(bytes) / static_cast<double>(parameters) : 0;
}

void print_report(const QuantizeReport& report, const std::string& out) {
  for (const std::string& note : report.notes) std::fprintf(stderr, "note: %s\n", printable(note).c_str());
  std::string formats;
  for (const auto& [dtype, count] : report.tensors) {
    formats += format("{}{} {}", formats.empty() ? "" : ", ", count, dtype_info(dtype).name);
  }
  std::fprintf(stderr, "%s: %s, before %s; %.2f bits a weight; tensors: %s\n", printable(out).c_str(),
               human_bytes(report.bytes_after).c_str(), human_bytes(report.bytes_before).c_str(),
               bits_per_weight(report.bytes_after, report.parameters), formats.c_str());
}

// An Error if writing `out` would replace a file that is being read.
Status check_not_a_source(const ModelSource& source, const std::string& out) {
  std::error_code ignored;
  for (const std::string& file : source.files()) {
    if (!std::filesystem::equivalent(file, out, ignored)) continue;
    return make_error("{}: expected another name for the result, this is the model being read ({})", out,
                      source.path());
  }
  return {};
}

}  // namespace

Result<int> quantize_command(const GlobalOptions& global, const QuantizeCommandOptions& options) {
  QuantizeOptions quantize;
  TRY_ASSIGN(quantize.type, quant_type_from_name(options.type));
  quantize.pure = options.pure;
  std::optional<Importance> importance;
  if (!options.imatrix.empty()) {
    TRY_ASSIGN(importance, Importance::load(options.imatrix));
    quantize.importance = &*importance;
  }
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const std::string file, model_path(options.source));
  TRY_ASSIGN(const auto source, open_model_source(file));
  TRY(check_not_a_source(*source, options.out));
  const InterruptGuard interrupt(/*second_ends=*/true);
  Progress progress("quantising", Progress::Unit::kBytes, global.quiet);
  quantize.cancel = interrupt.flag();
  quantize.progress = [&](uint64_t done, uint64_t total, std::string_view tensor) {
    progress.update(done, total, tensor);
  };
  TRY_ASSIGN(const QuantizeReport report, quantize_model(*source, options.out, *machine.team, quantize));
  progress.clear();
  if (report.cancelled) return kExitInterrupted;
  if (!global.quiet) print_report(report, options.out);
  return 0;
}

}  // namespace andiron
