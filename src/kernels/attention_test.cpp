// Attention over pages that lie anywhere: against double, and bit for bit wherever they lie.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels_fixture.h"
#include "tensor/half.h"

namespace andiron {
namespace {

constexpr double kUlp = 0x1p-24;  // half a unit in the last place, relative
constexpr int64_t kHeadDim = 32, kPositions = 150, kPagesCount = 3, kRows = 3;

// The memory of a cache of one head, in which `order` says where each page lies. There is something else before,
// between and behind the pieces of a page, which makes NaN of what reads it.
class ScatteredPages {
 public:
  ScatteredPages(KvFormat format, const std::vector<int64_t>& order)
      : order_(order),
        piece_(kAttentionTile * (format == kKvF16 ? 2 * kHeadDim : kHeadDim + kHeadDim / 16)),
        memory_(static_cast<size_t>(std::ssize(order) * page_bytes() + kGap), 0xff) {
    for (int64_t page = 0; page < std::ssize(order); ++page) {
      pages_.push_back(memory_.data() + order[static_cast<size_t>(page)] * page_bytes());
    }
  }

  int64_t keys() const { return kGap; }
  int64_t values() const { return 2 * kGap + piece_; }
  int64_t piece_bytes() const { return piece_; }
  uint8_t* key_piece(int64_t page) { return at(page) + keys(); }
  uint8_t* value_piece(int64_t page) { return at(page) + values(); }
  const std::vector<const uint8_t*>& pages() const { return pages_; }

 private:
  static constexpr int64_t kGap = 3 * 64;
  int64_t page_bytes() const { return 3 * kGap + 2 * piece_; }
  uint8_t* at(int64_t page) { return memory_.data() + order_[static_cast<size_t>(page)] * page_bytes(); }

  std::vector<int64_t> order_;
  int64_t piece_;
  std::vector<uint8_t> memory_;
  std::vector<const uint8_t*> pages_;
};

// Row 1 sees positions of the first page only, the others positions of all.
struct Attended {
  explicit Attended(int64_t begin = 0) {
    for (int r = 0; r < kRows; ++r) {
      args.q[r] = q.data() + r * kHeadDim;
      args.out[r] = out.data() + r * kHeadDim;
      args.begin[r] = begin + 5 * r;
      args.end[r] = r == 1 ? begin + 6 : kPositions - r;
    }
    args.head_dim = kHeadDim;
    args.rows = kRows;
    args.scale = 0.3F;
    args.scratch = scratch.data() + (64 - reinterpret_cast<uintptr_t>(scratch.data()) % 64) % 64 / 4;
    args.lse = lse;
  }
  void run(const KernelTable& table, KvFormat format, const ScatteredPages& memory,
           const std::vector<const uint8_t*>& pages) {
    args.format = format;
    args.pages = pages.data();
    args.keys = memory.keys();
    args.values = memory.values();
    table.attention(&args);
  }

