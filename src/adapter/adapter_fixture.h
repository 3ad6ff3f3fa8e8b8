// For tests only: small adapters and bases.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter.h"
#include "adapter/adapter_base.h"
#include "base/random.h"

namespace andiron {

// A matrix of normal numbers.
inline AdapterMatrix random_matrix(std::string layer, int64_t n, int64_t k, int64_t r, uint64_t seed,
                                   bool has_magnitude = false) {
  AdapterMatrix m{.layer = std::move(layer), .n = n, .k = k, .r = r, .alpha = 16, .a = {}, .b = {}, .magnitude = {}};
  const RandomStream random(seed, static_cast<uint64_t>(layer_order(m.layer)));
  uint64_t counter = 0;
  const auto fill = [&](std::vector<float>& out, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<float>(random.normal(counter++)));
  };
  fill(m.a, r * k);
  fill(m.b, n * r);
  if (has_magnitude) fill(m.magnitude, n);
  return m;
}

// Of a model of the architecture with 2 heads (1 of keys) of 8 elements: with 4, turning rows would be its own inverse.
inline Adapter tiny_adapter(uint64_t seed, std::string_view architecture = "llama", bool has_dora = false) {
  Adapter adapter;
  adapter.name = "tiny";
  adapter.rank = 3;
  adapter.alpha = 16;
  adapter.dora = has_dora;
  adapter.base_name = "some/model";
  adapter.base_hash = "0123456789abcdef0123456789abcdef";
  adapter.architecture = architecture;
  adapter.heads = 2;
  adapter.heads_kv = 1;
  const bool is_fused = architecture == "phi3";
  const std::vector<std::pair<std::string_view, std::pair<int64_t, int64_t>>> shapes =
      is_fused ? std::vector<std::pair<std::string_view, std::pair<int64_t, int64_t>>>{{"attn_qkv", {32, 12}},
                                                                                       {"ffn_up", {20, 12}}}
               : std::vector<std::pair<std::string_view, std::pair<int64_t, int64_t>>>{
                     {"attn_q", {16, 12}}, {"attn_k", {8, 12}}, {"ffn_down", {12, 10}}};
  for (int block = 0; block < 2; ++block) {
    for (const auto& [slot, shape] : shapes) {
      const std::string layer = "blk." + std::to_string(block) + "." + std::string(slot);
      adapter.matrices.push_back(random_matrix(layer, shape.first, shape.second, 3, seed, has_dora));
    }
  }
  return adapter;
}

// The base that it fits.
inline AdapterBase base_of(const Adapter& adapter) {
  AdapterBase base{.name = "a model",
                   .hash = adapter.base_hash,
                   .architecture = adapter.architecture,
                   .heads = adapter.heads,
                   .heads_kv = adapter.heads_kv,
                   .layers = {}};
  for (const AdapterMatrix& m : adapter.matrices) base.layers.push_back({m.layer, m.n, m.k});
  return base;
}

// s B A, [n, k], straightforwardly.
inline std::vector<double> dense_delta(const Adapter& adapter, const AdapterMatrix& m, double weight = 1) {
  std::vector<double> out(m.n * m.k);
  for (int64_t i = 0; i < m.n; ++i) {
    for (int64_t j = 0; j < m.k; ++j) {
      for (int64_t t = 0; t < m.r; ++t) {
        out[i * m.k + j] += weight * adapter.scaling(m) * double{m.b[i * m.r + t]} * double{m.a[t * m.k + j]};
      }
    }
  }
  return out;
}

inline void expect_same_matrices(const Adapter& x, const Adapter& y) {
  ASSERT_EQ(x.matrices.size(), y.matrices.size());
  for (size_t i = 0; i < x.matrices.size(); ++i) {
    const AdapterMatrix &m = x.matrices[i], &o = y.matrices[i];
    EXPECT_EQ(m.layer, o.layer);
    EXPECT_EQ(m.r, o.r) << m.layer;
    EXPECT_EQ(m.alpha, o.alpha) << m.layer;
    EXPECT_EQ(m.a, o.a) << m.layer;
    EXPECT_EQ(m.b, o.b) << m.layer;
    EXPECT_EQ(m.magnitude, o.magnitude) << m.layer;
  }
}

inline std::string error_of(const Result<Adapter>& result) { return result.ok() ? "" : result.error().message; }

// `text` has each of the parts.
inline void expect_says(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << "\n  in: " << text;
}

}  // namespace andiron
