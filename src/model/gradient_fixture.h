// For tests only: a tiny model that is trained for one step, by TrainPass and by the reference.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapter/adapter.h"
#include "base/random.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/adapter_weights.h"
#include "model/float_weights.h"
#include "model/reference_model.h"
#include "model/tiny_model.h"
#include "model/train_pass.h"
#include "model/transformer.h"

namespace andiron {

struct GradientCase {
  std::string name;
  std::function<void(TinyModel&)> set;
};
inline void PrintTo(const GradientCase& c, std::ostream* out) { *out << c.name; }

// The tables whose bits are equal: all but AMX's.
inline std::vector<Isa> equal_isas() {
  std::vector<Isa> isas = available_isas();
  std::erase(isas, Isa::kAmx);
  return isas;
}
inline const KernelTable& best_kernels() { return kernels_of(equal_isas().back()); }

// Small enough for some hundred forwards of the reference; nothing but the heads is a whole number of anything.
inline TinyModel small_model(const GradientCase& c) {
  TinyModel tiny;
  tiny.width = 36, tiny.inner = 27, tiny.vocabulary = 29, tiny.heads = 4, tiny.kv_heads = 2;
  c.set(tiny);
  tiny.build();
  return tiny;
}

struct Batch {
  std::vector<int32_t> tokens, targets;
  std::vector<int64_t> segments;
  std::vector<float> weights;  // of each row's loss; 0: none

  TrainBatch view() const { return {tokens, segments}; }
};

// Sequences of these lengths. One row in four has no loss, the others unlike weights.
inline Batch make_batch(const TinyModel& tiny, std::vector<int64_t> segments) {
  Batch batch;
  batch.segments = std::move(segments);
  int64_t rows = 0;
  for (const int64_t count : batch.segments) rows += count;
  for (int64_t i = 0; i < rows; ++i) {
    batch.tokens.push_back(static_cast<int32_t>((7 * i * i + 3 * i + 1) % tiny.vocabulary));
    batch.targets.push_back(static_cast<int32_t>((5 * i * i + i + 2) % tiny.vocabulary));
    batch.weights.push_back(i % 4 == 1 ? 0.0F : 0.05F * static_cast<float>(1 + i % 3));
  }
  return batch;
}

// Random changes to every matrix that may have them.
inline Adapter adapter_for(const Model& model, int64_t rank, bool dora, double size_of_b = 0.3) {
  Adapter adapter;
  adapter.rank = rank;
  adapter.alpha = 4;
  adapter.dora = dora;
  uint64_t stream = 0;
  for (const MatrixInfo& info : model.weights().matrices) {
    const std::string layer = info.tensor.substr(0, info.tensor.rfind('.'));
    if (info.expert || layer_order(layer) < 0) continue;
    AdapterMatrix m;
    m.layer = layer;
    m.n = info.n, m.k = info.k, m.r = rank, m.alpha = 4;
    const RandomStream random(77, ++stream);
    uint64_t at = 0;
    for (int64_t i = 0; i < rank * info.k; ++i) {
      m.a.push_back(static_cast<float>(random.normal(at++) / std::sqrt(static_cast<double>(info.k))));
    }
    for (int64_t i = 0; i < info.n * rank; ++i) m.b.push_back(static_cast<float>(size_of_b * random.normal(at++)));
    for (int64_t i = 0; dora && i < info.n; ++i)
      m.magnitude.push_back(static_cast<float>(1 + 0.2 * random.normal(at++)));
    adapter.matrices.push_back(std::move(m));
  }
  return adapter;
}

// What DoRA's magnitudes are before anything is learnt.
inline std::vector<float> lengths_of_rows(const TinyModel& tiny, const std::string& layer) {
  const TinyTensor& tensor = tiny.tensors.at(layer + ".weight");
  const auto k = static_cast<size_t>(tensor.shape.back());
  std::vector<float> out;
  for (size_t first = 0; first < tensor.values.size(); first += k) {
    double sum = 0;
    for (size_t i = first; i < first + k; ++i) {
      sum += static_cast<double>(tensor.values[i]) * static_cast<double>(tensor.values[i]);
    }
    out.push_back(static_cast<float>(std::sqrt(sum)));
  }
  return out;
}

// The model in a file, loaded, with an adapter or all of its numbers ready to be trained.
struct Learner {
  Learner(TinyModel model_to_write, const KernelTable& isa, int threads)
      : tiny(std::move(model_to_write)), team(threads), kernels(isa) {
    const std::string path = folder.file("model.gguf");
    EXPECT_TRUE(tiny.write(path).ok());
    load(path);
  }
  // One that is there; `tiny` stands for nothing.
  Learner(const std::string& path, const KernelTable& isa, int threads) : team(threads), kernels(isa) { load(path); }

