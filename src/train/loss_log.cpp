#include "train/loss_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/atomic_file.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kHeading = "step,tokens,loss,held_out_loss,learning_rate,gradient_norm,tokens_per_s\n";
constexpr int kNumbers = 5;  // after step and tokens

// The shortest text that reads back as the same bits; nothing for what was not measured.
std::string cell(double value) { return std::isnan(value) ? std::string() : format("{}", value); }

std::string line_of(const LossRow& row) {
  return format("{},{},{},{},{},{},{}\n", row.step, row.tokens, std::isnan(row.loss) ? "nan" : cell(row.loss),
                cell(row.held_out_loss), cell(row.learning_rate), cell(row.gradient_norm), cell(row.tokens_per_s));
}

// from_chars takes "nan" and "inf", which a run that went wrong has written.
template <typename T>
bool take(std::string_view text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

bool parse_line(std::string_view line, LossRow& row) {
  double* numbers[kNumbers] = {&row.loss, &row.held_out_loss, &row.learning_rate, &row.gradient_norm,
                               &row.tokens_per_s};
  for (int column = 0; column < 2 + kNumbers; ++column) {
    const size_t comma = line.find(',');
    if ((comma == std::string_view::npos) != (column == 1 + kNumbers)) return false;
    const std::string_view text = line.substr(0, comma);
    const bool fine = column == 0   ? take(text, row.step)
                      : column == 1 ? take(text, row.tokens)
                                    : text.empty() || take(text, *numbers[column - 2]);
    if (!fine) return false;
    line.remove_prefix(comma == std::string_view::npos ? line.size() : comma + 1);
  }
  return true;
}

// Calls f(row, its line with the newline) for each whole row; f returns false to stop.
template <typename F>
Status each_row(std::string_view text, const std::string& path, F&& f) {
  if (!text.starts_with(kHeading)) return make_error("{}: not a loss.csv: another heading is expected", path);
  text.remove_prefix(kHeading.size());
  for (int64_t number = 2; !text.empty(); ++number) {
    const size_t newline = text.find('\n');
    if (newline == std::string_view::npos) return {};  // cut short
    LossRow row;
    if (!parse_line(text.substr(0, newline), row)) {
      return make_error("{}: line {}: expected a step and six numbers, got \"{}\"", path, number,
                        in_quotes(text.substr(0, newline)));
    }
    if (!f(row, text.substr(0, newline + 1))) return {};
    text.remove_prefix(newline + 1);
  }
  return {};
}

}  // namespace

Result<LossLog> LossLog::open_for_append(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) return make_error("{}: cannot open it: {}", path, std::strerror(errno));
  return LossLog(path, fd);
}

Result<LossLog> LossLog::create(const std::string& path) {
  TRY(write_text_file(path, kHeading));
  return open_for_append(path);
}

Result<LossLog> LossLog::resume(const std::string& path, int64_t step) {
  if (step == 0) return create(path);
  TRY_ASSIGN(const std::string text, read_text_file(path));
  std::string kept(kHeading);
  int64_t last = 0;
  TRY(each_row(text, path, [&](const LossRow& row, std::string_view line) {
    if (row.step > step) return false;
    last = row.step;
    kept += line;
    return row.step < step;  // what follows may be anything: a power cut can leave garbage behind what was synced
  }));
  if (last != step) {
    return make_error("{}: the run is to go on after step {}, but this file ends at step {}", path, step, last);
  }
  if (kept != text) TRY(write_text_file(path, kept));
  return open_for_append(path);
}

LossLog::LossLog(LossLog&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

LossLog::~LossLog() {
  if (fd_ >= 0) ::close(fd_);
}

Status LossLog::append(const LossRow& row) {
  const std::string line = line_of(row);
  ssize_t done;
  do {
    done = ::write(fd_, line.data(), line.size());
  } while (done < 0 && errno == EINTR);
  if (done == static_cast<ssize_t>(line.size())) return {};
  if (done < 0) return make_error("{}: cannot write a line: {}", path_, std::strerror(errno));
  const off_t end = ::lseek(fd_, 0, SEEK_END);  // what was taken of the line goes again
  if (end < done || ::ftruncate(fd_, end - done) != 0) {
    return make_error("{}: it holds part of a line, and cannot be cut: {}", path_, std::strerror(errno));
  }
  return make_error("{}: cannot write a line: the disk is full", path_);
}

Status LossLog::sync() {
  if (::fsync(fd_) == 0) return {};
  return make_error("{}: cannot sync it to disk: {}", path_, std::strerror(errno));
}

Result<std::vector<LossRow>> read_loss_csv(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_text_file(path));
  std::vector<LossRow> rows;
  TRY(each_row(text, path, [&](const LossRow& row, std::string_view) {
    rows.push_back(row);
    return true;
  }));
  return rows;
}

}  // namespace andiron
