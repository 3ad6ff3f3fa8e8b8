// Many clients at once, many that leave, many requests after one another.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "base/test_sanitizers.h"
#include "serve/serve_fixture.h"

namespace andiron {
namespace {

struct Variant {
  std::string body;  // of a completion, whole
  std::string expected;
};

class LoadTest : public ServeTest {
 protected:
  // Requests that differ in prompt, seed, sampling and adapters, each with what a session alone answers.
  std::vector<Variant> variants(int count) {
    std::vector<Variant> out;
    for (int i = 0; i < count; ++i) {
      const std::string prompt = "ba" + std::string(static_cast<size_t>(i) * 7, 'e');
      const double temperature = 0.4 * (i % 4);
      const double strength = 0.5 * (i % 3);
      GenerateOptions options;
      options.sampling.seed = static_cast<uint64_t>(i);
      options.sampling.temperature = temperature;
      options.tokens_max = 5 + i % 11;
      std::vector<std::string> notes;
      const StackEntry entry = {adapters_["me"], static_cast<float>(strength)};
      auto stack = AdapterStack::load({&entry, 1}, *model_, kernels_, session_team_, notes);
      EXPECT_TRUE(stack.ok());
      const auto ids = text_prompt_tokens(*words_, prompt, {.add_special = true, .parse_special = false});
      out.push_back({format(R"({{"model":"tiny+me:{}","prompt":"{}","seed":{},"temperature":{},"max_tokens":{}}})",
                            strength, prompt, i, temperature, options.tokens_max),
                     alone(ids, options, strength == 0 ? nullptr : *stack).text});
    }
    return out;
  }
  void expect_answer(const Variant& variant) const {
    const Json answer = ask("/v1/completions", variant.body);
    const auto choices = answer.member("choices").items_or_none();
    ASSERT_EQ(choices.size(), 1u);
    EXPECT_EQ(choices[0].member("text").text_or(""), variant.expected) << variant.body;
  }
  // `requests` of the variants, from so many clients at once.
  void load(const std::vector<Variant>& variants, int clients, int requests) const {
    std::atomic<int> next{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < clients; ++i) {
      threads.emplace_back([&] {
        for (int at = next++; at < requests; at = next++)
          expect_answer(variants[static_cast<size_t>(at) % variants.size()]);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  ::testing::AssertionResult comes_to_rest() const {
    return comes_true([&] {
      const auto stats = scheduler_->stats();
      return stats.running == 0 && stats.waiting == 0 && server_->server().counts().requests == 0;
    });
  }
};

TEST_F(LoadTest, EachOfAThousandAnswersIsTheOneAlone) {
  add_adapter("me", 1);
  start();
  load(variants(40), 32, 1000);
  EXPECT_TRUE(comes_to_rest());
}

TEST_F(LoadTest, ClientsThatLeaveAtRandomMomentsLeaveNothingBehind) {
  add_adapter("me", 1);
  SchedulerOptions options;
  options.context = 1 << 18;
  options.sequences = 4;
  start(options);
  const std::vector<Variant> all = variants(8);
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const RandomStream random(i);
      for (uint64_t round = 0; round < 12; ++round) {
        const std::string body = format(
            R"({{"model":"tiny+me","prompt":"ba","n":{},"max_tokens":100000,"logit_bias":{{"2":-100}},"stream":{}}})",
            1 + random.bits(3 * round) % 3, random.bits(3 * round + 1) % 4 != 0);
        RawClient client = server_->connect();
        client.send(request("POST", "/v1/completions", body));
        std::this_thread::sleep_for(std::chrono::microseconds(random.bits(3 * round + 2) % 20'000));
        client.close();
        expect_answer(all[(i + round) % all.size()]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(comes_to_rest());
  EXPECT_TRUE(comes_true([&] { return scheduler_->stats().cancelled > 0; })) << "some had begun";
}

int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST_F(LoadTest, MemoryAfterTenThousandRequestsIsThatAfterOneThousand) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer keeps memory of its own";
  add_adapter("me", 1);
  SchedulerOptions options;
  options.prefix_bytes = 1 << 20;
  start(options);
  const std::vector<Variant> all = variants(12);
  load(all, 8, 1000);
  const int64_t before = resident_bytes();
  ASSERT_GT(before, 0) << "/proc tells it";
  load(all, 8, 9000);
  const int64_t after = resident_bytes();
  ASSERT_GT(after, 0);
  EXPECT_LT(after - before, 8 << 20);
}

}  // namespace
}  // namespace andiron
