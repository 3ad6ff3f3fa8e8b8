#include "model/mixture.h"

#include <algorithm>
#include <array>

namespace andiron {

MixtureBuffers::MixtureBuffers(const ModelConfig& config, int64_t rows) {
  const ExpertConfig& experts = config.experts;
  if (experts.count == 0) return;
  const int64_t slots = rows * experts.used;
  scores = Buffer<float>(rows, padded_columns(experts.count));
  chosen = Buffer<int32_t>(rows, experts.used);
  share = Buffer<float>(rows, experts.used);
  begin = Buffer<int32_t>(static_cast<size_t>(experts.count + 1));
  place = Buffer<int32_t>(rows, experts.used);
  gathered = Buffer<float>(slots, config.width);
  hidden = Buffer<float>(slots, 2 * padded_columns(experts.width));
  outputs = Buffer<float>(slots, padded_columns(config.width));
}

namespace {

// The best `used` of one token's scores, best first, and their weights.
void choose(const float* scores, const ExpertConfig& experts, int32_t* chosen, float* share) {
  float sum = 0;
  for (int64_t rank = 0; rank < experts.used; ++rank) {
    int32_t best = -1;
    for (int32_t e = 0; e < experts.count; ++e) {
      const bool taken = std::find(chosen, chosen + rank, e) != chosen + rank;
      if (!taken && (best < 0 || scores[e] > scores[best])) best = e;
    }
    chosen[rank] = best;
    share[rank] = scores[best];
    sum += scores[best];
  }
  if (!experts.normalise || !(sum > 0)) return;
  for (int64_t rank = 0; rank < experts.used; ++rank) share[rank] /= sum;
}

// Counting sort: begin[e] is where expert e's rows begin, place[slot] where each slot's row stands.
void sort_by_expert(const ExpertConfig& experts, int64_t slots, MixtureBuffers& buffers) {
  int32_t* begin = buffers.begin.data();
  std::fill(begin, begin + experts.count + 1, 0);
  for (int64_t i = 0; i < slots; ++i) ++begin[buffers.chosen[static_cast<size_t>(i)] + 1];
  for (int64_t e = 0; e < experts.count; ++e) begin[e + 1] += begin[e];
  for (int64_t i = 0; i < slots; ++i) {
    buffers.place[static_cast<size_t>(i)] = begin[buffers.chosen[static_cast<size_t>(i)]]++;
  }
  for (int64_t e = experts.count; e > 0; --e) begin[e] = begin[e - 1];  // each had moved on to the next one's
  begin[0] = 0;
}

// What the backward of a mixture reads.
struct MixtureTape {
  const Tape* tape;
  ExpertConfig experts;
  Rows x, gathered, outputs, y;
  const float* probabilities;  // [T, E] softmax of the scores
  const int32_t* chosen;       // [T, used]
  const int32_t* place;        // [T * used]
  const float* share;          // [T * used]
  Rows kept_outputs;           // [T * used, D]
  Rows scores;
};

// dx += the gradients of its copies.
void gather_backward(const MixtureTape& m) {
  const Rows dx = m.tape->gradient(m.x), dgathered = m.tape->gradient(m.gathered);
  const int64_t used = m.experts.used;
  for (int64_t slot = 0; slot < dx.rows * used; ++slot) {
    float* from = dgathered.row(m.place[slot]);
    float* to = dx.row(slot / used);
    for (int64_t i = 0; i < dx.cols; ++i) to[i] += from[i];
    std::fill_n(from, dx.cols, 0.0f);
  }
}

// y = sum over the chosen of share * output. d output += share dy; d share = output . dy, which goes on to the
// probabilities: share = p, or p / s with s the sum of the chosen p, whose derivative is (d share - sum of share d
// share) / s.
void combine_backward(const MixtureTape& m, const KernelTable& kernels, int64_t t) {
  const int64_t used = m.experts.used;
  const Rows dy = m.tape->gradient(m.y), doutputs = m.tape->gradient(m.outputs);
  float* dscores = m.tape->gradient(m.scores).row(t);
  const float* p = m.probabilities + t * m.experts.count;
  double mean = 0, sum = 0;
  for (int64_t rank = 0; rank < used; ++rank) {
    const int64_t slot = t * used + rank, row = m.place[slot];
    kernels.scale_add(dy.row(t), m.share[slot], dy.cols, doutputs.row(row));
    const double dshare = kernels.dot(m.kept_outputs.row(row), dy.row(t), dy.cols);
    dscores[m.chosen[slot]] += static_cast<float>(dshare);
    mean += dshare * static_cast<double>(m.share[slot]);
    sum += static_cast<double>(p[m.chosen[slot]]);
  }
  if (m.experts.normalise && sum > 0) {
    for (int64_t rank = 0; rank < used; ++rank) {
      float& d = dscores[m.chosen[t * used + rank]];
      d = static_cast<float>((static_cast<double>(d) - mean) / sum);
    }
  }
  std::fill_n(dy.row(t), dy.cols, 0.0f);
}

}  // namespace

void mixture_of_experts(Ops& ops, const ModelConfig& config, const LayerWeights& weights, MixtureBuffers& buffers,
                        Rows x, Rows y) {
  const ExpertConfig& experts = config.experts;
  const int64_t used = experts.used, width = config.width;
  const int64_t slots = x.rows * used;
  const Rows scores = {buffers.scores.data(), x.rows, experts.count, padded_columns(experts.count)};
  ops.linear(x, weights.router, scores);
  ops.softmax(scores);
  ops.team().parallel_for(x.rows, x.rows * experts.count, [&](int64_t t, int) {
    choose(scores.row(t), experts, buffers.chosen.data() + t * used, buffers.share.data() + t * used);
  });
  sort_by_expert(experts, slots, buffers);

  const Rows gathered = {buffers.gathered.data(), slots, width, width};
  for (int64_t i = 0; i < slots; ++i) {
    const float* from = x.row(i / used);
    std::copy(from, from + width, gathered.row(buffers.place[static_cast<size_t>(i)]));
  }
  const int64_t padded = padded_columns(experts.width);
  const Rows hidden = {buffers.hidden.data(), slots, 2 * padded, 2 * padded};
  const Rows gate = hidden.columns(0, experts.width), up = hidden.columns(padded, experts.width);
  const Rows outputs = {buffers.outputs.data(), slots, width, padded_columns(width)};
  MixtureTape kept = {ops.tape(), experts, x, gathered, outputs, y, nullptr, nullptr, nullptr, nullptr, {}, scores};
  if (Tape* tape = ops.tape(); tape != nullptr) {
    kept.probabilities = tape->keep(Rows{scores.data, x.rows, experts.count, scores.stride}).data;
    kept.chosen = tape->keep(buffers.chosen.data(), slots);
    kept.place = tape->keep(buffers.place.data(), slots);
    kept.share = tape->keep(buffers.share.data(), slots);
    tape->record([=](Ops&) { gather_backward(kept); });
  }
  for (int64_t e = 0; e < experts.count; ++e) {
    const int64_t first = buffers.begin[static_cast<size_t>(e)];
    const int64_t count = buffers.begin[static_cast<size_t>(e) + 1] - first;
    if (count == 0) continue;
    const auto index = static_cast<size_t>(e);
    const std::array<LinearJob, 2> jobs = {
        {{&weights.expert_gate[index], gate.slice(first, count)}, {&weights.expert_up[index], up.slice(first, count)}}};
    ops.linear(gathered.slice(first, count), jobs);
  }
  ops.silu_mul(gate, up, gate);
  for (int64_t e = 0; e < experts.count; ++e) {
    const int64_t first = buffers.begin[static_cast<size_t>(e)];
    const int64_t count = buffers.begin[static_cast<size_t>(e) + 1] - first;
    if (count == 0) continue;
    ops.linear(gate.slice(first, count), weights.expert_down[static_cast<size_t>(e)], outputs.slice(first, count));
  }
  if (Tape* tape = ops.tape(); tape != nullptr) {
    kept.kept_outputs = tape->keep(outputs);
    tape->record([=](Ops& o) {
      o.team().parallel_for(kept.y.rows, kept.y.rows * kept.experts.used * kept.y.cols,
                            [&](int64_t t, int) { combine_backward(kept, o.kernels(), t); });
    });
  }
  ops.team().parallel_for(y.rows, y.rows * used * width / 4, [&](int64_t t, int) {
    std::fill(y.row(t), y.row(t) + width, 0.0f);
    for (int64_t rank = 0; rank < used; ++rank) {
      const auto slot = static_cast<size_t>(t * used + rank);
      ops.kernels().scale_add(outputs.row(buffers.place[slot]), buffers.share[slot], width, y.row(t));
    }
  });
}

}  // namespace andiron
