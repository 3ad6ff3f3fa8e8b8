// Searches over super-blocks: 256 numbers in groups, each group with a small whole scale (and minimum) that a
// binary16 for the whole super-block multiplies. Internal to tensor/; see quant_search.h for trials.
//
// Both searches go the same way: fit every group with real numbers; derive the binary16 from the largest; then in turn
// choose the whole numbers for the binary16, by trial of the few nearest to the fit, and the binary16 for the codes
// that result, by least squares.
#pragma once

#include "tensor/quant_search.h"

namespace andiron::quant_search {

// The first binary16 to try above the real values of all groups: the one whose whole multiples come nearest to
// them, each missed at the price of its curvature. Not 0 unless every value is: the smallest binary16 may still help.
template <typename Wholes, int kGroups>
uint16_t find_start(const std::array<float, kGroups>& values, const std::array<float, kGroups>& curvatures) {
  const float peak = signed_peak<kGroups>(values.data());
  if (peak == 0.0f) return 0;
  const uint16_t found = find_f16_scale<Wholes, kGroups>(values.data(), curvatures.data(), {1.05f, 0.3f, 48});
  return found != 0 ? found : f16_step(f16_scale(peak / Wholes::kHigh), 1);
}

inline bool all_equal(const float* x) {
  return std::all_of(x, x + kSuperBlockElements, [x](float other) { return other == x[0]; });
}

// For a super-block of equal numbers any level will do, and what is left is the rounding of d: the d and the whole s >
// 0 for which some level gives the least error.
struct Product {
  uint16_t d = 0;
  int s = 0;
};
template <typename Levels, typename Wholes>
Product find_product(float value) {
  Product best;
  if (std::fabs(value) <= kAllZero) return best;
  float best_error = std::fabs(value);
  for (int s = 1; s <= static_cast<int>(Wholes::kHigh); ++s) {
    for (float v = Levels::kLow; v <= Levels::kHigh; v += 1.0f) {
      const float level = Levels::nearest(all(v))[0];
      if (level == 0.0f || level != v) continue;
      const uint16_t d = f16_scale(value / (static_cast<float>(s) * level));
      const float error = std::fabs(value - f16_to_f32(d) * static_cast<float>(s) * level);
      if (error < best_error) {
        best_error = error;
        best = {d, s};
      }
    }
  }
  return best;
}

// ---- x[i] = (d * s[g]) * level, s of Wholes ----

template <int kGroups>
struct GroupScales {
  float error = 0.0f;
  uint16_t d = 0;
  std::array<int, kGroups> scales{};
};

template <typename Levels, int kGroups, typename Wholes>
class ScaledGroups {
 public:
  static constexpr int kCount = kSuperBlockElements / kGroups;

  // `radius` is how far from the whole scale nearest to the fit to look for a better one.
  ScaledGroups(const float* x, const float* w, int radius) : x_(x), w_(w), radius_(radius) {}

  GroupScales<kGroups> search(const Sweep& sweep) {
    GroupScales<kGroups> best;  // all zeros
    if (all_equal(x_)) {
      const Product product = find_product<Levels, Wholes>(x_[0]);
      best.d = product.d;
      best.scales.fill(product.s);
      return best;
    }
    for (int g = 0; g < kGroups; ++g) best.error += fit_group(g, sweep);
    float d = f16_to_f32(find_start<Wholes, kGroups>(fitted_, curvatures_));
    for (int round = 0; round < kRounds && d != 0.0f; ++round) {
      const float tried = d;
      const GroupScales<kGroups> found = choose_scales(f16_scale(tried), &d);
      if (found.error < best.error) best = found;
      if (f16_scale(d) == f16_scale(tried)) break;
    }
    return best;
  }

 private:
  static constexpr int kRounds = 3;

  const float* x(int g) const { return x_ + g * kCount; }
  const float* w(int g) const { return w_ + g * kCount; }

