#include "adapter/adapter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/strings.h"
#include "tensor/quantize.h"

namespace andiron {

namespace {
constexpr std::array<std::string_view, 8> kSlots = {"attn_q",      "attn_k",   "attn_v", "attn_qkv",
                                                    "attn_output", "ffn_gate", "ffn_up", "ffn_down"};
constexpr int64_t kBlocksMax = 1 << 16;

Status check_matrix(const Adapter& adapter, const AdapterMatrix& m, std::string_view what) {
  if (layer_order(m.layer) < 0) return make_error("{}: no adapter can change it", what);
  if (m.r < 1 || m.r > kAdapterRankMax) {
    return make_error("{}: its rank is {}; 1 to {} are allowed", what, m.r, kAdapterRankMax);
  }
  if (m.n < 1 || m.n > kAdapterSideMax || m.k < 1 || m.k > kAdapterSideMax) {
    return make_error("{}: a matrix of {} x {} cannot be", what, m.n, m.k);
  }
  const auto size_of = [](const std::vector<float>& values) { return static_cast<int64_t>(values.size()); };
  if (size_of(m.a) != m.r * m.k || size_of(m.b) != m.n * m.r || size_of(m.magnitude) != (adapter.dora ? m.n : 0)) {
    return make_error("{}: its parts have {}, {} and {} numbers, which is not what {} x {} of rank {} needs", what,
                      m.a.size(), m.b.size(), m.magnitude.size(), m.n, m.k, m.r);
  }
  TRY(check_finite(m.a.data(), m.a.size(), format("{}: A", what)));
  TRY(check_finite(m.b.data(), m.b.size(), format("{}: B", what)));
  TRY(check_finite(m.magnitude.data(), m.magnitude.size(), format("{}: the magnitude", what)));
  if (!std::isfinite(m.alpha) || !std::isfinite(adapter.scaling(m))) {
    return make_error("{}: its alpha is not a finite number", what);
  }
  return {};
}
}  // namespace

float Adapter::scaling(const AdapterMatrix& matrix) const {
  const auto r = static_cast<double>(matrix.r);
  return static_cast<float>(matrix.alpha / (rslora ? std::sqrt(r) : r));
}

const AdapterMatrix* Adapter::find(std::string_view layer) const {
  const auto found = std::find_if(matrices.begin(), matrices.end(), [&](const auto& m) { return m.layer == layer; });
  return found == matrices.end() ? nullptr : &*found;
}

int64_t Adapter::parameters() const {
  int64_t sum = 0;
  for (const AdapterMatrix& m : matrices) sum += static_cast<int64_t>(m.a.size() + m.b.size() + m.magnitude.size());
  return sum;
}

int64_t layer_order(std::string_view layer) {
  constexpr auto kSlotsCount = static_cast<int64_t>(kSlots.size());
  if (layer == "output") return kBlocksMax * kSlotsCount;
  constexpr std::string_view kBlock = "blk.";
  if (!layer.starts_with(kBlock)) return -1;
  layer.remove_prefix(kBlock.size());
  int64_t block = 0;
  const auto [stop, code] = std::from_chars(layer.data(), layer.data() + layer.size(), block);
  const auto digits = static_cast<size_t>(stop - layer.data());
  const bool is_usual = digits == 1 || (digits > 1 && layer.front() != '0' && layer.front() != '-');
  if (code != std::errc() || !is_usual || block >= kBlocksMax || digits == layer.size() || *stop != '.') return -1;
  const auto slot = std::find(kSlots.begin(), kSlots.end(), layer.substr(digits + 1));
  return slot == kSlots.end() ? -1 : block * kSlotsCount + (slot - kSlots.begin());
}

Status check_adapter(const Adapter& adapter, std::string_view source) {
  if (adapter.rank < 1 || adapter.rank > kAdapterRankMax || !std::isfinite(adapter.alpha)) {
    return make_error("{}: a rank of {} with an alpha of {} cannot be", source, adapter.rank, adapter.alpha);
  }
  if (adapter.matrices.empty()) return make_error("{}: changes no layer", source);
  int64_t last = -1;
  for (const AdapterMatrix& matrix : adapter.matrices) {
    const std::string what = format("{}: layer \"{}\"", source, in_quotes(matrix.layer));
    TRY(check_matrix(adapter, matrix, what));
    const int64_t order = layer_order(matrix.layer);
    if (order <= last) return make_error("{}: it is out of order, or there twice", what);
    last = order;
  }
  return {};
}

}  // namespace andiron
