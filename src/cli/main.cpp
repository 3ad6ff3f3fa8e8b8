// andiron: the program. Parses the command line, runs the command, prints its error.
#include <cstdio>
#include <exception>

#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/terminal.h"
#include "kernels/dispatch.h"

namespace {

int report(const andiron::Error& error) {
  std::fflush(stdout);
  std::fprintf(stderr, "andiron: %s\n", andiron::printable(error.message).c_str());
  return 1;
}

int run(int argc, char** argv) {
  const andiron::CommandLine line = andiron::parse_command_line(argc, argv);
  if (!line.action) return line.exit_status;
  // Asked for by any command, an instruction set that the machine lacks is an error.
  if (const auto kernels = andiron::select_kernels(line.global.isa); !kernels.ok()) return report(kernels.error());
  const auto status = line.action();
  if (!status.ok()) return report(status.error());
  if (*status == andiron::kExitInterrupted) std::fputs("andiron: stopped\n", stderr);
  if (std::fflush(stdout) != 0) return report({"standard output: cannot write to it"});
  return *status;
}

}  // namespace

int main(int argc, char** argv) {
  andiron::end_on_signals();
  // Only what no caller can foresee arrives here: memory that ran out in the standard library.
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return report(
        {andiron::format("out of resources ({}); a smaller --ctx or a smaller model may help", error.what())});
  }
}
