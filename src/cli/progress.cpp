#include "cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/strings.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

constexpr double kFirstSeconds = 0.5;  // shorter work needs no line
constexpr double kLiveSeconds = 0.1;
constexpr double kPlainSeconds = 5;

std::string amount(Progress::Unit unit, double value) {
  switch (unit) {
    case Progress::Unit::kBytes: return human_bytes(static_cast<uint64_t>(value));
    case Progress::Unit::kTokens: return human_count(static_cast<int64_t>(value)) + " tokens";
    case Progress::Unit::kTensors: return human_count(static_cast<int64_t>(value)) + " tensors";
    case Progress::Unit::kRows:
      return value < 10 && value != std::floor(value) ? format("{:.1f} rows", value)
                                                      : human_count(static_cast<int64_t>(value)) + " rows";
    case Progress::Unit::kSteps: return human_count(static_cast<int64_t>(value));
  }
  return {};
}

}  // namespace

Progress::Progress(std::string label, Unit unit, bool quiet)
    : label_(std::move(label)), unit_(unit), quiet_(quiet), live_(is_terminal(stderr)), begin_(Clock::now()) {
  last_ = begin_;
}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (live_ && shown_) std::fputs("\r\x1b[K", stderr);  // "erase to the end of the line"; not a colour
  shown_ = false;
}

std::string Progress::line(uint64_t done, uint64_t total, std::string_view detail, double seconds) const {
  const double rate = seconds > 0 ? static_cast<double>(done - std::min(done, done_before_)) / seconds : 0;
  std::string text = format("{}: {} of {}", label_, amount(unit_, static_cast<double>(done)),
                            amount(unit_, static_cast<double>(total)));
  if (rate > 0 && unit_ == Unit::kSteps) {
    text += format(", {} left", human_seconds(static_cast<double>(total - done) / rate));
  } else if (rate > 0) {
    text += format(", {}/s, {} left", amount(unit_, rate), human_seconds(static_cast<double>(total - done) / rate));
  }
  if (!detail.empty()) text += format("  {}", in_quotes(detail));
  return text;
}

void Progress::update(uint64_t done, uint64_t total, std::string_view detail) {
  if (quiet_) return;
  done = std::min(done, total);
  const auto now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (elapsed < kFirstSeconds || since < (live_ ? kLiveSeconds : kPlainSeconds)) return;
  last_ = now;
  std::string text = line(done, total, detail, elapsed);
  if (live_) {
    const auto columns = static_cast<size_t>(terminal_columns(stderr));
    if (text.size() >= columns) text.resize(columns - 1);
    std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
    shown_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

}  // namespace andiron
