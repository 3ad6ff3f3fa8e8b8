// For tests only: every family's forward pass in double precision, from the papers' formulas (ops/reference-inl.h).
// Nothing is shared with ops or model. It knows two roundings that are part of what andiron computes: keys and values
// are kept as f16, and the input of a quantised matrix is rounded to int8 in blocks of 32.
//
// S: double, or std::complex<double> for derivatives, through which those roundings pass.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "model/tiny_model.h"
#include "ops/kv_cache.h"
#include "ops/reference-inl.h"
#include "tensor/half.h"

namespace andiron {

template <typename S>
class ReferenceModel {
 public:
  using Vector = std::vector<S>;

  // `kept`: the keys and values that the run it is compared with has kept, of positions from 0 on. `capacity` chooses
  // between short and long rotary divisors.
  ReferenceModel(const TinyModel& model, const KvPages& kept, int64_t capacity) : m_(model) {
    for (const auto& [name, tensor] : m_.tensors) numbers_[name] = Vector(tensor.values.begin(), tensor.values.end());
    begin(kept, capacity);
  }

  // The numbers of a tensor, which may be changed.
  Vector& numbers(const std::string& name) { return numbers_.at(name); }
  // What is added to matrices: "blk.0.attn_q".
  std::map<std::string, reference::Delta<S>>& deltas() { return deltas_; }

  // Another sequence, from position 0.
  void begin(const KvPages& kept, int64_t capacity) {
    kept_ = &kept;
    capacity_ = capacity;
    position_ = 0;
    keys_.assign(static_cast<size_t>(m_.blocks), {});
    values_.assign(static_cast<size_t>(m_.blocks), {});
  }

  // The logits after one more token.
  Vector next(int32_t token) {
    const std::span<const S> embedding = all("token_embd.weight");
    const auto row = embedding.subspan(static_cast<size_t>(token * m_.width), static_cast<size_t>(m_.width));
    Vector x(row.begin(), row.end());
    if (m_.is_gemma()) reference::scale(x, S(std::sqrt(static_cast<double>(m_.width))));
    for (int64_t i = 0; i < m_.blocks; ++i) {
      const std::string p = "blk." + std::to_string(i) + ".";
      Vector y = attention(i, p, norm(x, p + "attn_norm.weight"));
      if (m_.is_gemma()) y = norm(y, p + "post_attention_norm.weight");
      reference::add(x, y);
      const Vector h = norm(x, p + "ffn_norm.weight");
      y = m_.experts > 0 ? mixture(p, h) : feed_forward(p, h);
      if (m_.is_gemma()) y = norm(y, p + "post_ffw_norm.weight");
      reference::add(x, y);
    }
    ++position_;
    Vector logits = product(m_.tied ? "token_embd.weight" : "output.weight", norm(x, "output_norm.weight"));
    if (m_.logit_cap > 0) {
      for (S& logit : logits) logit = reference::softcap(logit, m_.logit_cap);
    }
    return logits;
  }

  // Whether every key and value in the cache was its own, rounded.
  bool cache_is_rounded() const { return is_rounded_; }

 private:
  std::span<const S> all(const std::string& name) const { return numbers_.at(name); }
  Vector norm(const Vector& x, const std::string& name) const {
    return reference::rms_norm<S>(x, all(name), m_.epsilon);
  }

  // Rows [first, first + n) of the tensor seen as a matrix, times x.
  Vector rows_times(const std::string& name, const Vector& x, int64_t first, int64_t n) const {
    const size_t k = x.size();
    const auto rows = all(name).subspan(static_cast<size_t>(first) * k, static_cast<size_t>(n) * k);
    const bool is_float = dtype_info(m_.tensors.at(name).dtype).is_float;
    return reference::product<S>(rows, is_float ? x : reference::rounded_to_int8(x));
  }
  // A whole matrix times x, what is added to it, and the bias of the same name.
  Vector product(const std::string& name, const Vector& x) const {
    const std::string layer = name.substr(0, name.rfind('.'));
    Vector y = rows_times(name, x, 0, static_cast<int64_t>(all(name).size() / x.size()));
    if (const auto delta = deltas_.find(layer); delta != deltas_.end()) {
      reference::add(y, reference::added_by(delta->second, Vector(y), x));
    }
    if (const auto bias = numbers_.find(layer + ".bias"); bias != numbers_.end()) reference::add(y, bias->second);
    return y;
  }
  static Vector part(const Vector& x, int64_t first, int64_t n) { return {x.begin() + first, x.begin() + first + n}; }

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
    for (int64_t i = 0; i < half; ++i) {
      const Turn t = turn(i, local);
      const double angle = static_cast<double>(position_) * t.frequency;
      const double c = std::cos(angle) * t.magnitude, s = std::sin(angle) * t.magnitude;
      for (int64_t h = 0; h < heads; ++h) {
        reference::rotate_pair(x.data() + h * m_.head_dim, i, half, m_.architecture == "llama", c, s);
      }
    }
  }

