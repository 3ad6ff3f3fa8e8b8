// Searches over super-blocks: 256 numbers in groups, each group with a small whole scale (and minimum) that a
// binary16 for the whole super-block multiplies. Internal to tensor/; see quant_search.h for trials.
//
// Both searches go the same way: fit every group with real numbers; derive the binary16 from the largest; then in turn
// choose the whole numbers for the binary16, by trial of the few nearest to the fit, and the binary16 for the codes
// that result, by least squares.
#pragma once

#include "tensor/quant_search.h"

namespace andiron::quant_search {

// ---- Super-blocks: x[i] = (d * s[g]) * level, s whole numbers ----

template <int kGroups>
struct GroupScales {
  float error = 0.0f;
  uint16_t d = 0;
  std::array<int, kGroups> scales{};
};

struct ScaleRange {
  int low;
  int high;
  int radius;  // how far from the nearest whole number to look for a better one
};

template <typename Levels, int kGroups>
class ScaledGroups {
 public:
  static constexpr int kCount = kSuperBlockElements / kGroups;

  ScaledGroups(const float* x, const float* w, const ScaleRange& range) : x_(x), w_(w), range_(range) {}

  GroupScales<kGroups> search(const Sweep& sweep) {
    fit_groups(sweep);
    float peak = 0.0f;
    for (const Group& group : groups_) {
      if (std::fabs(group.scale) > std::fabs(peak)) peak = group.scale;
    }
    GroupScales<kGroups> best;
    for (const Group& group : groups_) best.error += group.zero_error;
    if (peak == 0.0f) return best;
    descend(peak / static_cast<float>(range_.low), &best);
    descend(peak / static_cast<float>(range_.high), &best);
    return best;
  }

 private:
  struct Group {
    float scale = 0.0f;       // the best real scale found
    float zero_error = 0.0f;  // the error of all zeros
  };

  const float* x(int g) const { return x_ + g * kCount; }
  const float* w(int g) const { return w_ + g * kCount; }

  void fit_groups(const Sweep& sweep) {
    for (int g = 0; g < kGroups; ++g) {
      Group& group = groups_[static_cast<size_t>(g)];
      group.zero_error = try_scale<Levels, kCount>(x(g), w(g), 0.0f).error;
      float best = group.zero_error;
      const float peak = signed_peak<kCount>(x(g));
      if (std::fabs(peak) <= kAllZero) continue;
      sweep_scales<Levels>(peak, sweep, [&](float scale) {
        const ScaleTrial trial = try_scale<Levels, kCount>(x(g), w(g), scale);
        if (trial.fitted_error < best) {
          best = trial.fitted_error;
          group.scale = trial.fitted_scale;
        }
      });
    }
  }

  // Alternates between the best whole scales for d and the best d for them, while that helps.
  void descend(float d, GroupScales<kGroups>* best) {
    constexpr int kRounds = 5;
    for (int round = 0; round < kRounds; ++round) {
      float moved = 0.0f;
      const GroupScales<kGroups> found = choose_scales(f16_scale(d), &moved);
      if (found.error < best->error) *best = found;
      if (moved == d) break;
      d = moved;
    }
  }

  // The best whole scales for this d; *moved is then the best real d for their codes.
  GroupScales<kGroups> choose_scales(uint16_t half, float* moved) const {
    GroupScales<kGroups> found;
    found.d = half;
    const float d = f16_to_f32(half);
    float numerator = 0.0f, denominator = 0.0f;
    for (int g = 0; g < kGroups; ++g) {
      const float ideal = std::clamp(groups_[static_cast<size_t>(g)].scale * reciprocal(d),
                                     static_cast<float>(range_.low), static_cast<float>(range_.high));
      const int centre = static_cast<int>(std::nearbyint(ideal));
      ScaleTrial best_trial{};
      int best = range_.high + 1;
      for (int s = std::max(centre - range_.radius, range_.low); s <= std::min(centre + range_.radius, range_.high);
           ++s) {
        const ScaleTrial trial = try_scale<Levels, kCount>(x(g), w(g), d * static_cast<float>(s));
        if (best > range_.high || trial.error < best_trial.error) {
          best_trial = trial;
          best = s;
        }
      }
      const float s = static_cast<float>(best);
      found.scales[static_cast<size_t>(g)] = best;
      found.error += best_trial.error;
      // Sums of w x (s level) and w (s level)^2.
      numerator += s * best_trial.fitted_scale * best_trial.level_square;
      denominator += s * s * best_trial.level_square;
    }
    *moved = denominator > 0.0f ? numerator / denominator : d;
    return found;
  }

