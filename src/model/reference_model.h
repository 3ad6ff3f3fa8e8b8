// For tests only: every family's forward pass in double precision, in the plainest loops, from the papers' formulas.
// Nothing is shared with ops or model. It knows two roundings that are part of what andiron computes: keys and values
// are kept as f16, and the input of a quantised matrix is rounded to int8 in blocks of 32.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "model/kv_cache.h"
#include "model/tiny_model.h"
#include "tensor/half.h"

namespace andiron {

class ReferenceModel {
 public:
  using Vector = std::vector<double>;

  // `cache`: of the run it is compared with, which must have been made. Its capacity chooses between short and long
  // rotary divisors.
  ReferenceModel(const TinyModel& model, const KvCache& cache) : m_(model), cache_(cache), capacity_(cache.capacity()) {
    keys_.resize(static_cast<size_t>(m_.blocks));
    values_.resize(static_cast<size_t>(m_.blocks));
  }

  // The logits after one more token.
  Vector next(int32_t token) {
    const auto& embedding = tensor("token_embd.weight");
    Vector x = row(embedding, token);
    if (m_.is_gemma()) scale(x, std::sqrt(static_cast<double>(m_.width)));
    for (int64_t i = 0; i < m_.blocks; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      Vector y = attention(i, p, norm(x, p + "attn_norm.weight"));
      if (m_.is_gemma()) y = norm(y, p + "post_attention_norm.weight");
      add(x, y);
      const Vector h = norm(x, p + "ffn_norm.weight");
      y = m_.experts > 0 ? mixture(p, h) : feed_forward(p, h);
      if (m_.is_gemma()) y = norm(y, p + "post_ffw_norm.weight");
      add(x, y);
    }
    ++position_;
    Vector logits = product(m_.tied ? "token_embd.weight" : "output.weight", norm(x, "output_norm.weight"));
    if (m_.logit_cap > 0) {
      for (double& logit : logits) logit = m_.logit_cap * std::tanh(logit / m_.logit_cap);
    }
    return logits;
  }

  // Whether every key and value in the cache was its own, rounded.
  bool cache_is_rounded() const { return is_rounded_; }

 private:
  const TinyTensor& tensor(const std::string& name) const { return m_.tensors.at(name); }
  bool has(const std::string& name) const { return m_.tensors.count(name) > 0; }

  static Vector row(const TinyTensor& t, int64_t i) {
    const auto columns = static_cast<int64_t>(t.shape.back());
    return {t.values.begin() + i * columns, t.values.begin() + (i + 1) * columns};
  }
  static void scale(Vector& x, double s) {
    for (double& v : x) v *= s;
  }
  static void add(Vector& x, const Vector& y) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  // x / sqrt(mean(x^2) + eps) * w (arXiv 1910.07467).
  static Vector normalise(const Vector& x, const std::vector<float>& w, double epsilon) {
    double sum = 0;
    for (const double v : x) sum += v * v;
    const double inverse = 1 / std::sqrt(sum / static_cast<double>(x.size()) + epsilon);
    Vector y(x.size());
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] * inverse * static_cast<double>(w[i]);
    return y;
  }
  Vector norm(const Vector& x, const std::string& name) const { return normalise(x, tensor(name).values, m_.epsilon); }

  // What int8 with a scale for each 32 makes of x.
  static Vector rounded_to_int8(const Vector& x) {
    Vector y(x.size());
    for (size_t block = 0; block < x.size(); block += 32) {
      double top = 0;
      for (size_t i = block; i < block + 32; ++i) top = std::max(top, std::fabs(x[i]));
      const double step = top / 127;
      for (size_t i = block; i < block + 32; ++i) y[i] = step > 0 ? std::nearbyint(x[i] / step) * step : 0;
    }
    return y;
  }

  // Rows [first, first + n) of the tensor seen as a matrix, times x, plus the bias of the same name.
  Vector product(const std::string& name, const Vector& x, int64_t first, int64_t n) const {
    const TinyTensor& t = tensor(name);
    const Vector input = dtype_info(t.dtype).is_float ? x : rounded_to_int8(x);
    Vector y(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      const Vector w = row(t, first + i);
      double sum = 0;
      for (size_t j = 0; j < w.size(); ++j) sum += w[j] * input[j];
      y[static_cast<size_t>(i)] = sum;
    }
    const std::string bias = name.substr(0, name.rfind('.')) + ".bias";
    if (has(bias)) add(y, Vector(tensor(bias).values.begin(), tensor(bias).values.end()));
    return y;
  }
  Vector product(const std::string& name, const Vector& x) const {
    const TinyTensor& t = tensor(name);
    return product(name, x, 0, static_cast<int64_t>(t.values.size() / t.shape.back()));
  }

