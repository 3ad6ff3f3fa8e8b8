// The searches behind encode_row: weighted least squares over the scales of a block. Internal to tensor/.
//
// Given numbers x[i] with weights w[i], a trial fixes a scale (and an offset), gives every x[i] its nearest
// code, and measures two things: the error as it stands, and the error that remains if the codes are kept and the
// scale is moved to its least-squares optimum. The first decides between scales that a file can express, the
// second tells where to look next. Sums run in four lanes and a fixed order, so that every machine gets the same bits.
//
// Preconditions of all of it, met by PreparedBlock (quant_encode.h): |x| <= 1e9, 1e-6 <= w, mean of w near 1.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tensor/half.h"
#include "tensor/quant_blocks.h"

namespace andiron::quant_search {

// Four floats, added and compared lane by lane (a vector type of GCC and Clang on every target; the compilers' own
// vectorising does not find these loops at -O2).
using Lanes = float __attribute__((vector_size(16)));
constexpr int kLanes = 4;

inline Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}
inline Lanes all(float value) { return Lanes{value, value, value, value}; }
inline float sum(const Lanes& lanes) { return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]); }

// Every format decodes to whole multiples of 2^-24, the smallest binary16: where nothing is above half of it, zeros
// are the best there is. (It also keeps 1 / scale finite.)
constexpr float kAllZero = 0x1p-25f;

// ---- Levels: what a code can stand for, before the scale ----

// Whole numbers kLow .. kHigh.
template <int kLowLevel, int kHighLevel>
struct UniformLevels {
  static constexpr float kLow = kLowLevel;
  static constexpr float kHigh = kHighLevel;
  // The level nearest to each v; ties to even.
  static Lanes nearest(Lanes v) {
    v = v < kLow ? all(kLow) : v;
    v = v > kHigh ? all(kHigh) : v;
    constexpr float kShift = 0x1.8p23f;  // adding it leaves no bits below one
    return (v + kShift) - kShift;
  }
  static int whole(float v) { return static_cast<int>(nearest(all(v))[0]); }
  static int code(float v) { return whole(v) - kLowLevel; }
  static int clamp(int level) { return std::clamp(level, kLowLevel, kHighLevel); }
};

// kIq4Values. Midpoints between levels are multiples of one half, so a table by half units is exact.
struct Iq4Levels {
  static constexpr float kLow = -127.0f;
  static constexpr float kHigh = 113.0f;
  static Lanes nearest(const Lanes& v) { return Lanes{level(v[0]), level(v[1]), level(v[2]), level(v[3])}; }
  static int code(float v) {
    v = v < kLow ? kLow : v;
    v = v > kHigh ? kHigh : v;
    return kCodeOfHalves[static_cast<int>((v - kLow) * 2.0f)];
  }

 private:
  static float level(float v) { return kLevelOfCode[static_cast<size_t>(code(v))]; }
  static constexpr std::array<float, 16> kLevelOfCode = [] {
    std::array<float, 16> levels{};
    for (size_t i = 0; i < 16; ++i) levels[i] = kIq4Values[i];
    return levels;
  }();
  static constexpr std::array<uint8_t, 481> kCodeOfHalves = [] {
    std::array<uint8_t, 481> codes{};
    int code = 0;
    for (int i = 0; i < 481; ++i) {
      // From the midpoint of two levels on, the upper one.
      while (code < 15 && i - 254 >= kIq4Values[code] + kIq4Values[code + 1]) ++code;
      codes[static_cast<size_t>(i)] = static_cast<uint8_t>(code);
    }
    return codes;
  }();
};