  void load(const std::string& path) {
    LoadOptions options;
    options.cache.enabled = false;
    auto loaded = Model::load(path, options);
    if (!loaded.ok()) {
      ADD_FAILURE() << loaded.error().message;
      std::abort();
    }
    model = std::move(loaded).value();
  }

  void train_all() {
    floats = FloatWeights::create(*model, team).value();
    parameters = floats->parameters();
  }
  void train_adapter(Adapter wanted, float worn_strength = 1, float dropout = 0) {
    adapter = std::move(wanted);
    strength = worn_strength;
    worn = AdapterWeights::create(adapter, *model, kernels, team, AdapterForm::kExact).value();
    table.clear();
    worn->add_to(table, strength, dropout);
    parameters = worn->parameters();
  }
  const Weights& weights() const { return floats != nullptr ? floats->weights() : model->weights(); }
  const DeltaTable* deltas() const { return worn != nullptr ? &table : nullptr; }

  std::unique_ptr<TrainPass> make_empty_pass(int64_t rows, int64_t checkpointed) {
    return TrainPass::create(*model, weights(), kernels, team, {rows, checkpointed}).value();
  }
  std::unique_ptr<TrainPass> make_pass(int64_t rows, int64_t checkpointed = 0) {
    auto pass = make_empty_pass(rows, checkpointed);
    pass->track(parameters);
    pass->wear(deltas());
    return pass;
  }
  void zero_gradients() {
    for (Parameter& p : parameters) std::fill_n(p.gradient, p.size(), 0.0F);
  }
  std::vector<float> gradients() const {
    std::vector<float> out;
    for (const Parameter& p : parameters) out.insert(out.end(), p.gradient, p.gradient + p.size());
    return out;
  }

  TestFolder folder;
  TinyModel tiny;
  ThreadTeam team;
  const KernelTable& kernels;
  std::shared_ptr<const Model> model;
  std::unique_ptr<FloatWeights> floats;
  Adapter adapter;
  std::unique_ptr<AdapterWeights> worn;
  DeltaTable table;
  float strength = 1;
  std::vector<Parameter> parameters;
};

// The loss of the rows with a weight, its gradient added to the parameters', and all of their logits.
struct PassResult {
  double loss = 0;
  std::vector<float> logits;
};
inline PassResult run_pass(TrainPass& pass, const Batch& batch, Recording recording = Recording::kOn) {
  PassResult out;
  EXPECT_TRUE(pass.forward(batch.view(), recording).ok());
  std::vector<int32_t> rows;
  for (size_t i = 0; i < batch.weights.size(); ++i) {
    if (batch.weights[i] != 0) rows.push_back(static_cast<int32_t>(i));
  }
  const Status status = pass.head(rows, recording, [&](const HeadChunk& chunk) {
    for (int64_t i = 0; i < chunk.logits.rows; ++i) {
      const auto row = static_cast<size_t>(chunk.rows[static_cast<size_t>(i)]);
      const float* logits = chunk.logits.row(i);
      out.logits.insert(out.logits.end(), logits, logits + chunk.logits.cols);
      float* gradient = recording == Recording::kOn ? chunk.gradients.row(i) : nullptr;
      const float loss = pass.ops().kernels().cross_entropy(logits, chunk.logits.cols, batch.targets[row],
                                                            batch.weights[row], gradient);
      out.loss += static_cast<double>(batch.weights[row]) * static_cast<double>(loss);
    }
  });
  EXPECT_TRUE(status.ok());
  if (recording == Recording::kOn) pass.backward();
  return out;
}

// The keys and values of each sequence, as the forward keeps them.
inline std::vector<KvPages> kept_keys(Learner& s, const Batch& batch) {
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  Transformer t(*s.model, s.weights(), s.kernels, s.team, rows);
  const RowDeltas worn = {0, rows, s.deltas()};
  if (s.deltas() != nullptr) t.ops.adapt({&worn, 1});
  const Rows x = {t.buffers.x.data(), rows, s.tiny.width, s.tiny.width};
  EXPECT_TRUE(t.embed(batch.tokens, x).ok());
  std::vector<KvPages> kept;
  int64_t row = 0;
  for (const int64_t count : batch.segments) {
    kept.emplace_back(KvLayout{kKvF16, s.tiny.blocks, s.tiny.kv_heads, t.config.padded_head_dim()});
    kept.back().reserve(0, count);
    t.place(row, count, 0, count);
    row += count;
  }
  for (int64_t layer = 0; layer < s.tiny.blocks; ++layer) {
    std::vector<BatchSegment> segments;
    row = 0;
    for (size_t i = 0; i < kept.size(); ++i) {
      segments.push_back({&kept[i], row, batch.segments[i], 0, layer});
      row += batch.segments[i];
    }
    t.layer(static_cast<size_t>(layer), segments, x);
  }
  return kept;
}

// The loss of a subject's parameters as they are, by the reference, and its derivatives.
class ReferenceLoss {
 public:
  using Complex = reference::Complex;

