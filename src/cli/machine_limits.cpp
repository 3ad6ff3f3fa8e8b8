#include "cli/machine_limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>

#include "base/cpu_info.h"
#include "base/strings.h"

namespace andiron {

namespace {

using Clock = std::chrono::steady_clock;

// Four distant streams for each thread, as the kernels read weights: one alone does not keep enough requests in flight.
constexpr int64_t kStreams = 4;
// What no cache holds: four times the last-level cache, but no more than so much unless twice the cache is more.
constexpr uint64_t kMemoryBytes = uint64_t{256} << 20;
// One sample reads so much, so that it takes long enough to be measured.
constexpr int64_t kSampleBytes = int64_t{3} << 29;
// Where the slowest sample reaches less of the fastest one, they say more of other programs than of the memory.
constexpr double kQuietShare = 0.8;
// A model's weights rarely stream quite as fast as a plain read.
constexpr double kShareReached = 0.9;

// Reads `size` bytes (a multiple of 64 * kStreams) and returns something that depends on all of them.
uint64_t read_streams(const uint8_t* data, int64_t size) {
  typedef uint64_t Lane __attribute__((vector_size(16)));
  const int64_t stretch = size / kStreams;
  Lane sum[kStreams] = {};
  for (int64_t at = 0; at < stretch; at += 64) {
    for (int64_t stream = 0; stream < kStreams; ++stream) {
      const uint8_t* p = data + stream * stretch + at;
      __builtin_prefetch(p + 2048, 0, 3);
      const Lane* lanes = reinterpret_cast<const Lane*>(p);
      sum[stream] ^= lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
    }
  }
  const Lane all = sum[0] ^ sum[1] ^ sum[2] ^ sum[3];
  return all[0] ^ all[1];
}

}  // namespace

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

uint64_t last_level_cache_bytes() {
  uint64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file(format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index));
    uint64_t size = 0;
    char unit = 0;
    if (!(file >> size >> unit)) continue;
    largest = std::max(largest, size * (unit == 'M' ? uint64_t{1} << 20 : uint64_t{1} << 10));
  }
  return largest;
}

uint64_t uncached_bytes(uint64_t cache_bytes) {
  return cache_bytes == 0 ? kMemoryBytes : std::max(std::min(4 * cache_bytes, kMemoryBytes), 2 * cache_bytes);
}

Result<LimitMeter> LimitMeter::create(const KernelTable& kernels, ThreadTeam& team, uint64_t read_bytes) {
  // Of a smaller one a pass takes no longer than threads need to meet.
  const uint64_t least = uint64_t{256} * 1024 * static_cast<uint64_t>(team.size());
  const uint64_t wanted = std::clamp(read_bytes, least, std::max(least, uncached_bytes(last_level_cache_bytes())));
  const uint64_t available = memory_available_bytes();
  if (available < wanted + wanted / 4) {
    return make_error("measuring the memory needs {} free, but only {} are", human_bytes(wanted + wanted / 4),
                      human_bytes(available));
  }
  Buffer<uint8_t> buffer(wanted);
  std::memset(buffer.data(), 1, buffer.size());  // so that every page is a page of its own
  return LimitMeter(kernels, team, std::move(buffer));
}

LimitMeter::LimitMeter(const KernelTable& kernels, ThreadTeam& team, Buffer<uint8_t> buffer)
    : kernels_(kernels),
      team_(team),
      buffer_(std::move(buffer)),
      scratch_(static_cast<size_t>(team.size()) * kMatmulScratchBytes) {}

void LimitMeter::sample_read() {
  const int64_t unit = 64 * kStreams;
  const int64_t each = static_cast<int64_t>(buffer_.size()) / team_.size() / unit * unit;
  const int64_t passes = std::max<int64_t>(1, kSampleBytes / (each * team_.size()));
  std::atomic<uint64_t> sink{0};
  const auto begin = Clock::now();
  for (int64_t pass = 0; pass < passes; ++pass) {
    team_.parallel_for(team_.size(), [&](int64_t part, int) {
      sink.fetch_xor(read_streams(buffer_.data() + part * each, each), std::memory_order_relaxed);
    });
  }
  read_.push_back(static_cast<double>(passes * each * team_.size()) / seconds_since(begin) * 1e-9);
}

double LimitMeter::sample_peak(PeakKind kind) {
  // As many rounds as take a tenth of a second or more: some processors need that long to reach the speed they keep.
  int64_t rounds = 1000;
  while (true) {
    std::atomic<int64_t> multiply_adds{0};
    const auto begin = Clock::now();
    team_.parallel_for(team_.size(), [&](int64_t, int worker) {
      void* scratch = scratch_.data() + static_cast<size_t>(worker) * kMatmulScratchBytes;
      multiply_adds.fetch_add(kernels_.peak(kind, rounds, scratch), std::memory_order_relaxed);
    });
    const double seconds = seconds_since(begin);
    if (seconds > 0.1) return 2e-9 * static_cast<double>(multiply_adds.load()) / seconds;
    rounds *= seconds > 0.05 ? 3 : 2;
  }
}

void LimitMeter::sample_peaks() {
  int8_.push_back(sample_peak(kPeakInt8));
  bf16_.push_back(sample_peak(kPeakBF16));
  f32_.push_back(sample_peak(kPeakF32));
}

double expected_tokens_per_s(const MachineLimits& limits, double bytes_per_token) {
  return kShareReached * limits.read_bytes * 1e9 / std::max(1.0, bytes_per_token);
}

Json limits_json(const MachineLimits& limits) {
  return Json(Json::Object{{"read_gb_per_s", Json(limits.read_bytes)},
                           {"int8_gop_per_s", Json(limits.int8_ops)},
                           {"bf16_gflop_per_s", Json(limits.bf16_ops)},
                           {"f32_gflop_per_s", Json(limits.f32_ops)}});
}

std::string busy_note(std::span<const double> gb_per_s) {
  if (gb_per_s.empty()) return "";
  const auto [least, most] = std::minmax_element(gb_per_s.begin(), gb_per_s.end());
  if (*least >= kQuietShare * *most) return "";
  return format("the machine seems busy: samples of its memory read at {:.1f} to {:.1f} GB/s", *least, *most);
}

MachineLimits LimitMeter::limits() const { return {median(read_), median(int8_), median(bf16_), median(f32_)}; }

}  // namespace andiron