  // The angle by which one position turns pair i, and the factor on its cosine and sine.
  struct Turn {
    double frequency, magnitude;
  };
  Turn turn(int64_t i, bool local) const {
    const auto d = static_cast<double>(m_.rotary());
    if (local) return {std::pow(m_.rope_base_local, -2.0 * static_cast<double>(i) / d), 1};
    double f = std::pow(m_.rope_base, -2.0 * static_cast<double>(i) / d);
    const bool is_long = m_.original_context > 0 && static_cast<double>(capacity_) > m_.original_context;
    const auto& divisors = !m_.divisors.empty() ? m_.divisors : is_long ? m_.divisors_long : m_.divisors_short;
    if (!divisors.empty()) f /= static_cast<double>(static_cast<float>(divisors[static_cast<size_t>(i)]));
    if (m_.scaling == "linear") return {f / m_.factor, m_.attention_factor};
    if (m_.scaling != "yarn") return {f, m_.attention_factor};
    // YaRN as its authors' code has it (github.com/jquesnelle/yarn): a ramp over the pairs between the ones that make
    // beta_fast and beta_slow turns within the original context.
    const auto pair_of = [&](double turns) {
      return d * std::log(m_.original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(m_.rope_base));
    };
    const double low = std::max(std::floor(pair_of(m_.beta_fast)), 0.0);
    const double high = std::min(std::ceil(pair_of(m_.beta_slow)), d - 1);
    double ramp = (static_cast<double>(i) - low) / std::max(high - low, 0.001);
    ramp = std::min(1.0, std::max(0.0, ramp));
    return {f * (1 - ramp) + f / m_.factor * ramp, (0.1 * std::log(m_.factor) + 1) * m_.attention_factor};
  }

