// For tests only: a run of training as PyTorch does it (tests/oracles/torch_training.py).
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/packing.h"
#include "format/safetensors.h"
#include "train/trainer_fixture.h"

namespace andiron {

inline SafetensorsOut floats_of(const std::string& name, std::vector<uint64_t> shape, const float* data) {
  SafetensorsOut out;
  out.name = name;
  out.shape = std::move(shape);
  uint64_t count = 1;
  for (const uint64_t d : out.shape) count *= d;
  out.data = {reinterpret_cast<const uint8_t*>(data), count * sizeof(float)};
  return out;
}
inline SafetensorsOut floats_of(const Parameter& p) {
  return floats_of(p.name, std::vector<uint64_t>(p.shape.begin(), p.shape.end()), p.value);
}

// Rows as one rectangle; short rows end with tokens that are not trained.
struct RowsOut {
  std::vector<float> tokens, trained;
  uint64_t rows = 0, width = 0;

  explicit RowsOut(const TokenRows& from) : rows(from.rows.size()) {
    for (const TokenRow& row : from.rows) width = std::max<uint64_t>(width, row.tokens.size());
    for (const TokenRow& row : from.rows) {
      tokens.insert(tokens.end(), row.tokens.begin(), row.tokens.end());
      trained.insert(trained.end(), row.trained.begin(), row.trained.end());
      tokens.resize((tokens.size() + width - 1) / width * width);
      trained.resize(tokens.size());
    }
  }
  void add_to(std::vector<SafetensorsOut>& out, const std::string& name) const {
    out.push_back(floats_of(name + ".tokens", {rows, width}, tokens.data()));
    out.push_back(floats_of(name + ".trained", {rows, width}, trained.data()));
  }
};

// The rows of every step, as the options cut the epochs into steps.
inline Json order_of(const TokenRows& rows, const TrainerOptions& options) {
  std::vector<int64_t> positions;
  for (const TokenRow& row : rows.rows) positions.push_back(row.positions());
  PackOptions packing = options.packing;
  Json order = Json::array();
  uint64_t epoch = 0;
  auto sequences = plan_epoch(positions, packing, epoch);
  size_t at = 0;
  for (int64_t step = 0; step < options.schedule.steps; ++step) {
    Json taken = Json::array();
    for (int64_t i = 0; i < options.sequences; ++i) {
      if (at == sequences.size()) {
        sequences = plan_epoch(positions, packing, ++epoch);
        at = 0;
      }
      for (const uint32_t row : sequences[at]) taken.push(static_cast<int64_t>(row));
      ++at;
    }
    order.push(std::move(taken));
  }
  return order;
}

// `base`: the weights under an adapter, or all that is trained. Held-out rows may be missing.
inline void write_torch_task(Learner& s, FloatWeights& base, const TrainData& data, const TrainerOptions& options,
                             int64_t measure_every, const std::string& path) {
  const ModelConfig& config = s.model->config();
  Json settings = Json::object(), names = Json::array();
  for (const Parameter& p : s.parameters) names.push(p.name);
  settings.set("blocks", config.blocks).set("head_dim", config.head_dim);
  settings.set("epsilon", static_cast<double>(config.norm_epsilon)).set("rope_base", config.rope.base);
  settings.set("rate", options.schedule.peak).set("schedule", schedule_kind_name(options.schedule.kind));
  settings.set("warmup_steps", options.schedule.warmup_steps);
  settings.set("weight_decay", static_cast<double>(options.optimizer.weight_decay));
  settings.set("clip_norm", options.optimizer.clip_norm);
  settings.set("order", order_of(*data.train, options)).set("measure_every", measure_every);
  settings.set("parameters", names);
  if (!s.adapter.matrices.empty()) {
    settings.set("scale", static_cast<double>(s.adapter.scaling(s.adapter.matrices[0])));
  }
  std::vector<SafetensorsOut> tensors;
  const RowsOut train(*data.train), held_out(data.held_out != nullptr ? *data.held_out : TokenRows());
  train.add_to(tensors, "train");
  if (data.held_out != nullptr) held_out.add_to(tensors, "held_out");
  const auto weights = base.parameters();
  for (const Parameter& p : weights) tensors.push_back(floats_of(p));
  for (const Parameter& p : s.parameters) {
    if (s.worn != nullptr) tensors.push_back(floats_of(p));
  }
  const std::pair<std::string, std::string> metadata = {"settings", settings.dump()};
  ASSERT_TRUE(write_safetensors(path, tensors, {&metadata, 1}).ok());
}

inline constexpr std::string_view kNoTorch =
    "/usr/bin/python3 with PyTorch (package python3-torch) is not installed: NOT COMPARED";

// The script's answer; null where there is no PyTorch.
inline std::shared_ptr<const SafetensorsFile> ask_torch(const std::string& in, const std::string& out) {
  const std::string script = ANDIRON_SOURCE_DIR "/tests/oracles/torch_training.py";
  const int status = std::system(("/usr/bin/python3 -W ignore '" + script + "' '" + in + "' '" + out + "'").c_str());
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == 3 || code == 127) return nullptr;
  EXPECT_EQ(code, 0);
  auto file = SafetensorsFile::open(out);
  EXPECT_TRUE(file.ok());
  return file.ok() ? *file : nullptr;
}

}  // namespace andiron
