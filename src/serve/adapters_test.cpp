// Adapters in requests: by name, with strengths, together, while they come and go.
#include <filesystem>
#include <set>
#include <thread>

#include "serve/serve_fixture.h"

namespace andiron {
namespace {

class ServedAdaptersTest : public ServeTest {
 protected:
  std::string body(std::string_view model, std::string_view more = "") const {
    return format(R"({{"model":"{}","messages":[{{"role":"user","content":"tell me"}}],"max_tokens":16,"seed":5{}}})",
                  model, more);
  }
  std::string answer(std::string_view model, std::string_view more = "") const {
    const Json out = ask("/v1/chat/completions", body(model, more));
    return std::string(out.member("choices").items()[0].member("message").member("content").text_or(""));
  }
  std::string expected(const std::vector<StackEntry>& entries) {
    std::vector<std::string> notes;
    auto stack = AdapterStack::load(entries, *model_, kernels_, session_team_, notes);
    EXPECT_TRUE(stack.ok());
    return alone(prompt_of("tell me"), chat_options(5, 16), std::move(*stack)).text;
  }
};

TEST_F(ServedAdaptersTest, AreWornAsNamedInOrderAndWithStrengths) {
  add_adapter("me", 1);
  add_adapter("work", 2);
  start();
  const std::string& me = adapters_["me"];
  const std::string& work = adapters_["work"];
  const std::string base = answer("tiny");
  EXPECT_EQ(base, expected({}));
  EXPECT_EQ(answer("tiny+me"), expected({{me, 1}}));
  EXPECT_NE(answer("tiny+me"), base);
  EXPECT_EQ(answer("tiny+me:0.5+work:2"), expected({{me, 0.5F}, {work, 2}}));
  EXPECT_EQ(answer("tiny", R"(,"adapters":{"me":0.5,"work":2})"), expected({{me, 0.5F}, {work, 2}}));
  EXPECT_EQ(answer("tiny+me", R"(,"adapters":["work"])"), expected({{me, 1}, {work, 1}}));
  EXPECT_EQ(answer("tiny+me:0"), base);
}

TEST_F(ServedAdaptersTest, OfDifferentStacksAreAnsweredAtOnce) {
  add_adapter("me", 1);
  add_adapter("work", 2);
  SchedulerOptions options;
  options.context = 1 << 20;  // nobody waits for the end of that
  options.sequences = 20;
  start(options);
  const std::vector<std::string> models = {"tiny", "tiny+me", "tiny+work:0.7", "tiny+me+work", "tiny+work+me:2"};
  std::vector<std::string> one_by_one;
  for (const std::string& model : models) one_by_one.push_back(answer(model));
  EXPECT_EQ(std::set<std::string>(one_by_one.begin(), one_by_one.end()).size(), models.size()) << "stacks that differ";
  // One of each goes on in every step, so that all stacks are in the batch whatever else is.
  std::vector<RawClient> endless;
  for (const std::string& model : models) {
    endless.push_back(server_->connect());
    endless.back().send(
        request("POST", "/v1/completions",
                format(R"({{"model":"{}","prompt":"once","max_tokens":1000000,"logit_bias":{{"2":-100}}}})", model)));
  }
  const auto only_they_run = [&] { return scheduler_->stats().running == std::ssize(models); };
  ASSERT_TRUE(comes_true(only_they_run));
  std::vector<std::string> at_once(models.size() * 3);
  std::vector<std::thread> clients;
  for (size_t i = 0; i < at_once.size(); ++i) {
    clients.emplace_back([&, i] { at_once[i] = answer(models[i % models.size()]); });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < at_once.size(); ++i) EXPECT_EQ(at_once[i], one_by_one[i % models.size()]) << i;
  EXPECT_TRUE(comes_true(only_they_run)) << "until now";
  EXPECT_EQ(scheduler_->stats().cancelled, 0U);
}

TEST_F(ServedAdaptersTest, ComeChangeAndGoWhileItRuns) {
  start();
  EXPECT_EQ(post("/v1/chat/completions", body("tiny+late")).status, 404);
  add_adapter("late", 3);
  const std::string first = answer("tiny+late");
  EXPECT_EQ(first, expected({{adapters_["late"], 1}}));
  EXPECT_EQ(get("/v1/models").json().member("data").items().size(), 2u);
  add_adapter("late", 4);
  const std::string second = answer("tiny+late");
  EXPECT_NE(second, first);
  EXPECT_EQ(second, expected({{adapters_["late"], 1}}));
  std::filesystem::remove(adapters_["late"]);
  EXPECT_EQ(post("/v1/chat/completions", body("tiny+late")).status, 404);
  EXPECT_EQ(get("/v1/models").json().member("data").items().size(), 1u);
}

TEST_F(ServedAdaptersTest, OfAnotherModelAreRefused) {
  start();
  const auto other = load(write_model("tiny-odd", "q4_0"));
  adapters_["odd"] = folder_.file("odd.gguf");
  write_random_adapter(*other, 1, adapters_["odd"]);
  const HttpAnswer refused = post("/v1/chat/completions", body("tiny+odd"));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json().member("error").member("code").text_or(""), "invalid_adapter");
}

TEST_F(ServedAdaptersTest, AreSharedByStacksAndKnownByTheirContent) {
  add_adapter("me", 1);
  start();
  std::filesystem::copy_file(adapters_["me"], folder_.file("copy.gguf"));
  adapters_["copy"] = folder_.file("copy.gguf");
  const auto wear = [&](const std::string& name, double strength) {
    auto worn = host_->wear({"tiny", "tiny", {{name, strength}}});
    EXPECT_TRUE(worn.ok());
    return std::move(*worn);
  };
  const Worn me = wear("me", 1), again = wear("me", 1), copy = wear("copy", 1), half = wear("me", 0.5);
  EXPECT_EQ(me.stack, again.stack);
  EXPECT_EQ(me.key, copy.key);
  EXPECT_NE(me.key, half.key);
  EXPECT_EQ(wear("me", 0).key, "");
  // One copy of the numbers, however often it is worn.
  const auto& numbers = [](const Worn& worn) -> const uint8_t* {
    for (const auto& deltas : worn.stack->deltas()) {
      if (!deltas.empty()) return deltas[0].a.weight;
    }
    return nullptr;
  };
  EXPECT_EQ(numbers(me), numbers(half));
  EXPECT_EQ(numbers(me), numbers(copy));
}

TEST(ModelName, IsTheLastPartOfThePath) {
  EXPECT_EQ(model_name_of("/models/Qwen3-0.6B-Q8_0.gguf"), "Qwen3-0.6B-Q8_0");
  EXPECT_EQ(model_name_of("hf/tiny stories+1/"), "tiny-stories-1");
  EXPECT_EQ(model_name_of("/"), "model");
}

}  // namespace
}  // namespace andiron
