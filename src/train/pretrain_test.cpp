// Training from nothing: what a run leaves, that it goes on where it stopped, and what it refuses.
#include "train/pretrain.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/model.h"
#include "text/byte_tokenizer_json.h"
#include "train/loss_log.h"
#include "train/verdict.h"

namespace andiron {
namespace {

class PretrainTest : public testing::Test {
 protected:
  PretrainTest() {
    folder_.write("tokenizer.json", byte_tokenizer_json());
    folder_.write("tokenizer_config.json", byte_tokenizer_config());
    options_.config = config(R"([model]
name = "small"
width = 32
layers = 2
heads = 2
kv_heads = 1
feed_forward = 48
context = 64
[tokenizer]
file = "tokenizer.json"
[data]
seq_len = 48
[data.weights]
"rows.jsonl" = 1.5
[train]
steps = 14
batch = 192
lr = 1e-2
schedule = "wsd"
held_out = 0.1
seed = 3
eval_every = 5
save_every = 3
)");
    std::string text, rows;
    for (int i = 0; i < 150; ++i) text += format("The {} birds of line {} sing again.\n", i % 5, i);
    for (int i = 0; i < 30; ++i) rows += format("{{\"prompt\": \"Say {}\", \"completion\": \"{}\"}}\n", i, i * i);
    options_.data = {folder_.write("text.txt", text), folder_.write("rows.jsonl", rows)};
    options_.out = folder_.file("run");
  }

  PretrainConfig config(const std::string& text) const {
    auto parsed = parse_pretrain_config(text, folder_.file("small.toml"));
    EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
    return parsed.ok() ? *parsed : PretrainConfig();
  }
  Result<LearnResult> run(const PretrainOptions& options, LearnEvents events = {}) {
    events.say = [this](std::string_view line) { said_ += std::string(line) + "\n"; };
    return pretrain(kernels_, team_, options, events);
  }
  LearnResult ran(const PretrainOptions& options, const LearnEvents& events = {}) {
    auto result = run(options, events);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? std::move(*result) : LearnResult();
  }
  std::string refusal(const PretrainOptions& options) {
    const auto result = run(options);
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().message;
  }
  // Stops after `steps` of this call.
  bool ran_for(const PretrainOptions& options, int64_t steps) {
    std::atomic<bool> stop = false;
    LearnEvents events;
    events.stop = &stop;
    events.step = [&](const LossRow&) { stop = --steps <= 0; };
    return !ran(options, events).stopped;
  }
  static std::vector<uint8_t> model(const PretrainOptions& options) { return read_bytes(options.out + "/model.gguf"); }