  ReferenceLoss(Learner& s, const Batch& batch)
      : batch_(batch), kept_(kept_keys(s, batch)), model_(s.tiny, kept_[0], batch.segments[0]) {
    for (const AdapterMatrix& m : s.adapter.matrices) {
      reference::Delta<Complex> delta;
      delta.a.assign(m.a.begin(), m.a.end());
      delta.b.assign(m.b.begin(), m.b.end());
      delta.scale = static_cast<double>(s.adapter.scaling(m));
      delta.strength = static_cast<double>(s.strength);
      delta.magnitude.assign(m.magnitude.begin(), m.magnitude.end());
      if (!m.magnitude.empty()) {
        delta.norm =
            reference::norm_of_rows<Complex>(model_.numbers(m.layer + ".weight"), delta, static_cast<size_t>(m.n));
      }
      model_.deltas()[m.layer] = std::move(delta);
    }
  }

  // The numbers that a parameter stands for.
  std::span<Complex> numbers(const Parameter& p) {
    const size_t dot = p.name.rfind('.');
    const std::string layer = p.name.substr(0, dot), role = p.name.substr(dot + 1);
    if (role == "lora_A") return model_.deltas().at(layer).a;
    if (role == "lora_B") return model_.deltas().at(layer).b;
    if (role == "lora_magnitude_vector") return model_.deltas().at(layer).magnitude;
    const size_t expert = p.name.find('#');
    std::span<Complex> all = model_.numbers(p.name.substr(0, expert));
    if (expert == std::string::npos) return all;
    const auto size = static_cast<size_t>(p.size());
    return all.subspan(std::stoul(p.name.substr(expert + 1)) * size, size);
  }

  Complex loss() {
    Complex sum = 0;
    size_t row = 0;
    for (size_t segment = 0; segment < kept_.size(); ++segment) {
      model_.begin(kept_[segment], batch_.segments[segment]);
      for (int64_t i = 0; i < batch_.segments[segment]; ++i, ++row) {
        const auto logits = model_.next(batch_.tokens[row]);
        const auto target = static_cast<size_t>(batch_.targets[row]);
        sum += static_cast<double>(batch_.weights[row]) * reference::cross_entropy(logits, target);
      }
    }
    return sum;
  }

  // d loss / d e where the numbers of p move by e * direction.
  double slope(const Parameter& p, const std::vector<double>& direction) {
    const std::span<Complex> values = numbers(p);
    for (size_t i = 0; i < values.size(); ++i) values[i] += Complex(0, reference::kStep * direction[i]);
    const double out = reference::slope(loss());
    for (Complex& value : values) value = value.real();
    return out;
  }

  bool cache_is_rounded() const { return model_.cache_is_rounded(); }

 private:
  const Batch& batch_;
  std::vector<KvPages> kept_;
  ReferenceModel<Complex> model_;
};

}  // namespace andiron
