// Whole courses of training on real text against PyTorch (tests/oracles/torch_training.py): a small story teller learns
// Shakespeare, and to answer prompts. Rows are read, packed and shuffled as `andiron learn` does it; PyTorch gets the
// same rows in the same order, unpacked, and the same numbers to begin with.
//
// 40 steps each; README.md's numbers are of 400:
//
//   ANDIRON_CURVE_STEPS=400 build/release/src/train_test --gtest_filter='TorchCurves.*'
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/test_sanitizers.h"
#include "data/dataset.h"
#include "format/model_source.h"
#include "model/tokenizer_source.h"
#include "train/torch_fixture.h"

namespace andiron {
namespace {

const std::string kShared = ANDIRON_SOURCE_DIR "/../shared/data";
const std::string kModel = kShared + "/models/tinystories-656k";

int64_t steps_wanted() {
  const char* set = std::getenv("ANDIRON_CURVE_STEPS");
  return set == nullptr ? 40 : std::max(1, std::atoi(set));
}

// The first lines of a file that gzip made.
bool unpack_lines(const std::string& from, int64_t lines, const std::string& to) {
  FILE* unpacked = popen(("gzip -dc '" + from + "'").c_str(), "r");
  if (unpacked == nullptr) return false;
  std::ofstream out(to, std::ios::binary);
  for (int c = std::fgetc(unpacked); c != EOF && lines > 0; c = std::fgetc(unpacked)) {
    out.put(static_cast<char>(c));
    lines -= c == '\n' ? 1 : 0;
  }
  pclose(unpacked);
  return lines == 0;
}

struct Curve {
  std::vector<double> losses;                        // by step
  std::vector<std::pair<int64_t, double>> measured;  // steps done, held-out loss
};

Curve train(Learner& s, const TrainData& data, const TrainerOptions& options, int64_t measure_every) {
  Training training(s, data, options);
  Trainer& trainer = *training.trainer;
  Curve out;
  const auto measure = [&] {
    out.measured.emplace_back(trainer.steps_done(), trainer.measure(*data.held_out).value().loss);
  };
  measure();
  while (!trainer.done()) {
    out.losses.push_back(trainer.step().value().loss);
    if (trainer.steps_done() % measure_every == 0 || trainer.done()) measure();
  }
  return out;
}

// The greatest difference of `ours` from PyTorch's, in parts of PyTorch's.
double greatest_difference(const std::vector<double>& ours, const std::vector<double>& theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double greatest = 0;
  for (size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    greatest = std::max(greatest, std::abs(ours[i] - theirs[i]) / theirs[i]);
  }
  return greatest;
}

class TorchCurves : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "shows sums of many steps; each step is in trainer_test and torch_test";
    if (!file_exists(kModel)) GTEST_SKIP() << kModel << " is not there";
  }

  DataSet read(const std::string& path) {
    auto source = open_model_source(kModel).value();
    const auto tokenizer = Tokenizer::create(tokenizer_spec(*source).value()).value();
    ThreadTeam team(1);
    DataOptions options;
    options.seq_len = kSeqLen;
    options.held_out = 0.1;
    options.held_out_rows_max = 32;
    return load_data({path}, tokenizer, kModel, options, team).value();
  }

  void expect_like_torch(const std::string& what, Learner& s, FloatWeights& base, const DataSet& rows, double rate) {
    TrainerOptions options;
    options.packing.seq_len = kSeqLen;
    options.sequences = 2;
    options.rows_per_pass = kSeqLen;  // so that a step's gradient is of more than one pass
    options.optimizer.weight_decay = 0.01f;
    options.schedule.peak = rate;
    options.schedule.steps = steps_wanted();
    options.schedule.warmup_steps = options.schedule.steps / 20;
    const int64_t every = std::max<int64_t>(10, options.schedule.steps / 20);
    const TrainData data = {.train = &rows.train, .held_out = &rows.held_out};
    const TestFolder folder;
    write_torch_task(s, base, data, options, every, folder.file("in"));
    const auto answer = ask_torch(folder.file("in"), folder.file("out"));
    if (answer == nullptr) GTEST_SKIP() << kNoTorch;
    const Json all_losses = parse_json(*answer->metadata("losses"), "losses").value();
    const Json all_measured = parse_json(*answer->metadata("measured"), "measured").value();
    std::vector<double> losses, measured, ours_measured;
    for (const Json& loss : all_losses.items()) {
      losses.push_back(loss.as_double());
    }
    for (const Json& pair : all_measured.items()) {
      measured.push_back(pair.items()[1].as_double());
    }
    const Curve ours = train(s, data, options, every);
    for (const auto& [step, loss] : ours.measured) ours_measured.push_back(loss);
    const double held_out = greatest_difference(ours_measured, measured);
    const double trained = greatest_difference(ours.losses, losses);
    std::printf(
        "%s: %d steps, held-out loss %.4f to %.4f; greatest difference from PyTorch %.4f%% at %d measured, "
        "%.4f%% of the loss of a step\n",
        what.c_str(), static_cast<int>(options.schedule.steps), ours_measured.front(), ours_measured.back(),
        100 * held_out, static_cast<int>(measured.size()), 100 * trained);
    EXPECT_LE(held_out, kTolerance);
    EXPECT_LE(trained, kTolerance);
    EXPECT_LT(ours_measured.back(), 0.95 * ours_measured.front()) << "nothing was learnt";
  }

  void expect_both_alike(const std::string& what, const DataSet& rows) {
    ThreadTeam team(2);
    Learner worn(kModel, best_kernels(), 2);
    const auto base = FloatWeights::create(*worn.model, worn.team).value();
    Adapter adapter = adapter_for(*worn.model, 8, false, 0);
    for (AdapterMatrix& m : adapter.matrices) m.alpha = 16;
    worn.train_adapter(std::move(adapter));
    expect_like_torch(what + ", LoRA", worn, *base, rows, 5e-3);
    if (IsSkipped() || HasFailure()) return;
    Learner all(kModel, best_kernels(), 2);
    all.train_all();
    expect_like_torch(what + ", all weights", all, *all.floats, rows, 2e-3);
  }

  static constexpr int64_t kSeqLen = 256;
  // Rounding differs, and keys and values that fall on the other side of a rounding to f16 (torch_test.cpp: 2e-5 of a
  // loss). Steps amplify it: a single batch came to 3.3e-4 after 400 steps, held-out rows to 2e-5. What the warm-up is
  // one step late changes is a hundred times as much.
  static constexpr double kTolerance = 1e-3;
};

TEST_F(TorchCurves, Shakespeare) { expect_both_alike("Tiny Shakespeare", read(kShared + "/text/tinyshakespeare.txt")); }

TEST_F(TorchCurves, AnswersToPrompts) {
  const TestFolder folder;
  ASSERT_TRUE(unpack_lines(kShared + "/instruct/p3_short.jsonl.gz", 1000, folder.file("p3.jsonl")));
  expect_both_alike("1,000 rows of p3_short", read(folder.file("p3.jsonl")));
}

}  // namespace
}  // namespace andiron