// The factor that takes x to level units; 0 for a scale of 0, which stands for zero whatever the code.
inline float reciprocal(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

// The nearest finite binary16.
inline uint16_t f16_scale(float value) { return f32_to_f16(std::clamp(value, -kF16Max, kF16Max)); }

// The binary16 next to a finite one, away from zero (by = 1) or towards it (by = -1); stays finite and of one sign.
inline uint16_t f16_step(uint16_t half, int by) {
  const int magnitude = std::clamp((half & 0x7fff) + by, 0, 0x7bff);
  return static_cast<uint16_t>((half & 0x8000) | magnitude);
}

// ---- x[i] = scale * level ----

struct ScaleTrial {
  float error;         // sum of w (x - scale * level)^2
  float fitted_error;  // the same with fitted_scale and unchanged codes
  float fitted_scale;
  float level_square;  // sum of w level^2
};

template <typename Levels, int kCount>
ScaleTrial try_scale(const float* x, const float* w, float scale) {
  const float to_levels = reciprocal(scale);
  Lanes rr = {}, rl = {}, ll = {};
  for (int i = 0; i < kCount; i += kLanes) {
    const Lanes xs = load(x + i);
    const Lanes ws = load(w + i);
    const Lanes level = Levels::nearest(xs * to_levels);
    const Lanes residual = xs - scale * level;
    const Lanes weighted = ws * level;
    rr += ws * residual * residual;
    rl += weighted * residual;
    ll += weighted * level;
  }
  ScaleTrial trial{sum(rr), 0.0f, scale, sum(ll)};
  trial.fitted_error = trial.error;
  if (trial.level_square > 0.0f) {
    const float shift = sum(rl) / trial.level_square;
    trial.fitted_scale = scale + shift;
    trial.fitted_error = std::max(0.0f, trial.error - shift * sum(rl));
  }
  return trial;
}

// ---- x[i] = scale * level + offset, levels 0 .. kHigh ----

struct AffineTrial {
  float error;  // sum of w (x - scale * level - offset)^2
  float fitted_error;
  float fitted_scale;
  float fitted_offset;
  float w, l, ll;  // sums of w, w level, w level^2
  float xl, x1;    // sums of w x level, w x
};

// The best scale for codes that stay, when the offset is held.
inline float scale_at_offset(const AffineTrial& t, float offset) {
  return t.ll > 0.0f ? (t.xl - offset * t.l) / t.ll : 0.0f;
}

// The best offset for codes that stay, when the scale is held.
inline float offset_at_scale(const AffineTrial& t, float scale) { return (t.x1 - scale * t.l) / t.w; }

// With kOffsetNotAbove0 the fitted offset is held to <= 0 (the K formats subtract a minimum that is >= 0).
template <typename Levels, int kCount, bool kOffsetNotAbove0>
AffineTrial try_affine(const float* x, const float* w, float scale, float offset) {
  const float to_levels = reciprocal(scale);
  Lanes rr = {}, rl = {}, r1 = {}, ll = {}, l1 = {}, w1 = {};
  for (int i = 0; i < kCount; i += kLanes) {
    const Lanes xs = load(x + i);
    const Lanes ws = load(w + i);
    const Lanes level = Levels::nearest((xs - offset) * to_levels);
    const Lanes residual = xs - (scale * level + offset);
    const Lanes weighted = ws * level;
    const Lanes weighted_residual = ws * residual;
    rr += weighted_residual * residual;
    rl += weighted_residual * level;
    r1 += weighted_residual;
    ll += weighted * level;
    l1 += weighted;
    w1 += ws;
  }
  AffineTrial t{};
  t.error = sum(rr);
  t.w = sum(w1);
  t.l = sum(l1);
  t.ll = sum(ll);
  const float residual_level = sum(rl);
  const float residual_sum = sum(r1);
  t.xl = residual_level + scale * t.ll + offset * t.l;
  t.x1 = residual_sum + scale * t.l + offset * t.w;
  // Normal equations for the shift of (scale, offset) away from the trial.
  const float determinant = t.w * t.ll - t.l * t.l;
  float scale_shift = 0.0f;
  float offset_shift = residual_sum / t.w;
  if (determinant > 1e-6f * t.w * t.ll) {
    scale_shift = (t.w * residual_level - t.l * residual_sum) / determinant;
    offset_shift = (t.ll * residual_sum - t.l * residual_level) / determinant;
  }
  if (kOffsetNotAbove0 && offset + offset_shift > 0.0f) {
    offset_shift = -offset;
    scale_shift = t.ll > 0.0f ? (residual_level - offset_shift * t.l) / t.ll : 0.0f;
  }
  t.fitted_scale = scale + scale_shift;
  t.fitted_offset = offset + offset_shift;
  // Error at the shifted point: a quadratic in the shifts, exact for any of them.
  t.fitted_error = std::max(0.0f, t.error - 2.0f * (scale_shift * residual_level + offset_shift * residual_sum) +
                                      scale_shift * scale_shift * t.ll + 2.0f * scale_shift * offset_shift * t.l +
                                      offset_shift * offset_shift * t.w);
  return t;
}

// ---- Searches over one group ----

// The trial scales of a search, as ratios to the scale that puts the number of largest magnitude on an extreme level:
// from `first` down to `last`, `count` of them, evenly.
struct Sweep {
  float first;
  float last;
  int count;
  float ratio(int i) const {
    return count < 2 ? first : first + (last - first) * static_cast<float>(i) / static_cast<float>(count - 1);
  }
};

// The number of largest magnitude, with its sign.
template <int kCount>
float signed_peak(const float* x) {
  float peak = 0.0f;
  for (int i = 0; i < kCount; ++i) {
    if (std::fabs(x[i]) > std::fabs(peak)) peak = x[i];
  }
  return peak;
}

// Calls visit(scale) for every trial scale of the sweep, for a peak on the lowest and on the highest level.
template <typename Levels, typename Visit>
void sweep_scales(float peak, const Sweep& sweep, const Visit& visit) {
  for (int i = 0; i < sweep.count; ++i) visit(peak / Levels::kHigh * sweep.ratio(i));
  // Where the levels are symmetric, or none is below zero, the other end has nothing to add.
  if (Levels::kLow == -Levels::kHigh || Levels::kLow == 0.0f) return;
  for (int i = 0; i < sweep.count; ++i) visit(peak / Levels::kLow * sweep.ratio(i));
}

// The binary16 scale with the least error found.
template <typename Levels, int kCount>
uint16_t find_f16_scale(const float* x, const float* w, const Sweep& sweep) {
  uint16_t best = 0;
  float best_error = try_scale<Levels, kCount>(x, w, 0.0f).error;
  const auto consider = [&](uint16_t half) {
    const ScaleTrial trial = try_scale<Levels, kCount>(x, w, f16_to_f32(half));
    if (trial.error < best_error) {
      best_error = trial.error;
      best = half;
    }
    return trial;
  };
  const float peak = signed_peak<kCount>(x);
  if (std::fabs(peak) <= kAllZero) return best;
  consider(f16_scale(peak / Levels::kHigh));
  if (Levels::kLow != 0.0f) consider(f16_scale(peak / Levels::kLow));
  float promising = 0.0f;
  float promising_error = best_error;
  sweep_scales<Levels>(peak, sweep, [&](float scale) {
    const ScaleTrial trial = consider(f16_scale(scale));
    if (trial.fitted_error < promising_error) {
      promising_error = trial.fitted_error;
      promising = trial.fitted_scale;
    }
  });
  constexpr int kRefinements = 3;
  for (int i = 0; i < kRefinements; ++i) promising = consider(f16_scale(promising)).fitted_scale;
  const uint16_t centre = best;
  consider(f16_step(centre, 1));
  consider(f16_step(centre, -1));
  return best;
}

// The affine counterpart of Sweep: how far to move the lowest and the highest level into the range of the numbers,
// each from `first` to `last` in `count` steps, in units of one level.
template <typename Levels, typename Visit>
void sweep_ranges(float low, float high, const Sweep& trims, const Visit& visit) {
  const float step = (high - low) / Levels::kHigh;
  for (int i = 0; i < trims.count; ++i) {
    const float offset = low + step * trims.ratio(i);
    for (int j = 0; j < trims.count; ++j) {
      visit((high - step * trims.ratio(j) - offset) / Levels::kHigh, offset);
    }
  }
}

struct F16Affine {
  uint16_t scale = 0;
  uint16_t offset = 0;
};

// The pair of binary16 scale and offset with the least error found.
template <typename Levels, int kCount>
F16Affine find_f16_affine(const float* x, const float* w, const Sweep& trims) {
  F16Affine best;
  float best_error = try_scale<Levels, kCount>(x, w, 0.0f).error;
  const auto consider = [&](uint16_t scale, uint16_t offset) {
    const AffineTrial trial = try_affine<Levels, kCount, false>(x, w, f16_to_f32(scale), f16_to_f32(offset));
    if (trial.error < best_error) {
      best_error = trial.error;
      best = {scale, offset};
    }
    return trial;
  };
  const auto [low, high] = std::minmax_element(x, x + kCount);
  if (std::max(std::fabs(*low), std::fabs(*high)) <= kAllZero) return best;
  // All codes 0 at the mean, and the same with the rounding of the offset made good by code 1: for equal numbers.
  const float mean = offset_at_scale(consider(0, 0), 0.0f);
  AffineTrial promising = consider(0, f16_scale(mean));
  consider(f16_scale(mean - f16_to_f32(f16_scale(mean))), f16_scale(mean));
  sweep_ranges<Levels>(*low, *high, trims, [&](float scale, float offset) {
    const AffineTrial trial = consider(f16_scale(scale), f16_scale(offset));
    if (trial.fitted_error < promising.fitted_error) promising = trial;
  });
  constexpr int kRefinements = 3;
  for (int i = 0; i < kRefinements; ++i) {
    const uint16_t offset = f16_scale(promising.fitted_offset);
    promising = consider(f16_scale(scale_at_offset(promising, f16_to_f32(offset))), offset);
  }
  const F16Affine centre = best;
  for (const int by : {-1, 1}) {
    consider(f16_step(centre.scale, by), centre.offset);
    consider(centre.scale, f16_step(centre.offset, by));
  }
  return best;
}

}  // namespace andiron::quant_search
