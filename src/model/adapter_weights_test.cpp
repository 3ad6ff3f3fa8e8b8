// An adapter that is worn and the same folded into the weights answer alike.
#include "model/adapter_weights.h"

#include <gtest/gtest.h>

#include "adapter/fold.h"
#include "model/gradient_fixture.h"

namespace andiron {
namespace {

std::vector<float> logits_of(Learner& s, const Batch& batch) {
  return run_pass(*s.make_pass(static_cast<int64_t>(batch.tokens.size())), batch, Recording::kOff).logits;
}

TinyModel folded(TinyModel tiny, std::span<const WornAdapter> worn) {
  for (auto& [name, tensor] : tiny.tensors) {
    const std::string layer = name.substr(0, name.rfind('.'));
    if (!name.ends_with(".weight") || !changes_layer(worn, layer)) continue;
    fold_rows(worn, layer, 0, static_cast<int64_t>(tensor.shape[0]), tensor.values);
    encode_row(DType::kF32, tensor.values.data(), tensor.bytes.data(), tensor.values.size(), nullptr);
  }
  return tiny;
}

class Folding : public testing::TestWithParam<bool> {};

// Keys and values are rounded to f16: one in a hundred lies so near the middle between two that the rounding of folded
// weights moves it across, by a part in 2048. Logits then differ by sqrt(1 / 100) / 2048, some 5e-5 of their size; four
// of that leave room for layers and for float rounding.
TEST_P(Folding, AnswersAsWorn) {
  const bool dora = GetParam();
  for (const GradientCase& c : std::vector<GradientCase>{
           {"llama", [](TinyModel&) {}},
           {"qwen2", [](TinyModel& m) { m.architecture = "qwen2", m.biases = true, m.tied = true; }},
           {"phi3", [](TinyModel& m) { m.architecture = "phi3", m.fused = true; }}}) {
    Learner worn(small_model(c), best_kernels(), 2);
    worn.train_adapter(adapter_for(*worn.model, 3, dora), 0.75F);
    const Batch batch = make_batch(worn.tiny, {30, 7});
    const auto base = logits_of(worn, batch);
    const WornAdapter one = {&worn.adapter, 0.75F};
    Learner merged(folded(worn.tiny, {&one, 1}), best_kernels(), 2);
    const auto answers = logits_of(merged, batch);
    double square = 0, difference = 0;
    for (size_t i = 0; i < answers.size(); ++i) {
      square += static_cast<double>(answers[i]) * static_cast<double>(answers[i]);
      difference += static_cast<double>(answers[i] - base[i]) * static_cast<double>(answers[i] - base[i]);
    }
    EXPECT_LE(std::sqrt(difference), 2e-4 * std::sqrt(square)) << c.name;
    worn.table.clear();
    EXPECT_NE(logits_of(worn, batch), base) << c.name << ": the adapter changes nothing";
  }
}

INSTANTIATE_TEST_SUITE_P(All, Folding, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "magnitudes" : "plain"; });

// In F16 a number of A or B is off by 2^-11 of itself at most, so what a delta adds by 2^-10 of its length, for its
// terms are independent; the deltas of the second layer see that too: 2^-9 of what the adapter changes. Beside it, as
// above, some keys and values are rounded to a neighbour.
TEST(AdapterWeights, InHalfTheBitsAnswersAlike) {
  for (const bool dora : {false, true}) {
    Learner s(small_model({"llama", [](TinyModel&) {}}), best_kernels(), 2);
    s.train_adapter(adapter_for(*s.model, 3, dora), 0.75F);
    const Batch batch = make_batch(s.tiny, {30, 7});
    const auto exact = logits_of(s, batch);
    const auto half = AdapterWeights::create(s.adapter, *s.model, s.kernels, s.team, AdapterForm::kHalf).value();
    s.table.clear();
    half->add_to(s.table, 0.75F);
    const auto answers = logits_of(s, batch);
    s.table.clear();
    const auto base = logits_of(s, batch);
    const auto length_of_difference = [](const std::vector<float>& a, const std::vector<float>& b) {
      double square = 0;
      for (size_t i = 0; i < a.size(); ++i) {
        const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        square += difference * difference;
      }
      return std::sqrt(square);
    };
    const double length = length_of_difference(exact, std::vector<float>(exact.size()));
    const double change = length_of_difference(exact, base);
    EXPECT_GT(change, 0.01 * length) << "or the test shows little";
    EXPECT_LE(length_of_difference(answers, exact), 0x1p-9 * change + 2e-4 * length) << (dora ? "magnitudes" : "plain");
    EXPECT_NE(answers, exact) << "nothing was rounded";
  }
}

TEST(AdapterWeights, NewMagnitudesAreTheLengthsOfRows) {
  Learner s(small_model({"phi3", [](TinyModel& m) { m.architecture = "phi3", m.fused = true; }}), best_kernels(), 2);
  Adapter fresh = adapter_for(*s.model, 3, true, 0);
  for (AdapterMatrix& m : fresh.matrices) m.magnitude.clear();
  AdapterWeights::create(fresh, *s.model, s.kernels, s.team, AdapterForm::kExact).value()->store(fresh);
  for (const AdapterMatrix& m : fresh.matrices) EXPECT_EQ(m.magnitude, lengths_of_rows(s.tiny, m.layer)) << m.layer;
}

}  // namespace
}  // namespace andiron
