#include "model/block.h"

#include <algorithm>
#include <array>

namespace andiron {

namespace {
// Queries, keys and values side by side, each in whole groups of 16 columns so that no product writes into its
// neighbour.
int64_t heads_stride(const ModelConfig& config) {
  return result_stride(config.query_width()) + 2 * padded_columns(config.kv_width());
}

int64_t hidden_stride(const ModelConfig& config) {
  return result_stride(config.feed_forward) + padded_columns(config.feed_forward);
}
}  // namespace

RunBuffers::RunBuffers(const ModelConfig& config, int64_t rows)
    : x(rows, config.width, Pages::kLarge),
      normed(rows, config.width, Pages::kLarge),
      heads(rows, heads_stride(config), Pages::kLarge),
      mixed(rows, config.query_width(), Pages::kLarge),
      hidden(rows, hidden_stride(config), Pages::kLarge),
      product(rows, result_stride(config.width), Pages::kLarge),
      mixture(config, rows) {
  if (config.head_dim != config.padded_head_dim()) {
    padded = Buffer<float>(rows, 2 * (config.heads + config.kv_heads) * config.padded_head_dim());
  }
}

Rows Block::norm(Rows x, const float* w) const {
  const Rows out = {buffers.normed.data(), x.rows, x.cols, x.cols};
  ops.rms_norm(x, w, config.norm_epsilon, out);
  return out;
}

Heads Block::project(Rows x) const {
  const int64_t queries = config.query_width(), kv = config.kv_width();
  const int64_t stride = heads_stride(config);
  const Rows whole = {buffers.heads.data(), x.rows, queries + 2 * kv, stride};
  if (weights.attn_qkv) {
    ops.linear(x, weights.attn_qkv, whole);
    return {whole.columns(0, queries), whole.columns(queries, kv), whole.columns(queries + kv, kv)};
  }
  const int64_t k_begin = padded_columns(queries), v_begin = k_begin + padded_columns(kv);
  const Heads heads = {whole.columns(0, queries), whole.columns(k_begin, kv), whole.columns(v_begin, kv)};
  const std::array<LinearJob, 3> jobs = {
      {{&weights.attn_q, heads.q}, {&weights.attn_k, heads.k}, {&weights.attn_v, heads.v}}};
  ops.linear(x, jobs);
  return heads;
}

void Block::normalise(const Heads& heads) const {
  ops.head_norm(heads.q, config.head_dim, weights.attn_q_norm, config.norm_epsilon);
  ops.head_norm(heads.k, config.head_dim, weights.attn_k_norm, config.norm_epsilon);
}

void Block::rotate(const Heads& heads) const {
  const std::array<Rows, 2> both = {heads.q, heads.k};
  ops.rope(both, config.head_dim, rope.cos_sin, rope.half, rope.pairs);
}

Rows Block::attend(const Heads& heads) const {
  const AttentionShape shape = {config.heads,           config.kv_heads,          config.padded_head_dim(),
                                config.attention_scale, config.attention_softcap, window};
  const Rows out = {buffers.mixed.data(), heads.q.rows, config.query_width(), config.query_width()};
  if (config.head_dim != config.padded_head_dim()) {
    attend_padded(shape, heads, out);
  } else {
    ops.attention(shape, heads.q, heads.k, heads.v, segments, out);
  }
  return out;
}

namespace {

// Heads of d numbers to heads of `step` numbers, d <= step, the rest zeros; or back, the rest forgotten.
void repad(Rows from, int64_t d, Rows to, int64_t step) {
  const int64_t count = std::min(d, step);
  for (int64_t t = 0; t < from.rows; ++t) {
    for (int64_t head = 0; head * d < from.cols; ++head) {
      float* end = std::copy_n(from.row(t) + head * d, count, to.row(t) + head * step);
      std::fill_n(end, step - count, 0.0f);
    }
  }
}

// The same with its backward: the gradient goes the other way.
void repad(Tape* tape, Rows from, int64_t d, Rows to, int64_t step) {
  repad(from, d, to, step);
  if (tape == nullptr) return;
  tape->record([=](Ops&) {
    const Rows dfrom = tape->gradient(from), dto = tape->gradient(to);
    for (int64_t t = 0; t < from.rows; ++t) {
      for (int64_t head = 0; head * d < from.cols; ++head) {
        for (int64_t i = 0; i < std::min(d, step); ++i) dfrom.row(t)[head * d + i] += dto.row(t)[head * step + i];
      }
      std::fill_n(dto.row(t), dto.cols, 0.0f);
    }
  });
}

}  // namespace

// Zeros beside each head change no sum. Only small or old models have such heads, so the copies may cost something.
void Block::attend_padded(const AttentionShape& shape, const Heads& heads, Rows out) const {
  const int64_t d = config.head_dim, step = shape.head_dim;
  const int64_t queries = config.heads * step, kv = config.kv_heads * step;
  const int64_t stride = 2 * (queries + kv);
  const Rows whole = {buffers.padded.data(), out.rows, stride, stride};
  const Rows q = whole.columns(0, queries), k = whole.columns(queries, kv), v = whole.columns(queries + kv, kv);
  const Rows padded_out = whole.columns(queries + 2 * kv, queries);
  repad(ops.tape(), heads.q, d, q, step);
  repad(ops.tape(), heads.k, d, k, step);
  repad(ops.tape(), heads.v, d, v, step);
  ops.attention(shape, q, k, v, segments, padded_out);
  repad(ops.tape(), padded_out, step, out, d);
}

Rows Block::linear(Rows x, const Linear& layer) const {
  const Rows out = {buffers.product.data(), x.rows, layer.n, result_stride(config.width)};
  ops.linear(x, layer, out);
  return out;
}

Block::GateUp Block::gate_up(Rows x) const {
  const int64_t width = config.feed_forward, padded = padded_columns(width);
  const Rows whole = {buffers.hidden.data(), x.rows, 2 * width, hidden_stride(config)};
  if (weights.ffn_gate_up) {
    ops.linear(x, weights.ffn_gate_up, whole);
    return {whole.columns(0, width), whole.columns(width, width)};
  }
  const GateUp out = {whole.columns(0, width), whole.columns(padded, width)};
  const std::array<LinearJob, 2> jobs = {{{&weights.ffn_gate, out.gate}, {&weights.ffn_up, out.up}}};
  ops.linear(x, jobs);
  return out;
}

Rows Block::silu_gate(Rows x) const {
  const GateUp hidden = gate_up(x);
  ops.silu_mul(hidden.gate, hidden.up, hidden.gate);
  return hidden.gate;
}

Rows Block::gelu_gate(Rows x) const {
  const GateUp hidden = gate_up(x);
  ops.gelu_mul(hidden.gate, hidden.up, hidden.gate);
  return hidden.gate;
}

Rows Block::mixture(Rows x) const {
  const Rows out = {buffers.product.data(), x.rows, config.width, result_stride(config.width)};
  mixture_of_experts(ops, config, weights, buffers.mixture, x, out);
  return out;
}

}  // namespace andiron