  // Finds the real scale with the least error; returns the error of all zeros.
  float fit_group(int g, const Sweep& sweep) {
    const float zero_error = try_scale<Levels, kCount>(x(g), w(g), 0.0f).error;
    const float peak = signed_peak<kCount>(x(g));
    if (std::fabs(peak) <= kAllZero) return zero_error;
    float best = zero_error;
    sweep_scales<Levels>(peak, sweep, [&](float scale) {
      const ScaleTrial trial = try_scale<Levels, kCount>(x(g), w(g), scale);
      if (trial.fitted_error < best) {
        best = trial.fitted_error;
        fitted_[static_cast<size_t>(g)] = trial.fitted_scale;
        curvatures_[static_cast<size_t>(g)] = trial.level_square;
      }
    });
    return zero_error;
  }

  // The best whole scales for this d; *moved is then the best real d for their codes.
  GroupScales<kGroups> choose_scales(uint16_t half, float* moved) {
    GroupScales<kGroups> found;
    found.d = half;
    const float d = f16_to_f32(half);
    float numerator = 0.0f, denominator = 0.0f;
    for (int g = 0; g < kGroups; ++g) {
      const int centre = Wholes::whole(fitted_[static_cast<size_t>(g)] * reciprocal(d));
      ScaleTrial best_trial{};
      int best = centre - radius_ - 1;
      for (int s = Wholes::clamp(centre - radius_); s <= Wholes::clamp(centre + radius_); ++s) {
        const ScaleTrial trial = try_scale<Levels, kCount>(x(g), w(g), d * static_cast<float>(s));
        if (best < centre - radius_ || trial.error < best_trial.error) {
          best_trial = trial;
          best = s;
        }
      }
      const float s = static_cast<float>(best);
      found.scales[static_cast<size_t>(g)] = best;
      found.error += best_trial.error;
      fitted_[static_cast<size_t>(g)] = best_trial.fitted_scale;
      // Sums of w x (s level) and w (s level)^2.
      numerator += s * best_trial.fitted_scale * best_trial.level_square;
      denominator += s * s * best_trial.level_square;
    }
    *moved = denominator > 0.0f ? numerator / denominator : d;
    return found;
  }

  const float* x_;
  const float* w_;
  int radius_;
  std::array<float, kGroups> fitted_{};      // the best real scale of each group
  std::array<float, kGroups> curvatures_{};  // the sum of w level^2 that goes with it
};

// ---- x[i] = (d * s[g]) * level - dmin * m[g], s and m of Wholes ----

template <int kGroups>
struct GroupPairs {
  float error = 0.0f;
  uint16_t d = 0;
  uint16_t dmin = 0;
  std::array<uint8_t, kGroups> scales{};
  std::array<uint8_t, kGroups> mins{};
};

template <typename Levels, int kGroups, typename Wholes>
class AffineGroups {
 public:
  static constexpr int kCount = kSuperBlockElements / kGroups;

  // `radius` is how far from the whole scale nearest to the fit to look for a better one.
  AffineGroups(const float* x, const float* w, int radius) : x_(x), w_(w), radius_(radius) {}

  GroupPairs<kGroups> search(const Sweep& trims) {
    GroupPairs<kGroups> best;  // all zeros
    if (all_equal(x_)) {
      const bool positive = x_[0] > 0.0f;
      const Product product =
          positive ? find_product<Levels, Wholes>(x_[0]) : find_product<UniformLevels<-1, -1>, Wholes>(x_[0]);
      (positive ? best.d : best.dmin) = product.d;
      (positive ? best.scales : best.mins).fill(static_cast<uint8_t>(product.s));
      return best;
    }
    std::array<float, kGroups> scales{}, mins{}, scale_curvatures{}, min_curvatures{};
    for (size_t g = 0; g < kGroups; ++g) {
      best.error += fit_group(static_cast<int>(g), trims);
      const AffineTrial& fit = fits_[g];
      scales[g] = fit.fitted_scale;
      mins[g] = -fit.fitted_offset;
      scale_curvatures[g] = fit.ll - fit.l * fit.l / fit.w;  // the offset moves along
      min_curvatures[g] = fit.w;
    }
    float d = f16_to_f32(find_start<Wholes, kGroups>(scales, scale_curvatures));
    float dmin = f16_to_f32(find_start<Wholes, kGroups>(mins, min_curvatures));
    for (int round = 0; round < kRounds && (d != 0.0f || dmin != 0.0f); ++round) {
      const uint16_t d_half = f16_scale(d), dmin_half = f16_scale(dmin);
      Normal normal;
      const GroupPairs<kGroups> found = choose_pairs(d_half, dmin_half, &normal);
      if (found.error < best.error) best = found;
      normal.solve(&d, &dmin);
      if (f16_scale(d) == d_half && f16_scale(dmin) == dmin_half) break;
    }
    return best;
  }

