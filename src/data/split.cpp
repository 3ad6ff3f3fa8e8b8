#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/keyed_hash.h"

namespace andiron {

namespace {

// A document, or a block of one: rows [first, first + count) of the rows sorted by document.
struct Unit {
  uint64_t order;
  size_t first;
  size_t count;
};

// Odd, from the digits of pi: fixed, since a split must be the same in every run.
constexpr uint64_t kFactor = 0xa4093822299f31d1;

std::vector<Unit> make_units(std::span<const uint64_t> orders, const std::vector<uint32_t>& rows, double part,
                             int64_t& documents) {
  std::vector<Unit> units;
  const double share = std::max(1.0, 2 * part * static_cast<double>(rows.size()));
  for (size_t first = 0; first < rows.size();) {
    size_t end = first;
    while (end < rows.size() && orders[rows[end]] == orders[rows[first]]) ++end;
    const size_t count = end - first;
    const uint64_t order = orders[rows[first]];
    ++documents;
    if (static_cast<double>(count) <= share) {
      units.push_back({order, first, count});
    } else {
      const auto block = std::max<size_t>(1, static_cast<size_t>(part / 2 * static_cast<double>(count)));
      for (size_t at = first; at < end; at += block) {
        units.push_back({held_out_order(order, (at - first) / block), at, std::min(block, end - at)});
      }
    }
    first = end;
  }
  return units;
}

}  // namespace

uint64_t held_out_order(std::string_view document, uint64_t seed) {
  return keyed_hash(document, {keyed_hash(seed, {kFactor, kFactor}), kFactor});
}

uint64_t held_out_order(uint64_t document, uint64_t block) { return keyed_hash(document + block, {document, kFactor}); }

HeldOut hold_out(std::span<const uint64_t> orders, const HeldOutOptions& options) {
  ANDIRON_CHECK(options.part >= 0 && options.part < 1);
  HeldOut out;
  out.rows.assign(orders.size(), 0);
  std::vector<uint32_t> rows(orders.size());
  std::iota(rows.begin(), rows.end(), 0U);
  std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) { return orders[a] < orders[b]; });
  std::vector<Unit> units = make_units(orders, rows, options.part, out.documents);
  if (options.part == 0 || options.rows_max <= 0 || units.size() < 2) return out;

  std::sort(units.begin(), units.end(),
            [](const Unit& a, const Unit& b) { return a.order != b.order ? a.order < b.order : a.first < b.first; });
  const double limit = options.part * 0x1p64;
  auto room = static_cast<size_t>(options.rows_max);
  for (size_t i = 0; i + 1 < units.size(); ++i) {  // the last is for training
    const Unit& unit = units[i];
    const bool chosen = static_cast<double>(unit.order) < limit;
    if (!chosen && out.held_out > 0) break;
    if (unit.count > room) continue;
    room -= unit.count;
    ++out.held_out;
    for (size_t row = unit.first; row < unit.first + unit.count; ++row) out.rows[rows[row]] = 1;
  }
  return out;
}

}  // namespace andiron
