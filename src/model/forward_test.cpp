// What Forward promises: the same bits however a text was run, no allocation, and errors that change nothing.
#include "model/forward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <new>

#include "base/test_folder.h"
#include "base/test_sanitizers.h"
#include "kernels/dispatch.h"
#include "model/random_stack.h"
#include "model/tiny_model.h"
#include "ops/kv_fixture.h"

namespace {
std::atomic<int64_t> g_allocations{0};
// So many more succeed, then one fails, then all succeed again; below 0: none fails.
std::atomic<int64_t> g_allocations_left{-1};
}  // namespace

// Every allocation of this program through new is counted. Not inlined, or GCC sees malloc meet delete and warns.
[[gnu::noinline]] void* operator new(size_t size) {
  ++g_allocations;
  if (g_allocations_left >= 0 && g_allocations_left-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++g_allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace andiron {
namespace {

std::vector<int32_t> some_tokens(int64_t count, int64_t vocabulary, int64_t step = 3) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>((7 * i * i + step * i + 1) % vocabulary));
  return tokens;
}

std::shared_ptr<const Model> load_tiny(TinyModel tiny, const TestFolder& folder) {
  tiny.build();
  const std::string path = folder.file("model.gguf");
  EXPECT_TRUE(tiny.write(path).ok());
  LoadOptions options;
  options.cache.enabled = false;
  auto model = Model::load(path, options);
  EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
  return std::move(model).value();
}

using Logits = std::vector<float>;

Logits copy_rows(Rows rows) {
  Logits out;
  for (int64_t i = 0; i < rows.rows; ++i) out.insert(out.end(), rows.row(i), rows.row(i) + rows.cols);
  return out;
}

// The logits after every token, the text cut into runs of `chunk`.
Logits run_in_chunks(Forward& forward, const Model& model, const std::vector<int32_t>& tokens, size_t chunk,
                     KvFormat format = kKvF16) {
  auto cache = KvCache::create(model, static_cast<int64_t>(tokens.size()), format).value();
  Logits out;
  for (size_t at = 0; at < tokens.size(); at += chunk) {
    const auto piece = std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at));
    const Sequence sequence = {&cache, piece, LogitRows::kAll};
    const Status status = forward.run({&sequence, 1});
    EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
    const Logits rows = copy_rows(forward.logits());
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

bool same_bits(const Logits& a, const Logits& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct BitsCase {
  std::string name;
  std::function<void(TinyModel&)> set;
};
void PrintTo(const BitsCase& c, std::ostream* out) { *out << c.name; }

const std::vector<BitsCase>& bits_cases() {
  static const std::vector<BitsCase> list = {
      {"llama_f32", [](TinyModel&) {}},
      {"llama_f16_odd_width", [](TinyModel& m) { m.dtype = DType::kF16, m.width = 50, m.head_dim = 20; }},
      {"qwen2_q4_0",
       [](TinyModel& m) { m.architecture = "qwen2", m.biases = true, m.dtype = DType::kQ4_0, m.tied = true; }},
      {"llama_q4_k",
       [](TinyModel& m) { m.dtype = DType::kQ4_K, m.width = m.inner = 256, m.heads = 8, m.head_dim = 32; }},
      {"llama_q6_k", [](TinyModel& m) { m.dtype = DType::kQ6_K, m.width = m.inner = 256, m.heads = 16; }},
      {"qwen3moe_q8_0",
       [](TinyModel& m) { m.architecture = "qwen3moe", m.experts = 5, m.experts_used = 2, m.dtype = DType::kQ8_0; }},
      {"gemma3_f32",
       [](TinyModel& m) {
         m.architecture = "gemma3", m.tied = true, m.blocks = 6, m.window = 20, m.rope_base_local = 1e4;
       }},
  };
  return list;
}

class SameBits : public testing::TestWithParam<BitsCase> {
 protected:
  void SetUp() override {
    TinyModel tiny;
    GetParam().set(tiny);
    model_ = load_tiny(tiny, folder_);
    tokens_ = some_tokens(80, tiny.vocabulary);
  }
  std::unique_ptr<Forward> forward(ThreadTeam& team, Isa isa) const {
    ForwardLimits limits;
    limits.logit_rows = limits.rows;
    return Forward::create(*model_, kernels_of(isa), team, limits).value();
  }

  TestFolder folder_;
  std::shared_ptr<const Model> model_;
  std::vector<int32_t> tokens_;
};

TEST_P(SameBits, WithAnyThreadsChunksAndInstructionSet) {
  ThreadTeam one(1);
  const Logits expected = run_in_chunks(*forward(one, Isa::kScalar), *model_, tokens_, 512);
  for (const Isa isa : available_isas()) {
    for (const int threads : thread_counts()) {
      ThreadTeam team(threads);
      const auto runner = forward(team, isa);
      for (const size_t chunk : {1, 3, 7, 64, 512}) {
        EXPECT_TRUE(same_bits(run_in_chunks(*runner, *model_, tokens_, chunk), expected))
            << isa_name(isa) << ", " << threads << " threads, chunks of " << chunk;
      }
    }
  }
}

// Next tokens and pieces of prompts, with pages of their own and with that of the first text.
TEST_P(SameBits, InABatchAndAlone) {
  struct Part {
    size_t tokens, begin;  // in the batch are those from `begin` on
    bool shares;           // its first page is that of the first text
  };
  const std::vector<Part> parts = {{200, 199, false}, {40, 0, false},  {1, 0, false},   {63, 62, false}, {17, 0, false},
                                   {64, 63, false},   {200, 64, true}, {65, 64, false}, {65, 64, true}};
  ThreadTeam one(1);
  const auto alone = forward(one, available_isas().back());
  std::vector<std::vector<int32_t>> texts;
  std::vector<Logits> expected;
  for (const Part& part : parts) {
    texts.push_back(some_tokens(static_cast<int64_t>(part.tokens), 83, 3 + 2 * std::ssize(texts)));
    if (part.shares) std::copy_n(texts[0].begin(), 64, texts.back().begin());
    const Logits all = run_in_chunks(*alone, *model_, texts.back(), 512);
    expected.emplace_back(all.begin() + static_cast<int64_t>(83 * part.begin), all.end());
  }
  for (const int threads : thread_counts()) {
    ThreadTeam team(threads);
    const auto runner = forward(team, available_isas().back());
    std::vector<KvCache> caches;
    caches.reserve(parts.size());
    std::vector<Sequence> batch;
    for (size_t i = 0; i < parts.size(); ++i) {
      KvCache& cache = caches.emplace_back(KvCache::create(*model_, 200).value());
      if (parts[i].shares) cache.append_page(caches[0].page(0));
      const std::span<const int32_t> text(texts[i]);
      const auto filled = static_cast<size_t>(cache.length());
      const Sequence before = {&cache, text.subspan(filled, parts[i].begin - filled), LogitRows::kNone};
      if (!before.tokens.empty()) {
        ASSERT_TRUE(runner->run({&before, 1}).ok());
      }
      const bool is_answer = parts[i].tokens - parts[i].begin == 1;
      batch.push_back({&cache, text.subspan(parts[i].begin), is_answer ? LogitRows::kLast : LogitRows::kAll});
    }
    ASSERT_TRUE(runner->run(batch).ok());
    for (size_t i = 0; i < parts.size(); ++i) {
      EXPECT_TRUE(same_bits(copy_rows(runner->logits(i)), expected[i])) << threads << " threads, sequence " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, SameBits, testing::ValuesIn(bits_cases()),
                         [](const auto& instance) { return instance.param.name; });

class ForwardTest : public testing::Test {
 protected:
  std::unique_ptr<Forward> forward(const ForwardLimits& limits = {}) {
    return Forward::create(*model_, *select_kernels().value(), team_, limits).value();
  }

  TestFolder folder_;
  std::shared_ptr<const Model> model_ = load_tiny(TinyModel(), folder_);
  ThreadTeam team_{2};
};

TEST_F(ForwardTest, TruncatingGoesBack) {
  const auto runner = forward();
  const auto tokens = some_tokens(30, 83);
  const Logits straight = run_in_chunks(*runner, *model_, tokens, 30);
  auto cache = KvCache::create(*model_, 64).value();
  const std::vector<int32_t> detour = some_tokens(25, 83, 13);
  const std::span<const int32_t> whole(tokens);
  for (const Sequence& sequence :
       {Sequence{&cache, whole.first(10), LogitRows::kNone}, Sequence{&cache, detour, LogitRows::kNone}}) {
    ASSERT_TRUE(runner->run({&sequence, 1}).ok());
    EXPECT_EQ(runner->logits().rows, 0);
  }
  cache.truncate(10);
  const Sequence rest = {&cache, whole.subspan(10), LogitRows::kLast};
  ASSERT_TRUE(runner->run({&rest, 1}).ok());
  EXPECT_EQ(cache.length(), 30);
  EXPECT_TRUE(same_bits(copy_rows(runner->logits()), Logits(straight.end() - 83, straight.end())));
}

// A cache whose first pages are another's goes on with the same bits, in either format; what follows the last whole
// page is computed.
TEST_F(ForwardTest, PagesOfOneCacheServeAnother) {
  TinyModel tiny;
  tiny.head_dim = 32;
  model_ = load_tiny(tiny, folder_);
  const auto runner = forward();
  const auto tokens = some_tokens(150, 83);
  for (const KvFormat format : {kKvF16, kKvQ8_0}) {
    auto whole = KvCache::create(*model_, 150, format).value(), pieced = KvCache::create(*model_, 200, format).value();
    const Sequence all = {&whole, tokens, LogitRows::kLast};
    ASSERT_TRUE(runner->run({&all, 1}).ok());
    const Logits expected = copy_rows(runner->logits());

    EXPECT_EQ(whole.page_bytes(), 64 * model_->kv_bytes_per_position(format));
    for (const int64_t i : {0, 1}) {
      pieced.append_page(whole.page(i));
      EXPECT_EQ(pieced.page(i), whole.page(i)) << "in memory once";
    }
    EXPECT_EQ(pieced.length(), 128);
    const Sequence rest = {&pieced, std::span<const int32_t>(tokens).subspan(128), LogitRows::kLast};
    ASSERT_TRUE(runner->run({&rest, 1}).ok());
    EXPECT_TRUE(same_bits(copy_rows(runner->logits()), expected));
    EXPECT_NE(pieced.pages().data()[2], whole.pages().data()[2]);
    // What was computed twice, key for key; behind the last position both have nothing.
    EXPECT_EQ(bytes_of(whole.pages(), 2), bytes_of(pieced.pages(), 2));
  }
}

// As files bring them. What is computed behind them lies beside them.
TEST_F(ForwardTest, PagesMadeOfBytesServeAsWell) {
  const auto runner = forward();
  const auto tokens = some_tokens(150, 83);
  auto whole = KvCache::create(*model_, 150).value(), pieced = KvCache::create(*model_, 150).value();
  const Sequence all = {&whole, tokens, LogitRows::kLast};
  ASSERT_TRUE(runner->run({&all, 1}).ok());
  const Logits expected = copy_rows(runner->logits());
  for (const int64_t i : {0, 1}) {
    const auto made = pieced.page_of(bytes_of(*whole.page(i)));
    ASSERT_NE(made, nullptr);
    pieced.append_page(made);
  }
  const Sequence rest = {&pieced, std::span<const int32_t>(tokens).subspan(128), LogitRows::kLast};
  ASSERT_TRUE(runner->run({&rest, 1}).ok());
  EXPECT_TRUE(same_bits(copy_rows(runner->logits()), expected));
  for (const int64_t i : {0, 1, 2}) {
    EXPECT_EQ(bytes_of(pieced.pages(), i), bytes_of(whole.pages(), i));
    EXPECT_EQ(pieced.pages().data()[i] - pieced.pages().data()[0], i * pieced.pages().layout().shape().piece_bytes);
  }
}

// One that is cut back into a page which another has goes on with a copy, wherever the cut is.
TEST_F(ForwardTest, GoingOnDifferentlyLeavesSharedPagesAlone) {
  const auto runner = forward();
  const auto tokens = some_tokens(150, 83), detour = some_tokens(150, 83, 13);
  const auto last_of = [&](KvCache& cache, std::span<const int32_t> text) {
    const Sequence rest = {&cache, text.subspan(static_cast<size_t>(cache.length())), LogitRows::kLast};
    EXPECT_TRUE(runner->run({&rest, 1}).ok());
    EXPECT_EQ(cache.length(), 150);
    return copy_rows(runner->logits());
  };
  auto whole = KvCache::create(*model_, 150).value();
  const Logits straight = last_of(whole, tokens);
  std::vector<std::vector<uint8_t>> bits;
  for (const int64_t i : {0, 1}) bits.push_back(bytes_of(*whole.page(i)));
  for (const int64_t cut : {0, 1, 63, 64, 65, 127, 128}) {
    auto text = tokens;
    std::copy(detour.begin() + cut, detour.end(), text.begin() + cut);
    auto plain = KvCache::create(*model_, 150).value(), other = KvCache::create(*model_, 150).value();
    for (const int64_t i : {0, 1}) other.append_page(whole.page(i));
    other.truncate(cut);
    EXPECT_TRUE(same_bits(last_of(other, text), last_of(plain, text))) << "cut at " << cut;
    for (const int64_t i : {0, 1}) {
      const auto page = whole.page(i);
      EXPECT_EQ(bytes_of(*page), bits[static_cast<size_t>(i)]) << "cut at " << cut;
      EXPECT_EQ(other.pages().data()[i] == page->data(), cut >= 64 * (i + 1)) << "cut at " << cut;
    }
  }
  for (const int64_t cut : {128, 100, 64, 0}) {  // whoever made a page has no more right to write it
    const auto first = whole.page(0), second = whole.page(1);
    whole.truncate(cut);
    EXPECT_TRUE(same_bits(last_of(whole, tokens), straight)) << "cut at " << cut;
    EXPECT_EQ(whole.page(0) == first, cut >= 64);
    EXPECT_EQ(whole.page(1) == second, cut >= 128);
  }
}

// Each allocation in turn fails: the error is one to tell a client, and going on gives the bits of an untroubled run.
TEST_F(ForwardTest, WithoutMemoryForPagesNothingChanges) {
  const auto runner = forward();
  const auto tokens = some_tokens(150, 83);
  auto plain = KvCache::create(*model_, 150).value(), cache = KvCache::create(*model_, 150).value();
  const Sequence all = {&plain, tokens, LogitRows::kLast};
  ASSERT_TRUE(runner->run({&all, 1}).ok());
  const Logits expected = copy_rows(runner->logits());

  cache.append_page(plain.page(0));
  cache.truncate(40);  // so that a copy and two new pages are needed
  const Sequence rest = {&cache, std::span<const int32_t>(tokens).subspan(40), LogitRows::kLast};
  int64_t failures = 0;
  for (;; ++failures) {
    ASSERT_LT(failures, 100);
    g_allocations_left = failures;
    const Status status = runner->run({&rest, 1});
    g_allocations_left = -1;
    if (status.ok()) break;
    EXPECT_NE(status.error().message.find("no memory for a context of 150 positions"), std::string::npos)
        << status.error().message;
    EXPECT_EQ(cache.length(), 40);
  }
  EXPECT_GE(failures, 3);
  EXPECT_TRUE(same_bits(copy_rows(runner->logits()), expected));
  EXPECT_FALSE(cache.reserve(1).ok()) << "it is full";
  EXPECT_TRUE(cache.reserve(0).ok());
  EXPECT_FALSE(cache.reserve(-1).ok());
}

TEST_F(ForwardTest, WithoutMemoryForPagesOfAnotherNothingChanges) {
  const auto runner = forward();
  const auto tokens = some_tokens(128, 83);
  auto plain = KvCache::create(*model_, 128).value(), cache = KvCache::create(*model_, 128).value();
  const Sequence all = {&plain, tokens, LogitRows::kNone};
  ASSERT_TRUE(runner->run({&all, 1}).ok());
  // How often `act` fails before it does not, each allocation in turn failing.
  const auto failures_of = [&](const std::function<void()>& act) {
    for (int64_t failures = 0; failures < 100; ++failures) {
      const int64_t length = cache.length();
      g_allocations_left = failures;
      try {
        act();
        g_allocations_left = -1;
        return failures;
      } catch (const std::bad_alloc&) {
        EXPECT_EQ(cache.length(), length);
      }
    }
    return int64_t{-1};
  };
  const auto first = plain.page(0), second = plain.page(1);
  EXPECT_GT(failures_of([&] { cache.append_page(first); }), 0);
  const auto bytes = bytes_of(*second);
  std::shared_ptr<const KvPage> made;
  EXPECT_GT(failures_of([&] { made = cache.page_of(bytes); }), 0);
  failures_of([&] { cache.append_page(made); });
  EXPECT_EQ(cache.length(), 128);
  EXPECT_EQ(cache.page(0), first);
  EXPECT_EQ(bytes_of(*cache.page(1)), bytes);
}

// Logits are the products of the head's rows with hidden states. A sum of 64 products of floats is off by at most 64
// roundings of its greatest part.
TEST_F(ForwardTest, HiddenStatesAreWhatLogitsAreMadeOf) {
  TinyModel tiny;
  tiny.build();
  const std::vector<float>& head = tiny.tensors.at("output.weight").values;
  const auto runner = forward({.rows = 64, .logit_rows = 30, .sequences = 2});
  const auto tokens = some_tokens(30, 83);
  const Logits logits = run_in_chunks(*runner, *model_, tokens, 30);
  Logits whole;
  for (const size_t chunk : {30, 7}) {
    auto cache = KvCache::create(*model_, 30).value(), beside = KvCache::create(*model_, 30).value();
    Logits hidden;
    for (size_t at = 0; at < tokens.size(); at += chunk) {
      const auto piece = std::span(tokens).subspan(at, std::min(chunk, tokens.size() - at));
      const Sequence batch[] = {{&beside, piece, LogitRows::kAll}, {&cache, piece, LogitRows::kHidden}};
      ASSERT_TRUE(runner->run(batch).ok());
      EXPECT_EQ(runner->hidden(0).rows, 0);
      EXPECT_EQ(runner->logits(1).rows, 0);
      ASSERT_EQ(runner->hidden(1).rows, static_cast<int64_t>(piece.size()));
      const Logits rows = copy_rows(runner->hidden(1));
      hidden.insert(hidden.end(), rows.begin(), rows.end());
      const Logits beside_it(logits.begin() + static_cast<int64_t>(at) * 83,
                             logits.begin() + static_cast<int64_t>(at + piece.size()) * 83);
      EXPECT_TRUE(same_bits(copy_rows(runner->logits(0)), beside_it));
    }
    if (whole.empty()) whole = hidden;
    EXPECT_TRUE(same_bits(hidden, whole)) << "chunks of " << chunk;
  }
  for (size_t t = 0; t < tokens.size(); ++t) {
    for (size_t v = 0; v < 83; ++v) {
      double sum = 0, size = 0;
      for (size_t d = 0; d < 64; ++d) {
        const double part = static_cast<double>(head[v * 64 + d]) * static_cast<double>(whole[t * 64 + d]);
        sum += part;
        size += std::fabs(part);
      }
      EXPECT_NEAR(sum, static_cast<double>(logits[t * 83 + v]), 64 * 6e-8 * size);
    }
  }
}

// One without logits wears its adapters where no row is its own.
TEST_F(ForwardTest, SequencesOfABatchWearTheirOwnAdapters) {
  const auto runner = forward();
  const auto one = random_stack(*model_, 1, folder_, team_), two = random_stack(*model_, 2, folder_, team_);
  const auto tokens = some_tokens(30, 83);
  const auto logits_alone = [&](const AdapterStack& stack) {
    auto cache = KvCache::create(*model_, 30).value();
    const Sequence sequence = {&cache, tokens, LogitRows::kLast, &stack.deltas()};
    EXPECT_TRUE(runner->run({&sequence, 1}).ok());
    return copy_rows(runner->logits());
  };
  const Logits want_one = logits_alone(*one), want_two = logits_alone(*two);
  EXPECT_FALSE(same_bits(want_one, want_two));
  for (const LogitRows of_first : {LogitRows::kNone, LogitRows::kLast}) {
    auto first = KvCache::create(*model_, 30).value(), second = KvCache::create(*model_, 30).value();
    const Sequence batch[] = {{&first, tokens, of_first, &one->deltas()},
                              {&second, tokens, LogitRows::kLast, &two->deltas()}};
    ASSERT_TRUE(runner->run(batch).ok());
    EXPECT_TRUE(same_bits(copy_rows(runner->logits(1)), want_two));
    if (of_first == LogitRows::kLast) {
      EXPECT_TRUE(same_bits(copy_rows(runner->logits(0)), want_one));
    }
  }
}

// Neighbours that wear the same are multiplied as one: of whatever lengths, beside others, and where only some of them
// have logits.
TEST_F(ForwardTest, NeighboursInTheSameAdaptersAnswerAsAlone) {
  const auto runner = forward();
  const auto one = random_stack(*model_, 1, folder_, team_), two = random_stack(*model_, 2, folder_, team_);
  struct Part {
    const AdapterStack* stack;
    int64_t tokens;
    LogitRows logits;
  };
  const std::vector<Part> parts = {
      {one.get(), 3, LogitRows::kLast}, {one.get(), 1, LogitRows::kLast}, {nullptr, 2, LogitRows::kLast},
      {one.get(), 1, LogitRows::kAll},  {two.get(), 5, LogitRows::kLast}, {two.get(), 9, LogitRows::kNone},
      {two.get(), 4, LogitRows::kAll},  {one.get(), 1, LogitRows::kLast}, {nullptr, 1, LogitRows::kLast}};
  std::vector<std::vector<int32_t>> tokens;
  for (const Part& part : parts) {
    tokens.push_back(some_tokens(part.tokens, 83, static_cast<int64_t>(tokens.size())));
  }
  std::vector<KvCache> caches;
  caches.reserve(parts.size());
  const auto sequence_of = [&](size_t i) {
    caches.push_back(KvCache::create(*model_, 30).value());
    const DeltaTable* deltas = parts[i].stack != nullptr ? &parts[i].stack->deltas() : nullptr;
    return Sequence{&caches.back(), tokens[i], parts[i].logits, deltas};
  };
  std::vector<Logits> alone;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Sequence sequence = sequence_of(i);
    ASSERT_TRUE(runner->run({&sequence, 1}).ok());
    alone.push_back(copy_rows(runner->logits()));
  }
  caches.clear();
  std::vector<Sequence> batch;
  for (size_t i = 0; i < parts.size(); ++i) batch.push_back(sequence_of(i));
  ASSERT_TRUE(runner->run(batch).ok());
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].logits == LogitRows::kNone) continue;
    EXPECT_TRUE(same_bits(copy_rows(runner->logits(i)), alone[i])) << "sequence " << i;
  }
}

TEST_F(ForwardTest, AllocatesNothing) {
  TinyModel tiny;
  tiny.architecture = "qwen3moe", tiny.experts = 4, tiny.experts_used = 2, tiny.dtype = DType::kQ8_0;
  model_ = load_tiny(tiny, folder_);
  const auto runner = forward();
  auto cache = KvCache::create(*model_, 100).value(), other = KvCache::create(*model_, 100).value();
  const auto tokens = some_tokens(50, 83);
  const Sequence prompts[] = {{&cache, tokens, LogitRows::kLast},
                              {&other, std::span(tokens).first(20), LogitRows::kAll}};
  const Sequence answers[] = {{&cache, std::span(tokens).first(1), LogitRows::kLast},
                              {&other, std::span(tokens).first(1), LogitRows::kLast}};
  const std::span<const Sequence> batch(answers);
  // The pages are all there is to allocate.
  ASSERT_TRUE(cache.reserve(70).ok());
  ASSERT_TRUE(other.reserve(20).ok());
  const int64_t before = g_allocations;
  const bool prompts_ran = runner->run(prompts).ok();
  bool tokens_ran = true;
  for (size_t i = 0; i < 20; ++i) tokens_ran = tokens_ran && runner->run(batch.first(1 + i % 2)).ok();
  EXPECT_EQ(g_allocations - before, 0);
  EXPECT_TRUE(prompts_ran);
  EXPECT_TRUE(tokens_ran);
}

TEST_F(ForwardTest, PagesAreMadeAsPositionsAreFilled) {
  const auto runner = forward();
  auto cache = KvCache::create(*model_, 200).value();
  const auto tokens = some_tokens(200, 83);
  const auto pages = [&] {
    int64_t count = 0;
    while (cache.pages().are_reserved(64 * count, 64 * count + 1)) ++count;
    return count;
  };
  EXPECT_EQ(pages(), 0);
  for (int64_t i = 0; i < 200; ++i) {
    const Sequence one = {&cache, std::span(tokens).subspan(static_cast<size_t>(i), 1), LogitRows::kNone};
    ASSERT_TRUE(runner->run({&one, 1}).ok());
    ASSERT_EQ(pages(), i / 64 + 1) << "behind position " << i;
  }
}

// Four roundings, of the keys and values of two layers, each by at most 1/254 of the largest number in a block of 32;
// twice that leaves room for what the layers between make of them.
TEST_F(ForwardTest, CachesOf8BitsAreNear) {
  TinyModel tiny;
  tiny.head_dim = 32;
  model_ = load_tiny(tiny, folder_);
  const auto runner = forward({.rows = 512, .logit_rows = 512});
  const auto tokens = some_tokens(60, 83);
  const Logits exact = run_in_chunks(*runner, *model_, tokens, 60);
  const Logits rounded = run_in_chunks(*runner, *model_, tokens, 60, kKvQ8_0);
  float largest = 0, difference = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    largest = std::max(largest, std::fabs(exact[i]));
    difference = std::max(difference, std::fabs(exact[i] - rounded[i]));
  }
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, largest * 2 * 4 / 254);
  EXPECT_TRUE(same_bits(rounded, run_in_chunks(*runner, *model_, tokens, 7, kKvQ8_0)));
  EXPECT_LT(model_->kv_bytes_per_position(kKvQ8_0), model_->kv_bytes_per_position(kKvF16));
}

