// Perplexity, importance matrices and quantising: what is measured on a model and made from it.
#include <algorithm>
#include <cmath>

#include "base/atomic_file.h"
#include "engine/engine_fixture.h"
#include "engine/imatrix.h"
#include "engine/perplexity.h"
#include "engine/quantize.h"
#include "format/gguf.h"
#include "model/weights.h"
#include "tensor/quantize.h"

namespace andiron {
namespace {

class MeasureTest : public EngineTest {
 protected:
  // Logits of every position of `tokens`, in one run.
  std::vector<std::vector<double>> all_logits(const Model& model, std::span<const int32_t> tokens) {
    const auto rows = static_cast<int64_t>(tokens.size());
    auto cache = KvCache::create(model, rows);
    auto forward = Forward::create(model, kernels_, team_, {.rows = rows, .logit_rows = rows, .sequences = 1});
    EXPECT_TRUE(cache.ok() && forward.ok());
    const Sequence sequence = {&*cache, tokens, LogitRows::kAll};
    EXPECT_TRUE((*forward)->run({&sequence, 1}).ok());
    std::vector<std::vector<double>> logits;
    for (int64_t row = 0; row < rows; ++row) {
      const float* values = (*forward)->logits().row(row);
      logits.emplace_back(values, values + model.config().vocabulary);
    }
    return logits;
  }
  static std::vector<double> probabilities(const std::vector<double>& logits) {
    std::vector<double> p(logits.size());
    double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(logits[i] - logits[0]);
    for (double& x : p) x /= sum;
    return p;
  }
  // Of one weight beside its block's scale.
  static int significant_bits(DType dtype) {
    switch (dtype) {
      case DType::kF32: return 24;
      case DType::kF16: return 11;
      case DType::kBF16: return 8;
      default: break;
    }
    const std::string_view name = dtype_info(dtype).name;
    return name[name.find('Q') + 1] - '0';
  }
  std::unique_ptr<ModelSource> source(const std::string& path) {
    auto opened = open_model_source(path);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
    return std::move(opened).value();
  }
};

// Its first half is run in chunks, the second in others: where they end must not matter.
TEST_F(MeasureTest, ALongWindowIsRunInChunks) {
  open("tiny", "q4_0");
  constexpr size_t kWindow = 1102;
  auto text = random_tokens(kWindow);
  const auto report = measure_perplexity(*model_, nullptr, *tokenizer_, text, kernels_, team_, {.window = kWindow});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->tokens, 550);
  text[0] = tokenizer_->bos();
  const auto logits = all_logits(*model_, text);
  double nll = 0;
  for (size_t i = kWindow / 2; i < kWindow - 1; ++i) {
    nll -= std::log(probabilities(logits[i])[static_cast<size_t>(text[i + 1])]);
  }
  EXPECT_NEAR(std::log(report->perplexity), nll / 550, 1e-6);
}

// The last token of a window is never run through the model, but its logit is asked for.
TEST_F(MeasureTest, ATokenThatTheModelLacksIsAnError) {
  open("tiny", "q4_0");
  for (const int32_t wrong : {512, 1 << 30, -1}) {
    auto text = random_tokens(16);
    text[7] = wrong;
    const auto perplexity = measure_perplexity(*model_, nullptr, *tokenizer_, text, kernels_, team_, {.window = 8});
    ASSERT_FALSE(perplexity.ok());
    EXPECT_NE(perplexity.error().message.find("token 7"), std::string::npos) << perplexity.error().message;
    EXPECT_FALSE(measure_importance(*model_, *tokenizer_, text, kernels_, team_, {.window = 8}).ok());
  }
}

TEST_F(MeasureTest, PerplexityIsWhatItsDefinitionSays) {
  open("tiny", "q4_0");
  const auto base = load(write_model("tiny", "f32"));
  const auto text = random_tokens(75);
  const auto report = measure_perplexity(*model_, base.get(), *tokenizer_, text, kernels_, team_,
                                         {.window = 24, .windows_max = 0, .kv_format = kKvF16});
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_EQ(report->windows, 3);
  EXPECT_EQ(report->tokens, 3 * 11);

  double nll = 0, base_nll = 0, kl = 0;
  int64_t same = 0;
  for (size_t w = 0; w < 3; ++w) {
    std::vector<int32_t> window(text.begin() + static_cast<std::ptrdiff_t>(24 * w),
                                text.begin() + static_cast<std::ptrdiff_t>(24 * (w + 1)));
    window[0] = tokenizer_->bos();
    const auto own = all_logits(*model_, window), other = all_logits(*base, window);
    for (size_t i = 12; i < 23; ++i) {
      const auto p = probabilities(own[i]), q = probabilities(other[i]);
      nll -= std::log(p[static_cast<size_t>(window[i + 1])]);
      base_nll -= std::log(q[static_cast<size_t>(window[i + 1])]);
      for (size_t t = 0; t < p.size(); ++t) kl += q[t] * std::log(q[t] / p[t]);
      same += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
    }
  }
  EXPECT_NEAR(report->perplexity, std::exp(nll / 33), 1e-9 * report->perplexity);
  EXPECT_NEAR(report->base_perplexity, std::exp(base_nll / 33), 1e-9 * report->base_perplexity);
  EXPECT_NEAR(report->kl_mean, kl / 33, 1e-9);
  EXPECT_DOUBLE_EQ(report->same_top, static_cast<double>(same) / 33);
}

TEST_F(MeasureTest, ATextShorterThanAWindowIsRefused) {
  open();
  const auto report =
      measure_perplexity(*model_, nullptr, *tokenizer_, random_tokens(10), kernels_, team_, {.window = 24});
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().message.find("10 tokens"), std::string::npos) << report.error().message;
}

