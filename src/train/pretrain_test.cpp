// Training from nothing: what a run leaves, that it goes on where it stopped, and what it refuses.
#include "train/pretrain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "base/atomic_file.h"
#include "base/random.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "model/forward.h"
#include "model/model.h"
#include "text/byte_tokenizer_json.h"
#include "text/jinja.h"
#include "train/loss_log.h"
#include "train/pretrain_config_keys.h"
#include "train/run_loop.h"
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

class PretrainedFamilies : public PretrainTest, public testing::WithParamInterface<const char*> {};

// Two steps, without a stop and with one between them; what that leaves is opened and asked.
TEST_P(PretrainedFamilies, GoOnWithTheSameNumbersAndAnswer) {
  options_.config.model.shape.architecture = GetParam();
  options_.steps = 2;
  const LearnResult result = ran(options_);
  const double before = result.record.before.member(kHeldOutLoss).number_or(kNotMeasured);
  const double after = result.record.after.member(kHeldOutLoss).number_or(kNotMeasured);
  EXPECT_TRUE(std::isfinite(before) && std::isfinite(after)) << before << ", " << after;
  EXPECT_NE(before, after) << "nothing was trained";

  LoadOptions loading;
  loading.cache.enabled = false;
  const auto loaded = Model::load(options_.out + "/model.gguf", loading);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ((*loaded)->config().architecture, GetParam());
  auto cache = KvCache::create(**loaded, 64).value();
  const auto forward = Forward::create(**loaded, kernels_, team_).value();
  const std::vector<int32_t> tokens = {'T', 'h', 'e', ' '};  // a token is a byte
  const Sequence sequence = {&cache, tokens, LogitRows::kLast};
  ASSERT_TRUE(forward->run({&sequence, 1}).ok());
  const float* logits = forward->logits().data;  // [1, 257]
  EXPECT_TRUE(std::all_of(logits, logits + 257, [](float logit) { return std::isfinite(logit); }));
  const auto [least, most] = std::minmax_element(logits, logits + 257);
  EXPECT_LT(*least, *most);

  const auto whole = model(options_);
  ASSERT_FALSE(whole.empty());
  options_.out = folder_.file("parts");
  ASSERT_FALSE(ran_for(options_, 1));
  options_.resume = true;
  ran(options_);
  EXPECT_TRUE(model(options_) == whole);
}

INSTANTIATE_TEST_SUITE_P(All, PretrainedFamilies,
                         testing::Values("llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"),
                         [](const auto& instance) { return std::string(instance.param); });

// Completions have no template here, whose text behind the last answer would be in the rows of everything only.
TEST_F(PretrainTest, PromptsThatWeighOneAreTrainedAsEverythingIs) {
  const auto trained = [&](LossOn loss_on, double prompt_weight) {
    options_.config.loss_on = loss_on;
    options_.config.prompt_weight = prompt_weight;
    options_.out = folder_.file(format("prompts-{}", lengths_++));
    const LearnResult result = ran(options_);
    return std::pair(model(options_), result.record.before.find(kHeldOutLoss)->as_double());
  };
  const auto [everything, everything_held_out] = trained(LossOn::kEverything, 0);
  const auto [answers, held_out] = trained(LossOn::kAnswers, 0);
  EXPECT_FALSE(answers == everything);
  EXPECT_NE(held_out, everything_held_out);
  for (const double weight : {0.3, 1.0}) {
    const auto [weighted, weighted_held_out] = trained(LossOn::kAnswers, weight);
    EXPECT_FALSE(weighted == answers);
    EXPECT_EQ(weighted == everything, weight == 1.0);
    EXPECT_EQ(weighted_held_out, held_out) << "measured on answers";
  }
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
  const auto tokens = [&](const char* name) { return read_bytes(options_.out + "/tokens/" + name); };
  const auto index = tokens("index.json"), rows = tokens("0000.tokens");
  ASSERT_FALSE(index.empty() || rows.empty());
  const std::string other = folder_.write("other.txt", "Another text.");
  EXPECT_TRUE(
      with([&](PretrainOptions& o) {
        o.data[0] = other;
      }).starts_with(other + ": the run was not begun with this train data: its train was " + options_.data[0]));
  EXPECT_EQ(with([](PretrainOptions& o) { o.data.pop_back(); }).find("data.weights.rows.jsonl: no file"), 0U);
  EXPECT_TRUE(with([&](PretrainOptions& o) {
                o.data.push_back(other);
              }).starts_with(other + ": the run was not begun with this train data"));
  const std::string markdown = folder_.write("text.md", read_text_file(options_.data[0]).value());
  EXPECT_TRUE(with([&](PretrainOptions& o) {
                o.data[0] = markdown;
              }).starts_with(markdown + ": the run read it as text, and now it is markdown"));
  EXPECT_TRUE(tokens("index.json") == index && tokens("0000.tokens") == rows) << "nothing was made anew";
  EXPECT_TRUE(
      with([&](PretrainOptions& o) { o.out += "-none"; }).ends_with("there is no run to resume in this folder"));
  again.memory_bytes = uint64_t{1} << 32;  // changes no number
  again.checkpointing = Checkpointing::kOn;
  ran(again);
}