TEST_F(ForwardTest, WrongBatchesAreErrorsAndChangeNothing) {
  const auto runner = forward({.rows = 8, .logit_rows = 4, .sequences = 2});
  auto cache = KvCache::create(*model_, 10).value(), other = KvCache::create(*model_, 10).value();
  auto third = KvCache::create(*model_, 10).value();
  const std::vector<int32_t> good = {1, 2, 3}, negative = {1, -1}, beyond = {83}, many(9, 1), five(5, 1);
  const TestFolder elsewhere;
  const auto another_model = load_tiny(TinyModel(), elsewhere);
  auto foreign = KvCache::create(*another_model, 10).value();
  const Sequence first = {&cache, good, LogitRows::kLast};
  ASSERT_TRUE(runner->run({&first, 1}).ok());

  struct Wrong {
    std::vector<Sequence> batch;
    std::string_view says;
  };
  const Wrong wrongs[] = {
      {{{&cache, negative, LogitRows::kLast}}, "the token -1 is not one of the 83"},
      {{{&cache, beyond, LogitRows::kLast}}, "the token 83"},
      {{{&cache, {}, LogitRows::kLast}}, "without tokens"},
      {{{nullptr, good, LogitRows::kLast}}, "without a cache"},
      {{{&foreign, good, LogitRows::kLast}}, "without a cache of this model"},
      {{{&other, many, LogitRows::kLast}}, "too large"},
      {{{&other, five, LogitRows::kAll}}, "too large"},
      {{{&cache, good, {}}, {&other, good, {}}, {&third, good, {}}}, "too large"},
      {{{&cache, good, LogitRows::kLast}, {&cache, good, LogitRows::kLast}}, "two sequences"},
      {{{&cache, std::span(many).first(8), LogitRows::kLast}}, "the context of 10 positions is full"},
  };
  for (const Wrong& wrong : wrongs) {
    const Status status = runner->run(wrong.batch);
    ASSERT_FALSE(status.ok()) << wrong.says;
    EXPECT_NE(status.error().message.find(wrong.says), std::string::npos) << status.error().message;
    EXPECT_EQ(runner->logits().rows, 0);
    EXPECT_EQ(cache.length(), 3);
    EXPECT_EQ(other.length(), 0);
  }
  EXPECT_TRUE(runner->run({}).ok()) << "nothing to do is fine";
  EXPECT_TRUE(runner->run({&first, 1}).ok());
}

TEST_F(ForwardTest, LimitsAreChecked) {
  for (const ForwardLimits limits : {ForwardLimits{0, 1, 1}, {1, 0, 1}, {1, 1, -3}, {int64_t{1} << 40, 1, 1}}) {
    EXPECT_FALSE(Forward::create(*model_, *select_kernels().value(), team_, limits).ok());
  }
  EXPECT_FALSE(KvCache::create(*model_, 0).ok());
  EXPECT_FALSE(KvCache::create(*model_, int64_t{1} << 60).ok());
  EXPECT_FALSE(KvCache::create(*model_, 8, kKvQ8_0).ok()) << "heads of 16 numbers";
  EXPECT_EQ(kv_format_from_name("q8_0").value(), kKvQ8_0);
  EXPECT_FALSE(kv_format_from_name("q4").ok());
}

}  // namespace
}  // namespace andiron
