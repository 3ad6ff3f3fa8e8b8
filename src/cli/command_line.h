// The command line: which command, with which options.
#pragma once

#include <functional>

#include "base/result.h"
#include "cli/options.h"

namespace andiron {

struct CommandLine {
  GlobalOptions global;
  // Runs the chosen command. Empty when there is nothing left to do (help, version, a mistake in usage, all of which
  // have been printed): the program then ends with `exit_status`.
  std::function<Result<int>()> action;
  int exit_status = 0;
};

// Exit status of a usage mistake.
inline constexpr int kExitUsage = 2;

// Never fails; prints help to standard output and mistakes to standard error.
CommandLine parse_command_line(int argc, char** argv);

}  // namespace andiron
