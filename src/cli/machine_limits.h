// What this machine allows: the two numbers that bound every model on it, measured, not looked up.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/json.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"

namespace andiron {

// Billions a second.
struct MachineLimits {
  double read_bytes = 0;  // streamed by all threads together, from a buffer as large as the meter was made for
  double int8_ops = 0;    // multiplications and additions of int8 in register tiles, operands in L1
  double bf16_ops = 0;    // the same for bf16 weights, with the instructions this tier multiplies them with
  double f32_ops = 0;
};

double median(std::vector<double> values);
// What samples that differ widely say of the machine, or "".
std::string busy_note(std::span<const double> gb_per_s);
// How much to read over and over so that a last-level cache of that size (0: unknown) holds little of it.
uint64_t uncached_bytes(uint64_t cache_bytes);
double seconds_since(std::chrono::steady_clock::time_point begin);

// Takes samples; what a program interleaves with its own measurements so that both see the same machine. One thread.
class LimitMeter {
 public:
  // `read_bytes`: how much is read over and over, such as a model's weights: what the caches hold streams faster. At
  // most what no cache can hold, which is also the default. Fails when there is no memory for it.
  static Result<LimitMeter> create(const KernelTable& kernels, ThreadTeam& team, uint64_t read_bytes = UINT64_MAX);

  uint64_t read_buffer_bytes() const { return buffer_.size(); }

  void sample_read();   // about 0.1 s
  void sample_peaks();  // about 0.1 s
  // Medians of the samples so far; 0 where there are none.
  MachineLimits limits() const;
  std::string note() const { return busy_note(read_); }

 private:
  LimitMeter(const KernelTable& kernels, ThreadTeam& team, Buffer<uint8_t> buffer);
  double sample_peak(PeakKind kind);

  const KernelTable& kernels_;
  ThreadTeam& team_;
  Buffer<uint8_t> buffer_;
  Buffer<uint8_t> scratch_;
  std::vector<double> read_, int8_, bf16_, f32_;
};

// Tokens a second to expect of a model that reads `bytes_per_token` from memory.
double expected_tokens_per_s(const MachineLimits& limits, double bytes_per_token);

// {"read_gb_per_s", "int8_gop_per_s", ...}
Json limits_json(const MachineLimits& limits);

// Bytes of the last-level cache, or 0 when the system does not say.
uint64_t last_level_cache_bytes();

}  // namespace andiron