  const float* x_;
  const float* w_;
  ScaleRange range_;
  std::array<Group, kGroups> groups_{};
};

// ---- x[i] = (d * s[g]) * level - dmin * m[g], s and m whole numbers 0 .. high ----

template <int kGroups>
struct GroupPairs {
  float error = 0.0f;
  uint16_t d = 0;
  uint16_t dmin = 0;
  std::array<uint8_t, kGroups> scales{};
  std::array<uint8_t, kGroups> mins{};
};

template <typename Levels, int kGroups>
class AffineGroups {
 public:
  static constexpr int kCount = kSuperBlockElements / kGroups;

  // Scales and minimums reach from 0 to `highest`; `radius` is how far from the nearest whole scale to look.
  AffineGroups(const float* x, const float* w, int highest, int radius)
      : x_(x), w_(w), highest_(highest), radius_(radius) {}

  GroupPairs<kGroups> search(const Sweep& trims) {
    GroupPairs<kGroups> best;
    for (int g = 0; g < kGroups; ++g) {
      best.error += fit_group(g, trims);
    }
    float scale = 0.0f, min = 0.0f;
    for (const AffineTrial& fit : fits_) {
      scale = std::max(scale, fit.fitted_scale);
      min = std::max(min, -fit.fitted_offset);
    }
    if (scale == 0.0f && min == 0.0f) return best;
    const float highest = static_cast<float>(highest_);
    descend(scale / highest, min / highest, &best);
    return best;
  }

 private:
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

  void descend(float d, float dmin, GroupPairs<kGroups>* best) {
    constexpr int kRounds = 5;
    for (int round = 0; round < kRounds; ++round) {
      Normal normal;
      const GroupPairs<kGroups> found = choose_pairs(f16_scale(d), f16_scale(dmin), &normal);
      if (found.error < best->error) *best = found;
      normal.solve(&d, &dmin);
    }
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

  GroupPairs<kGroups> choose_pairs(uint16_t d_half, uint16_t dmin_half, Normal* normal) const {
    GroupPairs<kGroups> found;
    found.d = d_half;
    found.dmin = dmin_half;
    const float d = f16_to_f32(d_half);
    const float dmin = f16_to_f32(dmin_half);
    for (int g = 0; g < kGroups; ++g) {
      const AffineTrial& fit = fits_[static_cast<size_t>(g)];
      AffineTrial best{};
      int best_s = -1, best_m = 0;
      const int s_centre = nearest_whole(fit.fitted_scale * reciprocal(d));
      for (int s = std::max(s_centre - radius_, 0); s <= std::min(s_centre + radius_, highest_); ++s) {
        const float scale = d * static_cast<float>(s);
        int m = nearest_whole(-offset_at_scale(fit, scale) * reciprocal(dmin));
        for (int attempt = 0; attempt < 2; ++attempt) {
          const AffineTrial trial = try_affine<Levels, kCount, true>(x(g), w(g), scale, -(dmin * static_cast<float>(m)));
          if (best_s < 0 || trial.error < best.error) {
            best = trial;
            best_s = s;
            best_m = m;
          }
          // The codes have changed with the scale, and with them the best minimum.
          const int better = nearest_whole(-offset_at_scale(trial, scale) * reciprocal(dmin));
          if (better == m) break;
          m = better;
        }
      }
      found.scales[static_cast<size_t>(g)] = static_cast<uint8_t>(best_s);
      found.mins[static_cast<size_t>(g)] = static_cast<uint8_t>(best_m);
      found.error += best.error;
      normal->add(best, static_cast<float>(best_s), static_cast<float>(best_m));
    }
    return found;
  }

  int nearest_whole(float v) const {
    return static_cast<int>(std::nearbyint(std::clamp(v, 0.0f, static_cast<float>(highest_))));
  }

  const float* x_;
  const float* w_;
  int highest_;
  int radius_;
  std::array<AffineTrial, kGroups> fits_{};  // of each group: its codes' sums and best real scale and offset
};

}  // namespace andiron::quant_search
