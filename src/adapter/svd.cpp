#include "adapter/svd.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "base/check.h"

namespace andiron {

namespace {

double dot(const double* x, const double* y, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

// A = Q R of c columns of length m; R is p x c with p = min(m, c).
class Householder {
 public:
  // `columns` [c, m].
  Householder(std::vector<double> columns, int64_t m, int64_t c)
      : m_(m), c_(c), p_(std::min(m, c)), columns_(std::move(columns)), tau_(p_), diagonal_(p_) {
    for (int64_t i = 0; i < p_; ++i) reflect(i);
  }

  int64_t p() const { return p_; }
  double r(int64_t row, int64_t column) const {
    if (row > column) return 0;
    return row == column ? diagonal_[row] : column_at(column)[row];
  }

  // Q times a vector of p numbers, into m numbers.
  std::vector<double> apply_q(std::span<const double> x) const {
    std::vector<double> out(m_, 0.0);
    std::copy(x.begin(), x.end(), out.begin());
    for (int64_t i = p_ - 1; i >= 0; --i) apply_reflection(i, out.data());
    return out;
  }

 private:
  double* column_at(int64_t i) { return columns_.data() + i * m_; }
  const double* column_at(int64_t i) const { return columns_.data() + i * m_; }

  // I - tau v v', where v is column i from row i on.
  void apply_reflection(int64_t i, double* x) const {
    if (tau_[i] == 0) return;
    const double* v = column_at(i);
    const double factor = tau_[i] * dot(v + i, x + i, m_ - i);
    for (int64_t row = i; row < m_; ++row) x[row] -= factor * v[row];
  }

  // Makes column i zero below row i, there keeping v.
  void reflect(int64_t i) {
    double* v = column_at(i);
    const double length = std::sqrt(dot(v + i, v + i, m_ - i));
    diagonal_[i] = v[i];
    if (length == 0) return;
    diagonal_[i] = v[i] > 0 ? -length : length;
    v[i] -= diagonal_[i];
    tau_[i] = 2 / dot(v + i, v + i, m_ - i);
    for (int64_t column = i + 1; column < c_; ++column) apply_reflection(i, column_at(column));
  }

  int64_t m_, c_, p_;
  std::vector<double> columns_;   // above the diagonal R, from it on the reflections
  std::vector<double> tau_;       // 0: no reflection
  std::vector<double> diagonal_;  // of R
};

// Turns the columns of X [columns, rows] by rotations Z until they are at right angles: X Z has the singular values of
// X as lengths. Z [columns, columns], column by column too.
void rotate_columns(std::vector<double>& x, std::vector<double>& z, int64_t rows, int64_t columns) {
  constexpr int kSweepsMax = 60;  // some ten are needed; convergence is quadratic at the end
  constexpr double kRightAngle = 1e-14;
  constexpr double kNothing = 1e-15;  // of the whole: a column this short is rounding, and would turn for ever
  const auto rotate = [](double* p, double* q, int64_t count, double cosine, double sine) {
    for (int64_t i = 0; i < count; ++i) {
      const double old = p[i];
      p[i] = cosine * old - sine * q[i];
      q[i] = sine * old + cosine * q[i];
    }
  };
  const double shortest = kNothing * kNothing * dot(x.data(), x.data(), rows * columns);
  bool is_turning = true;
  for (int sweep = 0; sweep < kSweepsMax && is_turning; ++sweep) {
    is_turning = false;
    for (int64_t i = 0; i + 1 < columns; ++i) {
      for (int64_t j = i + 1; j < columns; ++j) {
        double *p = &x[i * rows], *q = &x[j * rows];
        const double pp = dot(p, p, rows), qq = dot(q, q, rows), pq = dot(p, q, rows);
        if (pp <= shortest || qq <= shortest) continue;
        if (std::abs(pq) <= kRightAngle * std::sqrt(pp) * std::sqrt(qq)) continue;
        is_turning = true;
        const double zeta = (qq - pp) / (2 * pq);
        const double tangent = (zeta >= 0 ? 1 : -1) / (std::abs(zeta) + std::hypot(1.0, zeta));
        const double cosine = 1 / std::hypot(1.0, tangent);
        rotate(p, q, rows, cosine, cosine * tangent);
        rotate(&z[i * columns], &z[j * columns], columns, cosine, cosine * tangent);
      }
    }
  }
}

// R of the one times R of the other transposed, [q, p]: column by column.
std::vector<double> core_of(const Householder& left, const Householder& right, int64_t c) {
  std::vector<double> core(left.p() * right.p());
  for (int64_t j = 0; j < right.p(); ++j) {
    for (int64_t i = 0; i < left.p(); ++i) {
      double sum = 0;
      for (int64_t t = std::max(i, j); t < c; ++t) sum += left.r(i, t) * right.r(j, t);
      core[j * left.p() + i] = sum;
    }
  }
  return core;
}

}  // namespace

TruncatedProduct truncate_product(ThinProduct product, int64_t rank) {
  const auto [n, k, c] = std::array{product.n, product.k, product.c};
  ANDIRON_CHECK(rank >= 1 && n >= 1 && k >= 1 && c >= 1);
  // The rotated side must be the one with as many or more rows, so that all singular values are among its lengths.
  const bool is_swapped = std::min(n, c) < std::min(k, c);
  if (is_swapped) {
    std::swap(product.n, product.k);
    std::swap(product.left, product.right);
  }
  const Householder left(std::move(product.left), product.n, c);
  const Householder right(std::move(product.right), product.k, c);
  std::vector<double> core = core_of(left, right, c);
  const int64_t p = left.p(), q = right.p();
  std::vector<double> turned(q * q, 0.0);
  for (int64_t i = 0; i < q; ++i) turned[i * q + i] = 1;
  rotate_columns(core, turned, p, q);

  std::vector<double> lengths(q);
  for (int64_t i = 0; i < q; ++i) lengths[i] = std::sqrt(dot(&core[i * p], &core[i * p], p));
  std::vector<int64_t> order(q);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t x, int64_t y) { return lengths[x] > lengths[y]; });

  TruncatedProduct out;
  out.rank = std::min(rank, q);
  for (const int64_t i : order) out.values.push_back(lengths[i]);
  out.b.resize(n * out.rank);
  out.a.resize(out.rank * k);
  for (int64_t s = 0; s < out.rank; ++s) {
    const int64_t column = order[s];
    const double value = lengths[column];
    // Of length `value` on the rotated side and 1 on the other; b is to have the value.
    const auto rotated = left.apply_q(std::span(core).subspan(column * p, p));
    const auto other = right.apply_q(std::span(turned).subspan(column * q, q));
    const double inverse = value > 0 ? 1 / value : 0;
    for (int64_t i = 0; i < n; ++i) {
      out.b[i * out.rank + s] = static_cast<float>(is_swapped ? other[i] * value : rotated[i]);
    }
    for (int64_t i = 0; i < k; ++i) {
      out.a[s * k + i] = static_cast<float>(is_swapped ? rotated[i] * inverse : value > 0 ? other[i] : 0);
    }
  }
  return out;
}

}  // namespace andiron