  TestFolder folder_;
  const KernelTable& kernels_ = kernels_of(available_isas().front());
  ThreadTeam team_{2};
  PretrainOptions options_;
  int lengths_ = 0;
  std::string said_;
};

TEST_F(PretrainTest, LeavesAModelThatOpensAndItsRecord) {
  double flop = 0;
  LearnEvents events;
  events.cost = [&](double per_token) { flop = per_token; };
  const LearnResult result = ran(options_, events);
  EXPECT_LT(result.record.after.find(kHeldOutLoss)->as_double(), result.record.before.find(kHeldOutLoss)->as_double());
  EXPECT_NEAR(result.record.before.find(kHeldOutLoss)->as_double(), std::log(257), 0.1) << "nothing is learned yet";
  EXPECT_EQ(result.record.method, "pretrain");
  EXPECT_EQ(result.record.verdict, "kept");
  EXPECT_EQ(result.rows.size(), 14U);
  // q, k, v, output; gate, up, down; the head.
  EXPECT_EQ(flop, 6 * (2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 48 * 32) + 257 * 32));
  EXPECT_NE(said_.find("plan: 14 steps of 192 tokens (4 sequences of 48), 2,688 in all"), std::string::npos) << said_;
  for (const char* name : {"run.json", "loss.csv", "loss.svg", "initial.gguf", "tokens/index.json", "checkpoints"}) {
    EXPECT_TRUE(file_exists(options_.out + "/" + name)) << name;
  }
  LoadOptions loading;
  loading.cache.enabled = false;
  const auto model = Model::load(options_.out + "/model.gguf", loading);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ((*model)->config().name, "small");
  EXPECT_EQ((*model)->config().context, 64);
  EXPECT_NE(refusal(options_).find("there is a run in this folder"), std::string::npos);
}

// The rates are the configuration's.
TEST_F(PretrainTest, TheScheduleEndsAtTheLeastRate) {
  options_.config.schedule = Schedule::Kind::kLinear;
  options_.config.warmup = 0.2;  // two steps
  options_.config.min_lr = 1e-3;
  const auto rows = ran(options_).rows;
  EXPECT_DOUBLE_EQ(rows[0].learning_rate, 5e-3);
  EXPECT_DOUBLE_EQ(rows[1].learning_rate, 1e-2);
  EXPECT_DOUBLE_EQ(rows[13].learning_rate, 1e-3 + 9e-3 / 13);
}

TEST_F(PretrainTest, StopsAnywhereAndGoesOnWithTheSameNumbers) {
  options_.config.model.shape.feed_forward = 64;  // whole blocks
  using Case = std::pair<const char*, bool>;
  for (const auto& [compute, muon] : {Case{"f32", false}, {"bf16", false}, {"q8_0", false}, {"q8_0", true}}) {
    options_.config.compute = compute;
    options_.config.optimizer.muon = muon;
    options_.out = folder_.file(format("whole-{}{}", compute, muon ? "-muon" : ""));
    ran(options_);
    const auto whole = model(options_);
    ASSERT_FALSE(whole.empty());
    const RandomStream random(3);
    options_.out = folder_.file(format("parts-{}{}", compute, muon ? "-muon" : ""));
    PretrainOptions part = options_;
    bool done = ran_for(part, 1);
    part.resume = true;
    for (uint64_t i = 0; !done && i < 30; ++i) done = ran_for(part, 1 + static_cast<int64_t>(3 * random.uniform(i)));
    EXPECT_TRUE(done);
    EXPECT_TRUE(model(options_) == whole);
    ran(part);  // there is nothing left to do
    EXPECT_TRUE(model(options_) == whole);
    // Without its tokens they are made again, and are the same.
    std::filesystem::remove_all(options_.out + "/tokens");
    ran(part);
    EXPECT_TRUE(model(options_) == whole);
  }
  EXPECT_FALSE(read_bytes(folder_.file("whole-f32/model.gguf")) == read_bytes(folder_.file("whole-bf16/model.gguf")));
}

TEST_F(PretrainTest, ThreadsChangeNothing) {
  ran(options_);
  const auto whole = model(options_);
  options_.out = folder_.file("alone");
  ThreadTeam one(1);
  ASSERT_TRUE(pretrain(kernels_, one, options_, {}).ok());
  EXPECT_TRUE(model(options_) == whole);
}

TEST_F(PretrainTest, GoesOnOnlyWithTheSameDataAndConfiguration) {
  ASSERT_FALSE(ran_for(options_, 4));
  PretrainOptions again = options_;
  again.resume = true;
  const auto with = [&](auto change) {
    PretrainOptions changed = again;
    change(changed);
    return refusal(changed);
  };
  EXPECT_TRUE(
      with([](PretrainOptions& o) { o.config.lr = 1; }).starts_with("train.lr: the run to go on with has 0.01"));
  EXPECT_TRUE(with([](PretrainOptions& o) { o.config.model.seed = 4; }).starts_with("train.seed: "));
  EXPECT_TRUE(with([](PretrainOptions& o) { o.config.weights.clear(); }).starts_with("data.weights: "));
  EXPECT_TRUE(with([](PretrainOptions& o) { o.steps = 15; }).starts_with("--steps: the run to go on with has 14"));
  EXPECT_NE(with([&](PretrainOptions& o) {
              o.data[0] = folder_.write("other.txt", "Another text.");
            }).find("not begun with this data"),
            std::string::npos);
  EXPECT_TRUE(
      with([&](PretrainOptions& o) { o.out += "-none"; }).ends_with("there is no run to resume in this folder"));
  again.memory_bytes = uint64_t{1} << 32;  // changes no number
  again.checkpointing = Checkpointing::kOn;
  ran(again);
}

TEST_F(PretrainTest, ALearnRunIsNotGoneOnWith) {
  ASSERT_FALSE(ran_for(options_, 4));
  auto record = read_run_record(options_.out + "/run.json");
  ASSERT_TRUE(record.ok());
  record->method = "full";
  ASSERT_TRUE(write_run_record(options_.out + "/run.json", *record).ok());
  options_.resume = true;
  EXPECT_NE(refusal(options_).find("is of another kind (full)"), std::string::npos);
}

TEST_F(PretrainTest, LengthsAreWhatWasAskedFor) {
  const auto steps = [&](auto change) {
    PretrainOptions options = options_;
    options.out = folder_.file(format("length-{}", lengths_++));
    options.config.steps.reset();
    change(options);
    return ran(options).record.steps;
  };
  EXPECT_EQ(steps([](PretrainOptions& o) { o.config.tokens = 1000; }), 6) << "1,000 / 192, rounded up";
  EXPECT_EQ(steps([](PretrainOptions& o) { o.steps = 2; }), 2);
  const int64_t epoch = steps([](PretrainOptions&) {});
  EXPECT_GT(epoch, 10);
  EXPECT_NEAR(static_cast<double>(steps([](PretrainOptions& o) { o.config.epochs = 0.5; })),
              0.5 * static_cast<double>(epoch), 1);
}

TEST_F(PretrainTest, ABudgetThatIsTooShortIsRefused) {
  options_.config.steps = 1'000'000'000;
  options_.budget_seconds = 60;
  EXPECT_NE(refusal(options_).find("1,000,000,000 steps take about "), std::string::npos);
}

TEST_F(PretrainTest, WeightsOfFilesThatAreNotThereAreRefused) {
  options_.config.weights["chats.jsonl"] = 1;
  EXPECT_EQ(refusal(options_), "data.weights.chats.jsonl: no file of the data has this name");
  options_.config.weights = {{"rows.jsonl", 0}, {"text.txt", 0}};
  options_.out += "-2";
  EXPECT_EQ(refusal(options_), "data.weights: they leave nothing to train on");
}

}  // namespace
}  // namespace andiron
