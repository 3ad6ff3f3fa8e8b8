// andiron imatrix: which columns of the weights matter.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "engine/imatrix.h"

namespace andiron {

Result<int> imatrix_command(const GlobalOptions& global, const ImatrixOptions& options) {
  TRY_ASSIGN(const std::string text, read_input(options.file));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source()));
  const auto tokens = tokenizer->encode(text, {.add_special = false, .parse_special = false});
  const InterruptGuard interrupt(/*second_ends=*/true);
  Progress progress("measuring importance", Progress::Unit::kSteps, global.quiet);
  ImportanceOptions measure;
  measure.window = options.window;
  measure.windows_max = options.windows_max;
  measure.cancel = interrupt.flag();
  measure.progress = [&](int64_t done, int64_t total) {
    progress.update(static_cast<uint64_t>(done), static_cast<uint64_t>(total));
  };
  TRY_ASSIGN(const ImportanceReport report,
             measure_importance(*loaded.model, *tokenizer, tokens, *machine.kernels, *machine.team, measure));
  progress.clear();
  if (interrupt.interrupted()) return kExitInterrupted;
  TRY(report.importance.save(options.out, options.file, report.windows, options.window));
  if (!global.quiet) {
    if (report.experts_unseen > 0) {
      std::fprintf(stderr, "note: %lld expert matrices were never used; a longer text would reach them\n",
                   static_cast<long long>(report.experts_unseen));
    }
    std::fprintf(stderr, "%s: %zu matrices, measured on %lld windows of %lld tokens\n", printable(options.out).c_str(),
                 report.importance.entries().size(), static_cast<long long>(report.windows),
                 static_cast<long long>(options.window));
  }
  return 0;
}

}  // namespace andiron
