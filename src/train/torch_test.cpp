// Loss, gradients and ten steps of training against PyTorch (tests/oracles/torch_training.py).
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "base/atomic_file.h"
#include "base/json.h"
#include "format/safetensors.h"
#include "train/trainer_fixture.h"

namespace andiron {
namespace {

constexpr int64_t kSteps = 10;

struct Hyper {
  double rate, weight_decay, clip_norm;
};

SafetensorsOut floats_of(const std::string& name, std::vector<uint64_t> shape, const float* data) {
  SafetensorsOut out;
  out.name = name;
  out.shape = std::move(shape);
  uint64_t count = 1;
  for (const uint64_t d : out.shape) count *= d;
  out.data = {reinterpret_cast<const uint8_t*>(data), count * sizeof(float)};
  return out;
}
SafetensorsOut floats_of(const Parameter& p) {
  return floats_of(p.name, std::vector<uint64_t>(p.shape.begin(), p.shape.end()), p.value);
}

// What the script reads. All rows have the same length.
void write_task(Subject& s, FloatWeights& base, const TokenRows& rows, const Hyper& hyper, const std::string& path) {
  const ModelConfig& config = s.model->config();
  Json settings = Json::object(), names = Json::array();
  for (const Parameter& p : s.parameters) names.push(p.name);
  settings.set("blocks", config.blocks).set("head_dim", config.head_dim).set("steps", kSteps);
  settings.set("epsilon", static_cast<double>(config.norm_epsilon)).set("rope_base", config.rope.base);
  settings.set("rate", hyper.rate).set("weight_decay", hyper.weight_decay).set("clip_norm", hyper.clip_norm);
  settings.set("parameters", names);
  if (!s.adapter.matrices.empty()) {
    settings.set("scale", static_cast<double>(s.adapter.scaling(s.adapter.matrices[0])));
  }
  std::vector<float> tokens, trained;
  for (const TokenRow& row : rows.rows) {
    tokens.insert(tokens.end(), row.tokens.begin(), row.tokens.end());
    trained.insert(trained.end(), row.trained.begin(), row.trained.end());
  }
  const uint64_t count = rows.rows.size(), length = rows.rows[0].tokens.size();
  std::vector<SafetensorsOut> tensors = {floats_of("tokens", {count, length}, tokens.data()),
                                         floats_of("trained", {count, length}, trained.data())};
  const auto weights = base.parameters();
  for (const Parameter& p : weights) tensors.push_back(floats_of(p));
  for (const Parameter& p : s.parameters) {
    if (s.worn != nullptr) tensors.push_back(floats_of(p));
  }
  const std::pair<std::string, std::string> metadata = {"settings", settings.dump()};
  ASSERT_TRUE(write_safetensors(path, tensors, {&metadata, 1}).ok());
}

// The script's answer; null where there is no PyTorch.
std::shared_ptr<const SafetensorsFile> ask_torch(const std::string& in, const std::string& out) {
  const std::string script = ANDIRON_SOURCE_DIR "/tests/oracles/torch_training.py";
  const int status = std::system(("/usr/bin/python3 -W ignore '" + script + "' '" + in + "' '" + out + "'").c_str());
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == 3 || code == 127) return nullptr;
  EXPECT_EQ(code, 0);
  auto file = SafetensorsFile::open(out);
  EXPECT_TRUE(file.ok());
  return file.ok() ? *file : nullptr;
}

// Both round keys and values to f16. One in a hundred lies so near the middle between two that float arithmetic moves
// it across, by a part in 2048: which turns a gradient by sqrt(1 / 100) / 2048, some 5e-5 of its length; four of that
// leave room for two layers and for float rounding beside it (60 roundings a layer: 1e-5).
constexpr double kGradientTolerance = 2e-4;
// A loss is changed in the second order of what changes weights, and in the first of what changes activations: the
// flips cancel over rows. Ten steps of Adam, which scales small gradients up to the size of large ones, may differ
// more.
constexpr double kLossTolerance = 2e-5, kCurveTolerance = 1e-4;

void expect_like_torch(Subject& s, FloatWeights& base, int64_t length, const Hyper& hyper) {
  const TokenRows rows = made_rows(4, length, s.model->config().vocabulary, true);
  const TestFolder folder;
  write_task(s, base, rows, hyper, folder.file("in"));
  const auto expected = ask_torch(folder.file("in"), folder.file("out"));
  if (expected == nullptr) {
    GTEST_SKIP() << "/usr/bin/python3 with PyTorch (package python3-torch) is not installed: NOT COMPARED";
  }
  const Json losses = parse_json(*expected->metadata("losses"), "losses").value();
  TrainerOptions options;
  options.optimizer.weight_decay = static_cast<float>(hyper.weight_decay);
  options.optimizer.clip_norm = hyper.clip_norm;
  Training training(s, rows, kSteps, hyper.rate, options);
  for (int64_t step = 0; step < kSteps; ++step) {
    const StepReport report = training.trainer->step().value();
    const double want = losses.items()[static_cast<size_t>(step)].as_double();
    EXPECT_NEAR(report.loss, want, (step == 0 ? kLossTolerance : kCurveTolerance) * want) << "step " << step + 1;
    if (step > 0) continue;
    for (const Parameter& p : s.parameters) {
      const auto gradient = expected->floats(*expected->find(p.name)).value();
      double difference = 0, square = 0;
      for (size_t i = 0; i < gradient.size(); ++i) {
        const auto g = static_cast<double>(gradient[i]);
        difference += (static_cast<double>(p.gradient[i]) - g) * (static_cast<double>(p.gradient[i]) - g);
        square += g * g;
      }
      EXPECT_GT(square, 0) << p.name;
      EXPECT_LE(std::sqrt(difference), kGradientTolerance * std::sqrt(square)) << p.name;
    }
  }
  const double first = losses.items()[0].as_double(), last = losses.items().back().as_double();
  EXPECT_LT(last, 0.95 * first) << "nothing was learnt";
}

TEST(Torch, TrainsAllNumbersOfATinyLlamaAlike) {
  Subject s(small_model({"llama", [](TinyModel& m) { m.width = 64, m.inner = 88; }}), best_kernels(), 2);
  s.train_all();
  expect_like_torch(s, *s.floats, 40, {3e-3, 0.1, 1});
}

TEST(Torch, TrainsAnAdapterOfATinyLlamaAlike) {
  Subject s(small_model({"llama", [](TinyModel& m) { m.tied = true, m.head_dim = 20; }}), best_kernels(), 2);
  const auto base = FloatWeights::create(*s.model, s.team).value();
  s.train_adapter(adapter_for(*s.model, 4, false, 0.05));
  expect_like_torch(s, *base, 40, {1e-2, 0.01, 0});
}

TEST(Torch, TrainsAStoryTellerAlike) {
  const std::string folder = ANDIRON_SOURCE_DIR "/../shared/data/models/tinystories-656k";
  if (!file_exists(folder)) GTEST_SKIP() << folder << " is not there";
  Subject adapter(folder, best_kernels(), 2);
  const auto base = FloatWeights::create(*adapter.model, adapter.team).value();
  adapter.train_adapter(adapter_for(*adapter.model, 4, false, 0.02));
  expect_like_torch(adapter, *base, 60, {5e-3, 0, 1});
  Subject all(folder, best_kernels(), 2);
  all.train_all();
  expect_like_torch(all, *all.floats, 60, {1e-3, 0.01, 1});
}

}  // namespace
}  // namespace andiron