TEST_F(PretrainTest, AResumedRunHasEveryKeyAsItWas) {
  options_.config = config(config_text());
  ASSERT_FALSE(ran_for(options_, 1));
  options_.resume = true;
  for (const ConfigKey& key : kConfigKeys) {
    if (key.json.empty()) continue;
    PretrainOptions changed = options_;
    changed.config = config(config_text(key.json));
    const std::string message = refusal(changed);
    EXPECT_TRUE(message.starts_with(std::string(key.json) + ": the run to go on with has ")) << message;
  }
  EXPECT_FALSE(ran_for(options_, 1));
}

TEST_F(PretrainTest, AResumedRunHasItsTokenizerAndTemplate) {
  ASSERT_FALSE(ran_for(options_, 4));
  options_.resume = true;
  PretrainOptions other = options_;
  other.config.model.chat_template = folder_.write("chat.jinja", "{{ messages[0].content }}");
  EXPECT_EQ(refusal(other), "tokenizer.template: " + folder_.file("chat.jinja") +
                                " is not the chat template that the run to go on with has; begin another run");
  std::string json = byte_tokenizer_json(), settings = byte_tokenizer_config();
  for (std::string* text : {&json, &settings}) {
    for (size_t at; (at = text->find("<|end|>")) != std::string::npos;) text->replace(at, 7, "<|fin|>");
  }
  other = options_;
  other.config.model.tokenizer = folder_.write("other.tokenizer.json", json);
  folder_.write("other.tokenizer_config.json", settings);
  EXPECT_EQ(refusal(other), "tokenizer.file: " + folder_.file("other.tokenizer.json") +
                                " is not the tokenizer that the run to go on with has; begin another run");
  ran(options_);
}

TEST_F(PretrainTest, ATemplateThatIsNoneIsRefusedAtOnce) {
  options_.config.model.chat_template = folder_.write("bad.jinja", "{% if %}");
  EXPECT_NE(refusal(options_).find("bad.jinja"), std::string::npos);
  EXPECT_FALSE(file_exists(options_.out));
  folder_.write("bad.jinja", std::string(jinja::kMaxTemplateBytes + 1, ' '));
  EXPECT_NE(refusal(options_).find("bad.jinja: larger than the 128 KiB allowed"), std::string::npos);
}