TEST_F(MeasureTest, ImportanceSurvivesItsFile) {
  open();
  const auto measured = measure_importance(*model_, *tokenizer_, random_tokens(200), kernels_, team_, {.window = 64});
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  EXPECT_EQ(measured->windows, 3);
  EXPECT_EQ(measured->importance.entries().size(), 14u) << "seven matrices in each of two layers";
  const std::string path = folder_.file("im.gguf");
  ASSERT_TRUE(measured->importance.save(path, "random", 3, 64).ok());
  const auto loaded = Importance::load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  for (const auto& [name, entry] : measured->importance.entries()) {
    std::vector<float> before, after;
    ASSERT_TRUE(measured->importance.lookup(name, 0, entry.columns, before).ok());
    const auto found = loaded->lookup(name, 0, entry.columns, after);
    ASSERT_TRUE(found.ok() && *found) << name;
    for (size_t i = 0; i < before.size(); ++i) EXPECT_FLOAT_EQ(before[i], after[i]) << name << " " << i;
    EXPECT_FALSE(loaded->lookup(name, 0, entry.columns + 1, after).ok()) << "another number of columns";
  }
  std::vector<float> none;
  EXPECT_FALSE(*loaded->lookup("blk.9.attn_q.weight", 0, 256, none));
  EXPECT_FALSE(Importance::load(write_model("tiny", "q4_0")).ok()) << "a model is no importance matrix";
}

// The input of the first layer's attn_q is the normed embedding, which is easily computed by hand.
TEST_F(MeasureTest, ImportanceIsTheMeanSquareOfTheInput) {
  open("tiny", "f32");
  const auto text = random_tokens(64);
  const auto measured = measure_importance(*model_, *tokenizer_, text, kernels_, team_, {.window = 64});
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  const auto width = static_cast<size_t>(model_->config().width);
  std::vector<uint8_t> scratch;
  const TensorInfo* table = model_->source().find_tensor("token_embd.weight");
  const auto embedding = model_->source().whole(*table, scratch);
  ASSERT_TRUE(embedding.ok());
  std::vector<double> expected(width, 0);
  for (size_t i = 0; i < 64; ++i) {
    const auto token = static_cast<size_t>(i == 0 ? tokenizer_->bos() : text[i]);
    std::vector<float> row(width);
    decode_row(table->dtype, embedding->data() + token * row_bytes(table->dtype, width), row.data(), width);
    double squares = 0;
    for (const float x : row) squares += static_cast<double>(x) * static_cast<double>(x);
    const double norm = std::sqrt(squares / static_cast<double>(width) + model_->config().norm_epsilon);
    for (size_t k = 0; k < width; ++k) {
      const double x = row[k] / norm * model_->weights().layers[0].attn_norm[k];
      expected[k] += x * x / 64;
    }
  }
  std::vector<float> found;
  ASSERT_TRUE(*measured->importance.lookup("blk.0.attn_q.weight", 0, static_cast<int64_t>(width), found));
  for (size_t k = 0; k < width; ++k) EXPECT_NEAR(found[k], expected[k], 1e-5 * expected[k]) << k;
}

