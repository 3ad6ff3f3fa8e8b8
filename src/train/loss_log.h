// loss.csv: the course of a run, a line a step, written so that a crash leaves whole lines.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.h"

namespace andiron {

inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// A line of loss.csv.
struct LossRow {
  int64_t step = 0;
  int64_t tokens = 0;  // trained on so far
  double loss = kNotMeasured;
  double held_out_loss = kNotMeasured;  // an empty cell where not measured at this step
  double learning_rate = kNotMeasured;
  double gradient_norm = kNotMeasured;  // before clipping
  double tokens_per_s = kNotMeasured;
};

// loss.csv, written a line at a time. Numbers are written so that they read back as the same bits. One owner.
class LossLog {
 public:
  // A new file with its heading; one that is there is replaced.
  static Result<LossLog> create(const std::string& path);
  // Goes on after `step`: what was written for later steps, and a line cut short, is removed (in one stroke: a second
  // interruption leaves the old file or the new). Fails when the rows up to `step` are not all there.
  static Result<LossLog> resume(const std::string& path, int64_t step);
  LossLog(LossLog&& other) noexcept;
  LossLog& operator=(LossLog&&) = delete;
  ~LossLog();

  // One line in one write: a process that dies leaves whole lines.
  Status append(const LossRow& row);
  // On disk for good. Called before a checkpoint is saved, so that rows up to its step are always there.
  Status sync();

 private:
  LossLog(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  static Result<LossLog> open_for_append(const std::string& path);
  std::string path_;
  int fd_ = -1;
};

// All whole rows; a last line without its newline is left out. A malformed line is an Error that names it.
Result<std::vector<LossRow>> read_loss_csv(const std::string& path);

}  // namespace andiron