  // GGUF keeps llama's pairs as neighbours, everyone else's half a head apart.
  void rotate(Vector& x, int64_t heads, bool local) const {
    const int64_t half = m_.rotary() / 2;
    const bool neighbours = m_.architecture == "llama";
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t i = 0; i < half; ++i) {
        const auto a = static_cast<size_t>(h * m_.head_dim + (neighbours ? 2 * i : i));
        const size_t b = a + static_cast<size_t>(neighbours ? 1 : half);
        const Turn t = turn(i, local);
        const double angle = static_cast<double>(position_) * t.frequency;
        const double c = std::cos(angle) * t.magnitude, s = std::sin(angle) * t.magnitude;
        const double xa = x[a], xb = x[b];
        x[a] = xa * c - xb * s;
        x[b] = xa * s + xb * c;
      }
    }
  }

  void normalise_heads(Vector& x, int64_t heads, const std::string& name) const {
    for (int64_t h = 0; h < heads; ++h) {
      const auto begin = x.begin() + h * m_.head_dim;
      const Vector y = normalise({begin, begin + m_.head_dim}, tensor(name).values, m_.epsilon);
      std::copy(y.begin(), y.end(), begin);
    }
  }

  // Rounds the keys or values of this position to f16. A number near the middle between two f16s may go either way, as
  // float arithmetic has moved it (by less than 1e-5 of numbers around 1): what the cache under test holds is taken,
  // after a look that it is one of the two.
  void round_to_f16(Vector& x, int64_t layer, bool is_key) {
    const KvLayer& stored = cache_.layer(static_cast<size_t>(layer));
    const int64_t d = m_.head_dim, step = (d + 15) / 16 * 16;
    for (int64_t i = 0; i < m_.kv_heads * d; ++i) {
      const auto* head = reinterpret_cast<const uint16_t*>(is_key ? stored.keys(i / d) : stored.values(i / d));
      const int64_t at = is_key ? position_ / 16 * 16 * step + i % d * 16 + position_ % 16 : position_ * step + i % d;
      const auto value = static_cast<double>(f16_to_f32(head[at]));
      double& exact = x[static_cast<size_t>(i)];
      const double half_step = std::exp2(std::floor(std::log2(std::fabs(exact))) - 11);
      is_rounded_ = is_rounded_ && std::fabs(value - exact) < half_step + moved_;
      exact = value;
    }
  }

  Vector attention(int64_t layer, const std::string& p, const Vector& h) {
    const int64_t d = m_.head_dim, queries = m_.heads * d, kv = m_.kv_heads * d;
    const auto part = [&](const char* name, int64_t fused_first, int64_t n) {
      return m_.fused ? product(p + "attn_qkv.weight", h, fused_first, n) : product(p + name, h);
    };
    Vector q = part("attn_q.weight", 0, queries), k = part("attn_k.weight", queries, kv);
    Vector v = part("attn_v.weight", queries + kv, kv);
    if (m_.has_head_norms()) {
      normalise_heads(q, m_.heads, p + "attn_q_norm.weight");
      normalise_heads(k, m_.kv_heads, p + "attn_k_norm.weight");
    }
    const bool windowed = m_.window > 0 && m_.windowed[static_cast<size_t>(layer)];
    const bool local = windowed && m_.rope_base_local > 0;
    rotate(q, m_.heads, local);
    rotate(k, m_.kv_heads, local);
    round_to_f16(k, layer, true);
    round_to_f16(v, layer, false);
    keys_[static_cast<size_t>(layer)].push_back(k);
    values_[static_cast<size_t>(layer)].push_back(v);

    Vector out(static_cast<size_t>(queries));
    const int64_t begin = windowed ? std::max<int64_t>(0, position_ + 1 - m_.window) : 0;
    for (int64_t head = 0; head < m_.heads; ++head) one_head(layer, head, begin, q, out);
    return product(p + "attn_output.weight", out);
  }

  void one_head(int64_t layer, int64_t head, int64_t begin, const Vector& q, Vector& out) const {
    const int64_t d = m_.head_dim, kv_head = head / (m_.heads / m_.kv_heads);
    const double factor = m_.score_scale > 0 ? m_.score_scale : 1 / std::sqrt(static_cast<double>(d));
    const auto& keys = keys_[static_cast<size_t>(layer)];
    const auto& values = values_[static_cast<size_t>(layer)];
    Vector scores;
    double top = -INFINITY, sum = 0;
    for (int64_t at = begin; at <= position_; ++at) {
      double score = 0;
      for (int64_t i = 0; i < d; ++i) {
        score +=
            q[static_cast<size_t>(head * d + i)] * keys[static_cast<size_t>(at)][static_cast<size_t>(kv_head * d + i)];
      }
      score *= factor;
      if (m_.score_cap > 0) score = m_.score_cap * std::tanh(score / m_.score_cap);
      scores.push_back(score);
      top = std::max(top, score);
    }
    for (double& score : scores) sum += score = std::exp(score - top);
    for (int64_t at = begin; at <= position_; ++at) {
      const double weight = scores[static_cast<size_t>(at - begin)] / sum;
      for (int64_t i = 0; i < d; ++i) {
        out[static_cast<size_t>(head * d + i)] +=
            weight * values[static_cast<size_t>(at)][static_cast<size_t>(kv_head * d + i)];
      }
    }
  }

  // SwiGLU, or GeGLU with the tanh form of gelu (arXiv 2002.05202, 1606.08415).
  Vector gated(Vector gate, const Vector& up) const {
    for (size_t i = 0; i < gate.size(); ++i) {
      const double g = gate[i];
      const double inner = std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g);
      gate[i] = (m_.is_gemma() ? 0.5 * g * (1 + std::tanh(inner)) : g / (1 + std::exp(-g))) * up[i];
    }
    return gate;
  }
  Vector feed_forward(const std::string& p, const Vector& h) const {
    const Vector gate = m_.fused ? product(p + "ffn_up.weight", h, 0, m_.inner) : product(p + "ffn_gate.weight", h);
    const Vector up = m_.fused ? product(p + "ffn_up.weight", h, m_.inner, m_.inner) : product(p + "ffn_up.weight", h);
    return product(p + "ffn_down.weight", gated(gate, up));
  }

  Vector mixture(const std::string& p, const Vector& h) const {
    Vector scores = product(p + "ffn_gate_inp.weight", h);
    double sum = 0, taken = 0;
    for (double& s : scores) sum += s = std::exp(s);
    std::vector<std::pair<double, int64_t>> ranked;
    for (size_t e = 0; e < scores.size(); ++e) ranked.emplace_back(-scores[e] / sum, e);
    std::sort(ranked.begin(), ranked.end());
    ranked.resize(static_cast<size_t>(m_.experts_used));
    for (const auto& [minus, expert] : ranked) taken -= minus;
    Vector out(static_cast<size_t>(m_.width));
    for (const auto& [minus, expert] : ranked) {
      const Vector gate = product(p + "ffn_gate_exps.weight", h, expert * m_.inner, m_.inner);
      const Vector up = product(p + "ffn_up_exps.weight", h, expert * m_.inner, m_.inner);
      Vector y = product(p + "ffn_down_exps.weight", gated(gate, up), expert * m_.width, m_.width);
      scale(y, -minus / taken);
      add(out, y);
    }
    return out;
  }

  const TinyModel& m_;
  const KvCache& cache_;
  int64_t capacity_;
  int64_t position_ = 0;
  bool is_rounded_ = true;
  double moved_ = 1e-5;
  std::vector<std::vector<Vector>> keys_, values_;  // [blocks][positions]
};

}  // namespace andiron