TEST_F(PretrainTest, AModelWithoutRoomIsRefusedBeforeAnythingIsWritten) {
  DenseShape& shape = options_.config.model.shape;
  shape.width = 40960;
  shape.layers = 64;
  shape.heads = shape.kv_heads = 320;
  shape.head_dim = 128;
  shape.feed_forward = 110'000;
  EXPECT_NE(refusal(options_).find("may be used: make the model smaller, or its sequences shorter"), std::string::npos);
  EXPECT_FALSE(file_exists(options_.out));
  options_.memory_bytes = uint64_t{1} << 62;
  EXPECT_NE(refusal(options_).find("2 models of 4.7"), std::string::npos) << refusal(options_);
  EXPECT_FALSE(file_exists(options_.out));
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

// 2^40 steps of 192 positions.
TEST_F(PretrainTest, LongRunsAreCountedRight) {
  options_.config.steps = kPretrainStepsMax;
  options_.config.eval_every.reset();
  EXPECT_FALSE(ran_for(options_, 1));
  EXPECT_NE(said_.find("plan: 1,099,511,627,776 steps of 192 tokens (4 sequences of 48), 211,106,232,532,992 in all"),
            std::string::npos)
      << said_;
}

TEST_F(PretrainTest, WithoutHeldOutRowsItIsADraftAndGoesOn) {
  options_.config.held_out = 0;
  const LearnResult result = ran(options_);
  EXPECT_EQ(result.record.held_out_rows, 0);
  EXPECT_EQ(result.record.after.find(kHeldOutLoss), nullptr);
  EXPECT_EQ(result.record.verdict, "draft");
  const auto whole = model(options_);
  options_.out = folder_.file("parts");
  ASSERT_FALSE(ran_for(options_, 4));
  options_.resume = true;
  ran(options_);
  EXPECT_TRUE(model(options_) == whole);
}

// A budget of twenty runs: it is not too short for one, and is then slept through in the first step.
TEST_F(PretrainTest, ABudgetEndsTheRun) {
  const double begin = now_seconds();
  ran(options_);
  // More than the whole run takes on a machine that has become busy; all of it is waited for.
  const double budget = std::max(1.0, 8 * (now_seconds() - begin));
  const auto whole = model(options_);
  options_.out = folder_.file("in-time");
  options_.budget_seconds = budget;
  const double called = now_seconds();
  LearnEvents events;
  events.step = [&](const LossRow&) {
    while (now_seconds() - called <= budget) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  said_.clear();
  const LearnResult result = ran(options_, events);
  EXPECT_FALSE(result.stopped);
  EXPECT_EQ(result.rows.size(), 1U);
  EXPECT_NE(said_.find(", within "), std::string::npos) << said_;
  EXPECT_NE(said_.find("the time is used up"), std::string::npos) << said_;
  EXPECT_FALSE(model(options_).empty());
  options_.budget_seconds = 0;
  options_.resume = true;
  ran(options_);
  EXPECT_TRUE(model(options_) == whole);
}

TEST_F(PretrainTest, OfTheNamesThatFitAFileTheLongestDecides) {
  std::filesystem::create_directory(folder_.file("z"));
  const std::string deep = folder_.write("z/rows.jsonl", "{\"prompt\": \"Sing\", \"completion\": \"la\"}\n");
  options_.data = {options_.data[1], deep};
  options_.config.held_out = 0;
  options_.config.weights = {{"rows.jsonl", 0}, {"z/rows.jsonl", 4}};
  ran(options_);
  EXPECT_EQ(said_.find("an epoch has 0"), std::string::npos) << said_;
  options_.out += "-2";
  options_.data = {deep};
  EXPECT_EQ(refusal(options_),
            "data.weights.rows.jsonl: no file of the data has this name, or each has a longer one there");
}

TEST_F(PretrainTest, AnEpochWithoutRowsIsNoRun) {
  options_.config.weights = {{"rows.jsonl", 0.001}, {"text.txt", 0}};
  options_.config.steps.reset();
  EXPECT_NE(refusal(options_).find("and so no step"), std::string::npos);
}

TEST_F(PretrainTest, WeightsOfFilesThatAreNotThereAreRefused) {
  options_.config.weights["chats.jsonl"] = 1;
  EXPECT_EQ(refusal(options_),
            "data.weights.chats.jsonl: no file of the data has this name, or each has a longer one there");
  EXPECT_FALSE(file_exists(options_.out + "/tokens"));
  options_.config.weights = {{"rows.jsonl", 0}, {"text.txt", 0}};
  options_.out += "-2";
  EXPECT_EQ(refusal(options_), "data.weights: they leave nothing to train on");
}

}  // namespace
}  // namespace andiron
