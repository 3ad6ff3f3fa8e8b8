// For tests only: a small random model with its tokenizer, and a machine to run it on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/test_folder.h"
#include "base/thread_team.h"
#include "engine/session.h"
#include "grammar/gbnf.h"
#include "kernels/dispatch.h"
#include "model/model.h"
#include "model/synth.h"
#include "model/tokenizer_source.h"

namespace andiron {

inline std::shared_ptr<const TokenGrammar> grammar_of(std::string_view text, const Tokenizer& tokenizer) {
  const auto parsed = parse_gbnf(text, "test.gbnf");
  EXPECT_TRUE(parsed.ok()) << (parsed.ok() ? "" : parsed.error().message);
  auto made = TokenGrammar::create(*parsed, std::make_shared<const TokenTrie>(tokenizer));
  EXPECT_TRUE(made.ok());
  return std::move(made).value();
}

class EngineTest : public ::testing::Test {
 protected:
  // The path of a synthetic model: `shape` as model/synth.h lists them.
  std::string write_model(const std::string& shape, const std::string& mix, uint64_t seed = 1) {
    const std::string path = folder_.file(shape + "-" + mix + "-" + std::to_string(seed) + ".gguf");
    const Status status = write_synthetic_model({shape, mix, seed}, path);
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    return path;
  }
  std::shared_ptr<const Model> load(const std::string& path) {
    LoadOptions options;
    options.cache.enabled = false;
    auto model = Model::load(path, options);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    return std::move(model).value();
  }
  void open(const std::string& shape = "tiny", const std::string& mix = "q4_0") {
    model_ = load(write_model(shape, mix));
    auto spec = tokenizer_spec(model_->source());
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    auto tokenizer = Tokenizer::create(std::move(spec).value());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    tokenizer_ = std::make_unique<Tokenizer>(std::move(tokenizer).value());
  }
  std::unique_ptr<Session> session(const SessionOptions& options = {}) {
    auto made = Session::create(model_, *tokenizer_, kernels_, team_, options);
    EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().message);
    return std::move(made).value();
  }
  // `count` tokens drawn evenly from the vocabulary's words.
  std::vector<int32_t> random_tokens(size_t count, uint64_t seed = 1) const {
    const RandomStream random(seed);
    std::vector<int32_t> tokens(count);
    for (size_t i = 0; i < count; ++i) {
      tokens[i] = 259 + static_cast<int32_t>(random.uniform(i) * (tokenizer_->vocab_size() - 259));
    }
    return tokens;
  }

  TestFolder folder_;
  const KernelTable& kernels_ = kernels_of(available_isas().back());
  ThreadTeam team_{2};
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace andiron
