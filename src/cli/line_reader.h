// LineReader: what a person types, with line editing and history on a terminal, plain lines otherwise.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace andiron {

enum class InputEnd { kLine, kInterrupt, kEnd };

struct InputLine {
  InputEnd end = InputEnd::kEnd;
  std::string text;  // without the newline
};

class LineReader {
 public:
  // `history_file`: where lines are remembered, readable by the user alone; "" remembers none.
  explicit LineReader(const std::string& history_file);
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  bool interactive() const;
  // Shows the prompt (interactive only) and waits for a line. `preset` is put on the line for editing. Ctrl-C gives
  // kInterrupt where an InterruptGuard lives, Ctrl-D or the end of the input kEnd.
  InputLine read(const std::string& prompt, const std::string& preset = "");
  void remember(const std::string& line);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // null when not interactive
};

// ${XDG_STATE_HOME:-~/.local/state}/andiron/NAME, its folder made where missing; "" when there is no home.
std::string state_file(const std::string& name);

}  // namespace andiron