  AttentionArgs args{};
  std::vector<float> q = normals(1, kRows*kHeadDim), out = std::vector<float>(kRows * kHeadDim);
  std::vector<float> scratch = std::vector<float>(kAttentionScratchFloats + 16);
  float lse[kRows] = {};
};

// lse and outputs against double over keys and values in f16. A score is rounded D times; the sum of exponentials, good
// to 1e-7 each, a few times per tile. An output is a mean of values, by weights as good as the scores they are made of.
TEST(Attention, FormulasInDouble) {
  const auto k = normals(2, kPositions * kHeadDim), v = normals(3, kPositions * kHeadDim);
  ScatteredPages pages(kKvF16, {2, 0, 1});
  for (int64_t page = 0; page < kPagesCount; ++page) {
    std::memset(pages.key_piece(page), 0, static_cast<size_t>(pages.piece_bytes()));
    std::memset(pages.value_piece(page), 0, static_cast<size_t>(pages.piece_bytes()));
  }
  const auto key = [&](int64_t p, int64_t i) -> uint16_t& {
    auto* piece = reinterpret_cast<uint16_t*>(pages.key_piece(p / kAttentionTile));
    return piece[(p % kAttentionTile / 16 * kHeadDim + i) * 16 + p % 16];
  };
  const auto value = [&](int64_t p, int64_t i) -> uint16_t& {
    auto* piece = reinterpret_cast<uint16_t*>(pages.value_piece(p / kAttentionTile));
    return piece[p % kAttentionTile * kHeadDim + i];
  };
  for (int64_t p = 0; p < kPositions; ++p) {
    for (int64_t i = 0; i < kHeadDim; ++i) {
      key(p, i) = f32_to_f16(k[static_cast<size_t>(p * kHeadDim + i)]);
      value(p, i) = f32_to_f16(v[static_cast<size_t>(p * kHeadDim + i)]);
    }
  }
  for (const KernelTable& table : all_tables()) {
    for (const float cap : {0.0F, 2.0F}) {
      Attended attended;
      attended.args.softcap = cap;
      attended.run(table, kKvF16, pages, pages.pages());
      for (int r = 0; r < kRows; ++r) {
        double total = 0, magnitude_max = 0, largest = 0;
        std::vector<double> out(kHeadDim);
        for (int64_t p = attended.args.begin[r]; p < attended.args.end[r]; ++p) {
          double s = 0, magnitude = 0;
          for (int64_t i = 0; i < kHeadDim; ++i) {
            const double term = double{attended.args.q[r][i]} * static_cast<double>(f16_to_f32(key(p, i)));
            s += term;
            magnitude += std::fabs(term);
          }
          s *= double{0.3F};
          const double weight = std::exp(cap > 0 ? cap * std::tanh(s / cap) : s);
          total += weight;
          magnitude_max = std::max(magnitude_max, 0.3 * magnitude);
          for (size_t i = 0; i < kHeadDim; ++i) {
            const double x = f16_to_f32(value(p, static_cast<int64_t>(i)));
            out[i] += weight * x;
            largest = std::max(largest, std::fabs(x));
          }
        }
        const double tolerance = magnitude_max * (kHeadDim + 4) * kUlp + 1e-6;
        EXPECT_NEAR(attended.lse[r], std::log(total), tolerance) << table.name << " row " << r;
        for (size_t i = 0; i < kHeadDim; ++i) {
          EXPECT_NEAR(attended.args.out[r][i], out[i] / total, 2 * largest * (tolerance + kPositions * kUlp))
              << table.name << " row " << r;
        }
      }
    }
  }
}

// The same bits wherever the pages lie and whatever lies between them. A page of which no row sees anything is not
// looked at.
TEST(Attention, PagesMayLieAnywhere) {
  for (const KvFormat format : {kKvF16, kKvQ8_0}) {
    ScatteredPages adjacent(format, {0, 1, 2}), scattered(format, {4, 0, 2, 1, 3});
    for (int64_t page = 0; page < kPagesCount; ++page) {
      const auto numbers = normals(10 + static_cast<uint64_t>(page), adjacent.piece_bytes());
      for (const bool is_key : {true, false}) {
        uint8_t* piece = is_key ? adjacent.key_piece(page) : adjacent.value_piece(page);
        // As f16 they are numbers around 1; as q8_0 they are scales of that size and any whole numbers.
        for (int64_t i = 0; i < adjacent.piece_bytes() / 2; ++i) {
          const uint16_t half = f32_to_f16(numbers[static_cast<size_t>(is_key ? i : adjacent.piece_bytes() - 1 - i)]);
          std::memcpy(piece + 2 * i, &half, 2);
        }
        std::memcpy(is_key ? scattered.key_piece(page) : scattered.value_piece(page), piece,
                    static_cast<size_t>(adjacent.piece_bytes()));
      }
    }
    for (const KernelTable& table : all_tables()) {
      for (const int64_t begin : {0, 70}) {
        Attended in_order(begin), anywhere(begin);
        std::vector<const uint8_t*> seen = scattered.pages();
        if (begin >= kAttentionTile) seen[0] = nullptr;
        in_order.run(table, format, adjacent, adjacent.pages());
        anywhere.run(table, format, scattered, seen);
        for (const float x : in_order.out) ASSERT_TRUE(std::isfinite(x)) << table.name;
        EXPECT_EQ(in_order.out, anywhere.out) << table.name << " from " << begin;
        EXPECT_EQ(0, std::memcmp(in_order.lse, anywhere.lse, sizeof in_order.lse)) << table.name;
      }
    }
  }
}

}  // namespace
}  // namespace andiron
