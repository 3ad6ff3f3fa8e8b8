// andiron: the program. Parses the command line, runs the command, prints its error.
#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/terminal.h"
#include "kernels/dispatch.h"

namespace {

int report(const andiron::Error& error, int status = 1) {
  std::fflush(stdout);
  std::fprintf(stderr, "andiron: %s\n", andiron::printable(error.message).c_str());
  return status;
}

// A program may be started without some of its streams. The next file to be opened would take such a stream's number,
// and what is printed would go into that file. In its place comes one that can neither be written to nor, for standard
// input, read from.
void occupy_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
  }
}

// The exit status, which is a failure when some of the output was lost.
int finish(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  return report({andiron::format("standard output: cannot write to it{}{}", errno == 0 ? "" : ": ",
                                 errno == 0 ? "" : std::strerror(errno))});
}

int run(int argc, char** argv) {
  const andiron::CommandLine line = andiron::parse_command_line(argc, argv);
  if (!line.action) return finish(line.exit_status);
  // Asked for by any command, an instruction set that the machine lacks is wrong usage, as an unknown one is.
  if (const auto kernels = andiron::select_kernels(line.global.isa); !kernels.ok()) {
    return report(kernels.error(), andiron::kExitUsage);
  }
  const auto status = line.action();
  if (!status.ok()) return report(status.error());
  const int exit_status = finish(*status);
  if (exit_status == andiron::kExitInterrupted) std::fputs("andiron: stopped\n", stderr);
  return exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  andiron::end_on_signals();
  // Only what no caller can foresee arrives here: memory that ran out in the standard library.
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return report(
        {andiron::format("out of resources ({}); a smaller --ctx or a smaller model may help", error.what())});
  }
}
