// What reaches the terminal: text by others without the power to control it, and the person's Ctrl-C.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>
#include <string_view>

namespace andiron {

bool is_terminal(std::FILE* stream);
// Columns of the terminal behind `stream`, or `fallback`.
int terminal_columns(std::FILE* stream, int fallback = 80);

// Whether text beyond ASCII may be written: the locale says UTF-8.
bool writes_utf8();

// `text` with everything that could steer a terminal made visible: control characters other than newline and tab as
// \xNN, overrides of the writing direction as \u202e, bytes that are not UTF-8 as U+FFFD. Whole UTF-8 sequences only.
std::string printable(std::string_view text);

// Writes text that someone else wrote (a model, a file): as it is to a file or a pipe, printable() to a terminal.
void write_untrusted(std::FILE* stream, std::string_view text);

// From here on Ctrl-C (SIGINT), SIGTERM and SIGHUP end the program at once, with a line on standard error, the terminal
// as it was, no unfinished file left behind, and exit status 128 + the signal's number. Those that whoever started the
// program chose to ignore stay ignored. To be called once, before anything changes the terminal.
void end_on_signals();

// While one lives, Ctrl-C sets a flag instead of ending the program, and calls that wait for input return (EINTR). One
// at a time.
class InterruptGuard {
 public:
  // `second_ends`: a second Ctrl-C ends the program.
  explicit InterruptGuard(bool second_ends);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const std::atomic<bool>* flag() const;
  bool interrupted() const { return flag()->load(std::memory_order_relaxed); }
  void clear();
};

// The exit status of a program that Ctrl-C ended (128 + SIGINT).
inline constexpr int kExitInterrupted = 130;

}  // namespace andiron
