// andiron plot: the course of a training run, in the terminal or as an SVG.
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/adapter_store.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "train/loss_log.h"
#include "train/plot.h"

namespace andiron {

Result<int> plot_command(const GlobalOptions&, const PlotOptions& options) {
  std::error_code error;
  std::string folder = options.run;
  if (!std::filesystem::exists(folder, error)) {
    TRY_ASSIGN(folder, adapter_folder(options.run));
  }
  TRY_ASSIGN(const auto rows, read_loss_csv(folder + "/loss.csv"));
  if (!options.out.empty()) {
    TRY(write_text_file(options.out, plot_svg(rows, options.run)));
    return 0;
  }
  const std::string text = plot_text(rows, {terminal_columns(stdout), writes_utf8()});
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace andiron