 private:
  static constexpr int kRounds = 3;

  const float* x(int g) const { return x_ + g * kCount; }
  const float* w(int g) const { return w_ + g * kCount; }

  // Sets fits_[g] to the trial with the least fitted error; returns the error of all zeros.
  float fit_group(int g, const Sweep& trims) {
    AffineTrial& best = fits_[static_cast<size_t>(g)];
    best = try_affine<Levels, kCount, true>(x(g), w(g), 0.0f, 0.0f);
    const float zero_error = best.error;
    const auto [low, high] = std::minmax_element(x(g), x(g) + kCount);
    if (std::max(std::fabs(*low), std::fabs(*high)) <= kAllZero) {
      best.fitted_scale = best.fitted_offset = 0.0f;
      return zero_error;
    }
    sweep_ranges<Levels>(std::min(*low, 0.0f), *high, trims, [&](float scale, float offset) {
      const AffineTrial trial = try_affine<Levels, kCount, true>(x(g), w(g), scale, std::min(offset, 0.0f));
      if (trial.fitted_error < best.fitted_error && trial.fitted_scale >= 0.0f) best = trial;
    });
    return zero_error;
  }

  // Normal equations of x = d * (s level) - dmin * m over all groups.
  struct Normal {
    float ss = 0.0f, sm = 0.0f, mm = 0.0f, xs = 0.0f, xm = 0.0f;

    void add(const AffineTrial& t, float s, float m) {
      ss += s * s * t.ll;
      sm += s * m * t.l;
      mm += m * m * t.w;
      xs += s * t.xl;
      xm += m * t.x1;
    }
    void solve(float* d, float* dmin) const {
      const float determinant = ss * mm - sm * sm;
      if (determinant > 1e-6f * ss * mm) {
        *d = std::max(0.0f, (xs * mm - xm * sm) / determinant);
        *dmin = std::max(0.0f, (xs * sm - xm * ss) / determinant);
      } else if (ss > 0.0f) {
        *d = std::max(0.0f, (xs + *dmin * sm) / ss);
      }
    }
  };

  GroupPairs<kGroups> choose_pairs(uint16_t d_half, uint16_t dmin_half, Normal* normal) {
    GroupPairs<kGroups> found;
    found.d = d_half;
    found.dmin = dmin_half;
    const float d = f16_to_f32(d_half);
    const float dmin = f16_to_f32(dmin_half);
    for (int g = 0; g < kGroups; ++g) {
      const AffineTrial& fit = fits_[static_cast<size_t>(g)];
      AffineTrial best{};
      int best_s = -1, best_m = 0;
      const int s_centre = Wholes::whole(fit.fitted_scale * reciprocal(d));
      for (int s = Wholes::clamp(s_centre - radius_); s <= Wholes::clamp(s_centre + radius_); ++s) {
        const float scale = d * static_cast<float>(s);
        const int m_centre = Wholes::whole(-offset_at_scale(fit, scale) * reciprocal(dmin));
        for (int m = Wholes::clamp(m_centre - 1); m <= Wholes::clamp(m_centre + 1); ++m) {
          const AffineTrial trial =
              try_affine<Levels, kCount, true>(x(g), w(g), scale, -(dmin * static_cast<float>(m)));
          if (best_s < 0 || trial.error < best.error) {
            best = trial;
            best_s = s;
            best_m = m;
          }
        }
      }
      found.scales[static_cast<size_t>(g)] = static_cast<uint8_t>(best_s);
      found.mins[static_cast<size_t>(g)] = static_cast<uint8_t>(best_m);
      found.error += best.error;
      fits_[static_cast<size_t>(g)] = best;
      normal->add(best, static_cast<float>(best_s), static_cast<float>(best_m));
    }
    return found;
  }

  const float* x_;
  const float* w_;
  int radius_;
  std::array<AffineTrial, kGroups> fits_{};  // of each group: its codes' sums and best real scale and offset
};

}  // namespace andiron::quant_search