  // Rounds the keys or values of this position to f16. A number near the middle between two f16s may go either way, as
  // float arithmetic has moved it (by less than 1e-5 of numbers around 1): what the cache under test holds is taken,
  // after a look that it is one of the two.
  void round_to_f16(Vector& x, int64_t layer, bool is_key) {
    const uint8_t* page = kept_->data()[position_ / 64];
    const int64_t row = position_ % 64;
    const int64_t d = m_.head_dim, step = (d + 15) / 16 * 16;
    for (int64_t i = 0; i < m_.kv_heads * d; ++i) {
      const KvLayout& layout = kept_->layout();
      const int64_t piece = is_key ? layout.keys(layer, i / d) : layout.values(layer, i / d);
      const auto* head = reinterpret_cast<const uint16_t*>(page + piece);
      const int64_t at = is_key ? row / 16 * 16 * step + i % d * 16 + row % 16 : row * step + i % d;
      const auto value = static_cast<double>(f16_to_f32(head[at]));
      S& exact = x[static_cast<size_t>(i)];
      const double size = reference::real(exact);
      const double half_step = std::exp2(std::floor(std::log2(std::fabs(size))) - 11);
      is_rounded_ = is_rounded_ && std::fabs(value - size) < half_step + moved_;
      exact = reference::passed_through(exact, value);
    }
  }

  Vector attention(int64_t layer, const std::string& p, const Vector& h) {
    const int64_t queries = m_.heads * m_.head_dim, kv = m_.kv_heads * m_.head_dim;
    Vector q, k, v;
    if (m_.fused) {
      const Vector whole = product(p + "attn_qkv.weight", h);
      q = part(whole, 0, queries), k = part(whole, queries, kv), v = part(whole, queries + kv, kv);
    } else {
      q = product(p + "attn_q.weight", h), k = product(p + "attn_k.weight", h), v = product(p + "attn_v.weight", h);
    }
    if (m_.has_head_norms()) {
      reference::head_norm<S>(q, all(p + "attn_q_norm.weight"), m_.epsilon);
      reference::head_norm<S>(k, all(p + "attn_k_norm.weight"), m_.epsilon);
    }
    const bool windowed = m_.window > 0 && m_.windowed[static_cast<size_t>(layer)];
    const bool local = windowed && m_.rope_base_local > 0;
    rotate(q, m_.heads, local);
    rotate(k, m_.kv_heads, local);
    round_to_f16(k, layer, true);
    round_to_f16(v, layer, false);
    keys_[static_cast<size_t>(layer)].push_back(k);
    values_[static_cast<size_t>(layer)].push_back(v);

    Vector out;
    const int64_t begin = windowed ? std::max<int64_t>(0, position_ + 1 - m_.window) : 0;
    for (int64_t head = 0; head < m_.heads; ++head) {
      const Vector one = one_head(layer, head, begin, q);
      out.insert(out.end(), one.begin(), one.end());
    }
    return product(p + "attn_output.weight", out);
  }

  Vector one_head(int64_t layer, int64_t head, int64_t begin, const Vector& q) const {
    const int64_t d = m_.head_dim, kv_head = head / (m_.heads / m_.kv_heads);
    const double factor = m_.score_scale > 0 ? m_.score_scale : 1 / std::sqrt(static_cast<double>(d));
    std::vector<const S*> keys, values;
    for (auto at = static_cast<size_t>(begin); at <= static_cast<size_t>(position_); ++at) {
      keys.push_back(keys_[static_cast<size_t>(layer)][at].data() + kv_head * d);
      values.push_back(values_[static_cast<size_t>(layer)][at].data() + kv_head * d);
    }
    return reference::attend<S>(part(q, head * d, d), keys, values, factor, m_.score_cap);
  }

  // SwiGLU, or GeGLU (arXiv 2002.05202).
  Vector gated(Vector gate, const Vector& up) const {
    for (size_t i = 0; i < gate.size(); ++i) {
      gate[i] = (m_.is_gemma() ? reference::gelu(gate[i]) : reference::silu(gate[i])) * up[i];
    }
    return gate;
  }
  Vector feed_forward(const std::string& p, const Vector& h) const {
    const Vector up = product(p + "ffn_up.weight", h);
    if (!m_.fused) return product(p + "ffn_down.weight", gated(product(p + "ffn_gate.weight", h), up));
    return product(p + "ffn_down.weight", gated(part(up, 0, m_.inner), part(up, m_.inner, m_.inner)));
  }

  Vector mixture(const std::string& p, const Vector& h) const {
    const Vector scores = reference::softmax(product(p + "ffn_gate_inp.weight", h));
    std::vector<std::pair<double, int64_t>> ranked;
    for (size_t e = 0; e < scores.size(); ++e) ranked.emplace_back(-reference::real(scores[e]), e);
    std::sort(ranked.begin(), ranked.end());
    ranked.resize(static_cast<size_t>(m_.experts_used));
    S taken = 0;
    for (const auto& [minus, expert] : ranked) taken += scores[static_cast<size_t>(expert)];
    Vector out(static_cast<size_t>(m_.width));
    for (const auto& [minus, expert] : ranked) {
      const Vector gate = rows_times(p + "ffn_gate_exps.weight", h, expert * m_.inner, m_.inner);
      const Vector up = rows_times(p + "ffn_up_exps.weight", h, expert * m_.inner, m_.inner);
      Vector y = rows_times(p + "ffn_down_exps.weight", gated(gate, up), expert * m_.width, m_.width);
      reference::scale(y, scores[static_cast<size_t>(expert)] / taken);
      reference::add(out, y);
    }
    return out;
  }

  const TinyModel& m_;
  const KvPages* kept_ = nullptr;
  int64_t capacity_ = 0;
  int64_t position_ = 0;
  bool is_rounded_ = true;
  double moved_ = 1e-5;
  std::map<std::string, Vector> numbers_;
  std::map<std::string, reference::Delta<S>> deltas_;
  std::vector<std::vector<Vector>> keys_, values_;  // [blocks][positions]
};

}  // namespace andiron
