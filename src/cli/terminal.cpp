#include "cli/terminal.h"

#include <cstring>

#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/atomic_file.h"
#include "base/strings.h"

namespace andiron {

bool writes_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || value[0] == 0) continue;
    return std::strstr(value, "UTF-8") != nullptr || std::strstr(value, "utf8") != nullptr;
  }
  return false;
}

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

int terminal_columns(std::FILE* stream, int fallback) {
  struct winsize size {};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return fallback;
}

namespace {

bool steers_terminal(uint32_t c) {
  if (c == '\n' || c == '\t') return false;
  return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

// Unicode 15, section 23.2: explicit directional embeddings, overrides and isolates.
bool turns_direction(uint32_t c) { return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069); }

std::atomic<bool> g_interrupted{false};
std::atomic<bool> g_second_ends{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch only lock-free atomics");

// Written before the handlers are installed.
bool g_error_is_terminal = false;
bool g_has_terminal_state = false;
termios g_terminal_state;

// A signal handler: nothing in it but system calls.
void end_program(int signal) {
  if (g_has_terminal_state) tcsetattr(STDIN_FILENO, TCSANOW, &g_terminal_state);
  AtomicFile::remove_unfinished();
  // On a terminal the cursor is behind "^C", an answer or a line of progress.
  const std::string_view line = g_error_is_terminal ? "\nandiron: stopped\n" : "andiron: stopped\n";
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(128 + signal);
  _exit(128 + signal);
}

void on_interrupt(int signal) {
  if (g_interrupted.exchange(true) && g_second_ends.load()) end_program(signal);
}

struct sigaction g_previous;

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    bool valid = true;
    const uint32_t c = next_code_point(text, at, &valid);
    if (!valid) {
      append_utf8(out, 0xfffd);
    } else if (steers_terminal(c)) {
      out += format("\\x{:02x}", c);
    } else if (turns_direction(c)) {
      out += format("\\u{:04x}", c);
    } else {
      append_utf8(out, c);
    }
  }
  return out;
}

void write_untrusted(std::FILE* stream, std::string_view text) {
  if (is_terminal(stream)) {
    const std::string safe = printable(text);
    std::fwrite(safe.data(), 1, safe.size(), stream);
  } else {
    std::fwrite(text.data(), 1, text.size(), stream);
  }
}

void end_on_signals() {
  g_error_is_terminal = is_terminal(stderr);
  g_has_terminal_state = tcgetattr(STDIN_FILENO, &g_terminal_state) == 0;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {
    }, before{};
    action.sa_handler = end_program;
    sigfillset(&action.sa_mask);
    if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
}

InterruptGuard::InterruptGuard(bool second_ends) {
  g_interrupted.store(false);
  g_second_ends.store(second_ends);
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &g_previous);
}

InterruptGuard::~InterruptGuard() { sigaction(SIGINT, &g_previous, nullptr); }

void InterruptGuard::clear() { g_interrupted.store(false); }

const std::atomic<bool>* InterruptGuard::flag() const { return &g_interrupted; }

}  // namespace andiron