TEST_F(MeasureTest, QuantisedModelsLoadAndStayNear) {
  open("tiny", "f32");
  const auto from = source(write_model("tiny", "f32"));
  const auto text = random_tokens(128);
  for (const QuantType& type : all_quant_types()) {
    const std::string out = folder_.file("out.gguf");
    const auto report = quantize_model(*from, out, team_, {.type = type});
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_LE(report->bytes_after, report->bytes_before) << type.name;
    const auto quantised = load(out);
    EXPECT_EQ(*quantised->source().meta_int("general.file_type"), static_cast<int64_t>(type.file_type));
    const auto near = measure_perplexity(*quantised, model_.get(), *tokenizer_, text, kernels_, team_, {.window = 64});
    ASSERT_TRUE(near.ok()) << near.error().message;
    // A relative error e of every weight changes the logits by about e times their spread in each of a few products,
    // and the KL divergence grows with the square; 40 leaves room for both models' layers adding up.
    EXPECT_LT(near->kl_mean, 40 * std::exp2(-2 * significant_bits(type.base))) << type.name;
  }
}

TEST_F(MeasureTest, QuantisingGivesTheSameBytesForAnyThreads) {
  const auto from = source(write_model("tiny-odd", "f16"));
  const QuantType type = *quant_type_from_name("Q5_K_M");
  std::vector<uint8_t> first;
  for (const int threads : {1, 3}) {
    ThreadTeam team(threads);
    ASSERT_TRUE(quantize_model(*from, folder_.file("out.gguf"), team, {.type = type}).ok());
    const auto bytes = read_bytes(folder_.file("out.gguf"));
    if (first.empty()) first = bytes;
    EXPECT_EQ(bytes, first);
  }
}

TEST_F(MeasureTest, SaysWhatIsQuantisedTwice) {
  const auto from = source(write_model("tiny", "q8_0"));
  const auto notes = [&](const char* type) {
    const auto report = quantize_model(*from, folder_.file("out.gguf"), team_, {.type = *quant_type_from_name(type)});
    EXPECT_TRUE(report.ok());
    std::string all;
    for (const std::string& note : report->notes) all += note;
    return all;
  };
  EXPECT_NE(notes("Q4_0").find("quantised already"), std::string::npos);
  EXPECT_EQ(notes("F32").find("quantised already"), std::string::npos) << "nothing is quantised a second time";
  EXPECT_EQ(notes("Q8_0").find("quantised already"), std::string::npos) << "copied as it is";
}

// What becomes of a model that was changed: the formats of the one it was, and its file type.
TEST_F(MeasureTest, FormatsCanBeTakenFromAnotherModel) {
  const auto from = source(write_model("tiny", "f32"));
  const auto formats = source(write_model("tiny", "q4_k_m"));
  const std::string out = folder_.file("out.gguf");
  const auto report = quantize_model(*from, out, team_, {.type = {}, .formats_of = formats.get()});
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto made = source(out);
  ASSERT_EQ(made->tensors().size(), formats->tensors().size());
  for (const TensorInfo& tensor : made->tensors()) {
    EXPECT_EQ(tensor.dtype, formats->find_tensor(tensor.name)->dtype) << tensor.name;
  }
  EXPECT_EQ(*made->meta_int("general.file_type", -1), *from->meta_int("general.file_type", -1));
  const auto other = source(write_model("tiny-odd", "q8_0"));
  EXPECT_FALSE(quantize_model(*other, out, team_, {.type = {}, .formats_of = formats.get()}).ok()) << "other shapes";
}

TEST_F(MeasureTest, ImportanceMakesTheOutputsBetter) {
  open("tiny", "f32");
  const auto from = source(write_model("tiny", "f32"));
  const auto text = random_tokens(512);
  const auto measured = measure_importance(*model_, *tokenizer_, text, kernels_, team_, {.window = 64});
  ASSERT_TRUE(measured.ok());
  const auto distance = [&](const Importance* importance) {
    const std::string out = folder_.file("out.gguf");
    EXPECT_TRUE(
        quantize_model(*from, out, team_, {.type = *quant_type_from_name("Q2_K_S"), .importance = importance}).ok());
    const auto report =
        measure_perplexity(*load(out), model_.get(), *tokenizer_, text, kernels_, team_, {.window = 64});
    EXPECT_TRUE(report.ok());
    return report->kl_mean;
  };
  EXPECT_LT(distance(&measured->importance), distance(nullptr));
}

TEST_F(MeasureTest, ACancelledOrFailedQuantisingLeavesNoFile) {
  const auto from = source(write_model("tiny", "f32"));
  const std::string out = folder_.file("out.gguf");
  std::atomic<bool> cancel{false};
  QuantizeOptions options = {.type = *quant_type_from_name("Q4_0"), .cancel = &cancel};
  options.progress = [&](uint64_t done, uint64_t total, std::string_view) { cancel = done > total / 2; };
  const auto report = quantize_model(*from, out, team_, options);
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(report->cancelled);
  EXPECT_FALSE(file_exists(out));
  EXPECT_FALSE(quantize_model(*from, folder_.file("no/such/folder/out.gguf"), team_, options).ok());
}

}  // namespace
}  // namespace andiron
