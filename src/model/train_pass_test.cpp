// What TrainPass promises: the numbers of the forward that answers, and the same gradients however they were come by.
#include "model/train_pass.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/test_sanitizers.h"
#include "model/forward.h"
#include "model/gradient_fixture.h"

namespace andiron {
namespace {

struct Learnt {
  PassResult result;
  std::vector<float> gradients;
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Learnt run_once(Learner& s, TrainPass& pass, const Batch& batch) {
  s.zero_gradients();
  Learnt out;
  out.result = run_pass(pass, batch);
  out.gradients = s.gradients();
  return out;
}

void expect_same(const Learnt& a, const Learnt& b, const std::string& what) {
  EXPECT_TRUE(same_bits(a.result.logits, b.result.logits)) << what;
  EXPECT_TRUE(same_bits(a.gradients, b.gradients)) << what;
  EXPECT_EQ(a.result.loss, b.result.loss) << what;
}

enum class Trains { kAll, kAdapter, kAdapterWithDropout, kMagnitudes };

struct PassCase {
  std::string name;
  std::function<void(TinyModel&)> set;
  Trains trains;
};
void PrintTo(const PassCase& c, std::ostream* out) { *out << c.name; }

const std::vector<PassCase>& cases() {
  const auto gemma = [](TinyModel& m) {
    m.architecture = "gemma2", m.window = 4, m.windowed = {true, false, true}, m.blocks = 3;
    m.score_cap = 5, m.logit_cap = 3, m.tied = true;
  };
  static const std::vector<PassCase> list = {
      {"llama_all", [](TinyModel& m) { m.blocks = 3; }, Trains::kAll},
      {"llama_dropout", [](TinyModel& m) { m.blocks = 3; }, Trains::kAdapterWithDropout},
      {"llama_heads_of_20_magnitudes", [](TinyModel& m) { m.head_dim = 20; }, Trains::kMagnitudes},
      {"qwen2_q8_0_dropout",
       [](TinyModel& m) { m.architecture = "qwen2", m.biases = true, m.dtype = DType::kQ8_0, m.width = m.inner = 32; },
       Trains::kAdapterWithDropout},
      {"qwen3moe_all", [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 5, m.experts_used = 2; },
       Trains::kAll},
      {"gemma2_all", gemma, Trains::kAll},
      {"gemma2_adapter", gemma, Trains::kAdapter},
      {"phi3_all", [](TinyModel& m) { m.architecture = "phi3", m.fused = true; }, Trains::kAll},
  };
  return list;
}

class SamePass : public testing::TestWithParam<PassCase> {
 protected:
  std::unique_ptr<Learner> subject(Isa isa, int threads) const {
    auto s = std::make_unique<Learner>(small_model({"", GetParam().set}), kernels_of(isa), threads);
    switch (GetParam().trains) {
      case Trains::kAll: s->train_all(); break;
      case Trains::kMagnitudes: s->train_adapter(adapter_for(*s->model, 3, true), 0.75F, 0.25F); break;
      default:
        s->train_adapter(adapter_for(*s->model, 3, false), 1,
                         GetParam().trains == Trains::kAdapterWithDropout ? 0.25F : 0.0F);
    }
    return s;
  }
};

TEST_P(SamePass, WithAnyThreadsAndInstructionSet) {
  Learnt expected;
  for (const Isa isa : equal_isas()) {
    for (const int threads : thread_counts()) {
      const auto s = subject(isa, threads);
      const Batch batch = make_batch(s->tiny, {70, 3, 40});
      const Learnt run = run_once(*s, *s->make_pass(120), batch);
      if (expected.gradients.empty()) expected = run;
      expect_same(run, expected, std::string(isa_name(isa)) + ", threads " + std::to_string(threads));
    }
  }
}

TEST_P(SamePass, WithAnyNumberOfCheckpointedLayers) {
  const auto s = subject(equal_isas().back(), 2);
  const Batch batch = make_batch(s->tiny, {20, 3, 11});
  const Learnt expected = run_once(*s, *s->make_pass(40), batch);
  for (const int64_t checkpointed : {int64_t{1}, s->tiny.blocks, int64_t{99}}) {
    const auto pass = s->make_pass(40, checkpointed);
    expect_same(run_once(*s, *pass, batch), expected, "checkpointed " + std::to_string(checkpointed));
    expect_same(run_once(*s, *pass, batch), expected, "again");  // nothing was left behind
  }
}

TEST_P(SamePass, AfterOtherPasses) {
  const auto s = subject(equal_isas().back(), 2);
  const Batch batch = make_batch(s->tiny, {20, 3, 11}), other = make_batch(s->tiny, {40});
  const Learnt expected = run_once(*s, *s->make_pass(40), batch);
  const auto pass = s->make_pass(40, 1);
  run_pass(*pass, other);
  run_pass(*pass, other, Recording::kOff);
  expect_same(run_once(*s, *pass, batch), expected, "after others");
}

// Rows packed into one batch are what each gives alone: the same logits; gradients that add up row after row, so the
// same bits as one pass after another, but where a sum is folded before it is added (magnitudes) or where a head and
// an embedding share their numbers and so the order: there some roundings of the sum.
TEST_P(SamePass, PackedAndAlone) {
  const auto s = subject(equal_isas().back(), 2);
  const std::vector<int64_t> segments = {21, 1, 30, 2};
  const Batch batch = make_batch(s->tiny, segments);
  const auto pass = s->make_pass(60);
  if (s->worn != nullptr) {  // without dropout: other rows drop other numbers
    s->table.clear();
    s->worn->add_to(s->table, 0.75F);
  }
  const Learnt packed = run_once(*s, *pass, batch);
  s->zero_gradients();
  Learnt alone;
  int64_t row = 0;
  for (const int64_t count : segments) {
    Batch one = batch;
    one.segments = {count};
    const auto cut = [&](auto& list) { list = {list.begin() + row, list.begin() + row + count}; };
    cut(one.tokens), cut(one.targets), cut(one.weights);
    const PassResult result = run_pass(*pass, one);
    alone.result.logits.insert(alone.result.logits.end(), result.logits.begin(), result.logits.end());
    row += count;
  }
  alone.gradients = s->gradients();
  EXPECT_TRUE(same_bits(packed.result.logits, alone.result.logits));
  if (GetParam().trains != Trains::kMagnitudes && !s->tiny.tied) {
    EXPECT_TRUE(same_bits(packed.gradients, alone.gradients));
    return;
  }
  size_t at = 0;
  for (const Parameter& p : s->parameters) {
    double largest = 0, difference = 0;
    for (int64_t i = 0; i < p.size(); ++i, ++at) {
      largest = std::max(largest, std::fabs(static_cast<double>(packed.gradients[at])));
      difference = std::max(difference, std::fabs(static_cast<double>(packed.gradients[at] - alone.gradients[at])));
    }
    EXPECT_LE(difference, 60 * 0x1p-24 * largest) << p.name;
  }
}

// The answering forward and the learning one, with all numbers of the model or an adapter that changes nothing.
TEST_P(SamePass, AnswersWithTheBitsOfForward) {
  const auto s = subject(equal_isas().back(), 2);
  if (s->floats == nullptr) {
    const bool dora = GetParam().trains == Trains::kMagnitudes;
    Adapter zero = adapter_for(*s->model, 3, dora, 0);
    for (AdapterMatrix& m : zero.matrices) {
      if (dora) m.magnitude = lengths_of_rows(s->tiny, m.layer);
    }
    s->train_adapter(zero);
  }
  const Batch batch = make_batch(s->tiny, {30});
  const auto pass = s->make_pass(30);
  std::vector<float> learning, answering;
  ASSERT_TRUE(pass->forward(batch.view(), Recording::kOff).ok());
  std::vector<int32_t> rows(30);
  for (int32_t i = 0; i < 30; ++i) rows[static_cast<size_t>(i)] = i;
  const auto append = [](Rows from, std::vector<float>& to) {
    for (int64_t i = 0; i < from.rows; ++i) to.insert(to.end(), from.row(i), from.row(i) + from.cols);
  };
  ASSERT_TRUE(pass->head(rows, Recording::kOff, [&](const HeadChunk& chunk) { append(chunk.logits, learning); }).ok());
  auto cache = KvCache::create(*s->model, 30).value();
  const auto forward = Forward::create(*s->model, s->kernels, s->team).value();
  const Sequence sequence = {&cache, batch.tokens, LogitRows::kAll};
  ASSERT_TRUE(forward->run({&sequence, 1}).ok());
  append(forward->logits(), answering);
  EXPECT_TRUE(same_bits(learning, answering));
}

// Noise on embeddings: a function of its seed, the same for layers that are run again, and none where nothing is
// learnt.
TEST_P(SamePass, WithTheSameNoise) {
  const auto s = subject(equal_isas().back(), 2);
  const Batch batch = make_batch(s->tiny, {20, 3, 11});
  const auto pass = s->make_pass(40), again = s->make_pass(40, 99);
  const Learnt plain = run_once(*s, *pass, batch);
  const auto quiet = run_pass(*pass, batch, Recording::kOff).logits;
  pass->add_noise(5, 7);
  again->add_noise(5, 7);
  const Learnt noisy = run_once(*s, *pass, batch);
  EXPECT_NE(noisy.result.logits, plain.result.logits);
  expect_same(run_once(*s, *again, batch), noisy, "run again");
  EXPECT_EQ(run_pass(*pass, batch, Recording::kOff).logits, quiet);
  again->add_noise(5, 8);
  EXPECT_NE(run_once(*s, *again, batch).result.logits, noisy.result.logits);
  pass->add_noise(0, 0);
  expect_same(run_once(*s, *pass, batch), plain, "without noise");
}

INSTANTIATE_TEST_SUITE_P(All, SamePass, testing::ValuesIn(cases()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace andiron
