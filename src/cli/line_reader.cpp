#include "cli/line_reader.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "base/strings.h"
#include "base/user_folder.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

constexpr int kHistoryLines = 1000;

// libedit converts between wide and narrow text with the C locale machinery; anything but UTF-8 would mangle input.
void use_utf8() {
  setlocale(LC_CTYPE, "");
  if (std::strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

// Bytes of the UTF-8 sequence that begins with `first`.
size_t sequence_length(unsigned char first) {
  if (first < 0xc0) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

// libedit's own reader swallows an interrupted call; this one reports it, so that Ctrl-C ends the line at once.
int read_character(EditLine*, wchar_t* out) {
  char bytes[4] = {};
  size_t have = 0, need = 1;
  while (have < need) {
    const ssize_t got = ::read(STDIN_FILENO, bytes + have, 1);
    if (got <= 0) return static_cast<int>(got);
    if (have++ == 0) need = sequence_length(static_cast<unsigned char>(bytes[0]));
  }
  size_t at = 0;
  *out = static_cast<wchar_t>(next_code_point({bytes, have}, at));
  return 1;
}

}  // namespace

struct LineReader::Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string history_file;
  std::string prompt;

  static const char* show_prompt(EditLine* line) {
    void* self = nullptr;
    el_get(line, EL_CLIENTDATA, &self);
    return static_cast<Editor*>(self)->prompt.c_str();
  }
};

LineReader::LineReader(const std::string& history_file) {
  if (!is_terminal(stdin) || !is_terminal(stdout)) return;
  use_utf8();
  editor_ = std::make_unique<Editor>();
  editor_->history_file = history_file;
  editor_->line = el_init("andiron", stdin, stdout, stderr);
  editor_->history = history_init();
  if (editor_->line == nullptr || editor_->history == nullptr) {
    editor_.reset();
    return;
  }
  HistEvent event;
  history(editor_->history, &event, H_SETSIZE, kHistoryLines);
  history(editor_->history, &event, H_SETUNIQUE, 1);
  if (!history_file.empty()) history(editor_->history, &event, H_LOAD, history_file.c_str());
  el_set(editor_->line, EL_CLIENTDATA, editor_.get());
  el_set(editor_->line, EL_PROMPT, &Editor::show_prompt);
  el_set(editor_->line, EL_EDITOR, "emacs");
  el_set(editor_->line, EL_HIST, history, editor_->history);
  el_set(editor_->line, EL_GETCFN, read_character);
  el_source(editor_->line, nullptr);  // the person's own key bindings, ~/.editrc
}

LineReader::~LineReader() {
  if (!editor_) return;
  HistEvent event;
  if (!editor_->history_file.empty()) {
    const mode_t mask = umask(0077);
    history(editor_->history, &event, H_SAVE, editor_->history_file.c_str());
    umask(mask);
  }
  history_end(editor_->history);
  el_end(editor_->line);
}

bool LineReader::interactive() const { return editor_ != nullptr; }

InputLine LineReader::read(const std::string& prompt, const std::string& preset) {
  InputLine input;
  if (!editor_) {
    if (!std::getline(std::cin, input.text)) return input;
    input.end = InputEnd::kLine;
    return input;
  }
  editor_->prompt = prompt;
  if (!preset.empty()) el_push(editor_->line, preset.c_str());
  int count = 0;
  errno = 0;
  const char* text = el_gets(editor_->line, &count);
  if (text == nullptr || count <= 0) {
    input.end = errno == EINTR ? InputEnd::kInterrupt : InputEnd::kEnd;
    if (input.end == InputEnd::kInterrupt) el_reset(editor_->line);
    std::fputc('\n', stdout);
    return input;
  }
  input.end = InputEnd::kLine;
  input.text.assign(text, static_cast<size_t>(count));
  if (!input.text.empty() && input.text.back() == '\n') input.text.pop_back();
  return input;
}

void LineReader::remember(const std::string& line) {
  if (!editor_ || line.empty()) return;
  HistEvent event;
  history(editor_->history, &event, H_ENTER, line.c_str());
}

std::string state_file(const std::string& name) {
  const std::filesystem::path folder = user_folder("XDG_STATE_HOME", ".local/state");
  if (folder.empty()) return "";
  std::error_code error;
  if (std::filesystem::create_directories(folder, error)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  return error ? "" : (folder / name).string();
}

}  // namespace andiron
