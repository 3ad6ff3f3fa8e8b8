// How much the server takes from whoever talks to it: one table, which tests walk row by row.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace andiron {

enum class Limit : uint8_t {
  kHeadBytes,
  kHeadFields,
  kTargetBytes,
  kTextBodyBytes,
  kImageBodyBytes,
  kBodiesBytes,
  kChunkLineBytes,
  kJsonDepth,
  kJsonValues,
  kFormParts,
  kFormHeadBytes,
  kHeadMs,
  kIdleMs,
  kBodyGraceMs,
  kTransferBytesPerS,
  kStallMs,
  kPendingBytes,
  kSendBufferBytes,
  kAnswersBytes,
  kRequests,
  kConnections,
  kTurnedAway,
  kYieldMs,
  kLingerMs,
  kLingerBytes,
  kDrainMs,
};

struct LimitRow {
  Limit limit;
  std::string_view name, unit;
  int64_t value;
  int status;  // of the answer to what goes beyond; 0: the connection is closed without one
  std::string_view reason;
};

std::span<const LimitRow> limit_table();
inline const LimitRow& limit_row(Limit limit) { return limit_table()[static_cast<size_t>(limit)]; }

// The values in force: those of the table, but for what a test lowers.
class Limits {
 public:
  Limits();
  int64_t operator[](Limit limit) const { return values_[static_cast<size_t>(limit)]; }
  uint64_t bytes(Limit limit) const { return static_cast<uint64_t>((*this)[limit]); }
  void set(Limit limit, int64_t value) { values_[static_cast<size_t>(limit)] = value; }

 private:
  std::array<int64_t, 26> values_;
};

}  // namespace andiron
