#include "adapter/fold.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace andiron {

namespace {

// s B A of one row, as double.
void delta_row(const Adapter& adapter, const AdapterMatrix& m, int64_t row, std::span<double> out) {
  std::fill(out.begin(), out.end(), 0.0);
  const double scale = adapter.scaling(m);
  for (int64_t j = 0; j < m.r; ++j) {
    const double factor = scale * m.b[row * m.r + j];
    if (factor == 0) continue;
    const float* a = &m.a[j * m.k];
    for (int64_t i = 0; i < m.k; ++i) out[i] += factor * a[i];
  }
}

// Adds to `sum` what one adapter makes of the row `w`.
void add_change(const WornAdapter& worn, const AdapterMatrix& m, int64_t row, std::span<const float> w,
                std::span<double> delta, std::span<double> sum) {
  delta_row(*worn.adapter, m, row, delta);
  double gain = 1;
  if (!m.magnitude.empty()) {
    double square = 0;
    for (size_t i = 0; i < w.size(); ++i) square += (w[i] + delta[i]) * (w[i] + delta[i]);
    if (square > 0) gain = m.magnitude[row] / std::sqrt(square);
  }
  for (size_t i = 0; i < w.size(); ++i) sum[i] += worn.strength * ((gain - 1) * w[i] + gain * delta[i]);
}

}  // namespace

bool changes_layer(std::span<const WornAdapter> worn, std::string_view layer) {
  return std::any_of(worn.begin(), worn.end(), [&](const WornAdapter& w) { return w.adapter->find(layer) != nullptr; });
}

void fold_rows(std::span<const WornAdapter> worn, std::string_view layer, int64_t first, int64_t count,
               std::span<float> rows) {
  std::vector<std::pair<const WornAdapter*, const AdapterMatrix*>> changes;
  for (const WornAdapter& w : worn) {
    const AdapterMatrix* matrix = w.adapter->find(layer);
    if (matrix != nullptr && w.strength != 0) changes.emplace_back(&w, matrix);
  }
  if (changes.empty() || count == 0) return;
  const int64_t k = changes.front().second->k;
  ANDIRON_CHECK(first >= 0 && count > 0 && static_cast<int64_t>(rows.size()) == count * k);
  std::vector<double> delta(k), sum(k);
  for (int64_t i = 0; i < count; ++i) {
    const std::span<float> row = rows.subspan(i * k, k);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (const auto& [w, matrix] : changes) {
      ANDIRON_CHECK(matrix->k == k && first + count <= matrix->n);
      add_change(*w, *matrix, first + i, row, delta, sum);
    }
    for (int64_t j = 0; j < k; ++j) row[j] = static_cast<float>(row[j] + sum[j]);
  }
}

}  // namespace andiron
