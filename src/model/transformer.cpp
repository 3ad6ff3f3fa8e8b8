#include "model/transformer.h"

#include <algorithm>

#include "base/strings.h"
#include "model/family.h"
#include "model/rope.h"
#include "tensor/quantize.h"

namespace andiron {

int64_t Transformer::inputs_max(const ModelConfig& config) {
  return std::max({config.width, config.query_width(), config.feed_forward, config.experts.width});
}

Transformer::Transformer(const Model& m, const Weights& w, const KernelTable& kernels, ThreadTeam& team, int64_t rows)
    : model(m),
      config(m.config()),
      weights(w),
      ops(kernels, team, rows, inputs_max(m.config())),
      buffers(m.config(), rows),
      rope_full(rows, m.config().rope.dimensions) {
  if (config.has_rope_local) rope_local = Buffer<float>(rows, config.rope_local.dimensions);
  row_scratch.reserve(row_bytes(weights.embedding->dtype, static_cast<uint64_t>(config.width)));
}

uint64_t Transformer::bytes_needed(const ModelConfig& config, int64_t rows, int threads) {
  const auto width = static_cast<uint64_t>(config.width), inner = static_cast<uint64_t>(config.feed_forward);
  const auto queries = static_cast<uint64_t>(config.heads * config.padded_head_dim());
  const auto kv = static_cast<uint64_t>(config.kv_heads * config.padded_head_dim());
  uint64_t floats = 3 * width + 4 * queries + 4 * kv + 2 * inner;  // RunBuffers
  if (config.experts.count > 0) {
    const auto used = static_cast<uint64_t>(config.experts.used);
    floats += static_cast<uint64_t>(config.experts.count) +
              used * (2 * width + 2 * static_cast<uint64_t>(config.experts.width));
  }
  // Ops keeps each input as a float, twice as a byte, and its scales: below 7 bytes for each number.
  const uint64_t scratch = 7 * static_cast<uint64_t>(inputs_max(config));
  const uint64_t per_thread = kMatmulScratchBytes + sizeof(float) * kAttentionScratchFloats;
  return static_cast<uint64_t>(rows) * (sizeof(float) * floats + scratch) + static_cast<uint64_t>(threads) * per_thread;
}

Status Transformer::embed(std::span<const int32_t> tokens, Rows x) {
  const TensorInfo& embedding = *weights.embedding;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int32_t token = tokens[i];
    if (token < 0 || token >= config.vocabulary) {
      return make_error("{}: the token {} is not one of the {} that the model has", model.source().path(), token,
                        config.vocabulary);
    }
    float* row = x.row(static_cast<int64_t>(i));
    if (weights.embedding_rows != nullptr) {
      std::copy_n(weights.embedding_rows + token * config.width, config.width, row);
      continue;
    }
    TRY_ASSIGN(const auto bytes, model.source().rows(embedding, static_cast<uint64_t>(token), 1, row_scratch));
    decode_row(embedding.dtype, bytes.data(), row, embedding.columns());
  }
  if (config.embedding_scale != 1) ops.scale(x, config.embedding_scale);
  return {};
}

void Transformer::place(int64_t first_row, int64_t count, int64_t position, int64_t capacity) {
  const auto fill = [&](const RopePlan& plan, Buffer<float>& table) {
    rope_table(plan.inv_freq, position, count, plan.magnitude, table.data() + first_row * 2 * plan.half());
  };
  fill(model.ropes().full(capacity), rope_full);
  if (config.has_rope_local) fill(model.ropes().local(), rope_local);
}

void Transformer::layer(size_t i, std::span<const BatchSegment> segments, Rows x) {
  const RopeTable full = {rope_full.data(), config.rope.dimensions / 2, config.rope.pairs};
  const RopeTable local = {rope_local.data(), config.rope_local.dimensions / 2, config.rope_local.pairs};
  const int64_t window = config.windows[i];
  const Block block = {ops,    config,  weights.layers[i], buffers, window > 0 && config.has_rope_local ? local : full,
                       window, segments};
  model.family().layer(block, x);
}

void Transformer::norm(Rows hidden) { ops.rms_norm(hidden, weights.output_norm, config.norm_epsilon, hidden); }

void Transformer::head(Rows hidden, Rows logits) {
  norm(hidden);
  ops.linear(hidden, weights.head, logits);
  if (config.logit_softcap > 0) ops.softcap(logits, config.logit_softcap);
}

}  // namespace andiron
