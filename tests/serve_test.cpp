// andiron serve, from outside.
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

#include "base/strings.h"
#include "http/raw_client.h"
#include "learned.h"

namespace andiron {
namespace {

class ServeProgramTest : public LearnedTest {
 protected:
  ~ServeProgramTest() override {
    if (process_) stop(SIGKILL);
  }

  // Starts it at a free port, and waits until it says where it is.
  void serve(Words words) {
    words.insert(words.begin(), "serve");
    words.insert(words.end(), {"--port", "0"});
    process_ = program_.start(words);
    const auto port = [this]() -> std::optional<uint16_t> {
      const std::string out = program_.text("stdout");
      const std::string_view mark = "http://127.0.0.1:";
      const size_t at = out.find(mark);
      if (at == std::string::npos || !out.ends_with('\n')) return std::nullopt;
      return static_cast<uint16_t>(std::atoi(out.c_str() + at + mark.size()));
    };
    ASSERT_TRUE(comes_true([&] { return port().has_value() || ::waitpid(*process_, nullptr, WNOHANG) != 0; }));
    ASSERT_TRUE(port().has_value()) << program_.text("stderr");
    port_ = *port();
  }
  Outcome stop(int signal = SIGTERM) {
    ::kill(*process_, signal);
    const pid_t process = *process_;
    process_.reset();
    return program_.wait(process);
  }

  std::string request(std::string_view method, std::string_view path, std::string_view body,
                      std::string_view headers = "") const {
    std::string out = format("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}", method, path, port_, headers);
    if (method == "POST") out += format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    return out + "\r\n" + std::string(body);
  }
  std::string answer(std::string_view method, std::string_view path, std::string_view body = "",
                     std::string_view headers = "") const {
    RawClient client(port_);
    client.send(request(method, path, body, headers));
    return client.answer();
  }
  Json ask(std::string_view path, std::string_view body) const {
    const std::string whole = answer("POST", path, body);
    EXPECT_EQ(status_in(whole), 200) << whole;
    auto parsed = parse_json(whole.substr(std::min(whole.find("\r\n\r\n") + 4, whole.size())), path);
    EXPECT_TRUE(parsed.ok()) << whole;
    return parsed.ok() ? *parsed : Json();
  }
  std::string text_of(const Json& completion) const {
    const auto choices = completion.member("choices").items_or_none();
    return choices.empty() ? "" : std::string(choices[0].member("text").text_or(""));
  }
  // What `andiron run` answers.
  std::string run(const Words& more = {}) {
    Words words = {"run", model(), "-p", "ba be", "-n", "12", "--seed", "3"};
    words.insert(words.end(), more.begin(), more.end());
    return text(json(words), "text");
  }
  static constexpr const char* kAsk = R"({{"model":"{}","prompt":"ba be","max_tokens":12,"seed":3}})";

  std::optional<pid_t> process_;
  uint16_t port_ = 0;
};

TEST_F(ServeProgramTest, AnswersAsRunDoesUntilItIsToldToEnd) {
  const std::string alone = run();
  serve({model()});
  EXPECT_EQ(status_in(answer("GET", "/health")), 200);
  EXPECT_EQ(text_of(ask("/v1/completions", format(kAsk, "tiny-f32"))), alone);
  EXPECT_EQ(status_in(answer("POST", "/v1/completions", format(kAsk, "other"))), 404);
  EXPECT_EQ(status_in(answer("GET", "/metrics")), 404) << "off";
  const Outcome ended = stop();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(ended.out.starts_with("tiny-f32 at http://127.0.0.1:")) << ended.out;
  // Each request is a line, of which nothing is a stranger's.
  EXPECT_NE(ended.err.find("POST /v1/completions 200 "), std::string::npos) << ended.err;
  EXPECT_EQ(ended.err.find("ba be"), std::string::npos) << ended.err;
}

// As it is installed: bin/andiron, share/andiron/ember.gguf.
TEST_F(ServeProgramTest, EmberIsServedWhereNoModelIsGiven) {
  program_.move_to("prefix/bin");
  std::filesystem::create_directories(program_.file("prefix/share/andiron"));
  ASSERT_EQ(program_.run({"synth", "tiny", program_.file("prefix/share/andiron/ember.gguf")}).status, 0);
  serve({});
  EXPECT_EQ(status_in(answer("POST", "/v1/completions", format(kAsk, "ember"))), 200);
  const Outcome ended = stop();
  EXPECT_TRUE(ended.out.starts_with("ember at http://127.0.0.1:")) << ended.out;
}

TEST_F(ServeProgramTest, WearsTheAdaptersOfTheStoreAsTheyComeAndGo) {
  learn("me");
  const std::string base = run(), half = run({"--adapter", "me:0.5"});
  ASSERT_NE(half, base);
  serve({model()});
  EXPECT_NE(answer("GET", "/v1/models").find("\"tiny-f32+me\""), std::string::npos);
  EXPECT_EQ(text_of(ask("/v1/completions", format(kAsk, "tiny-f32+me:0.5"))), half);
  EXPECT_EQ(text_of(ask("/v1/completions", format(kAsk, "tiny-f32"))), base);
  std::filesystem::copy(folder_of("me"), folder_of("copy"), std::filesystem::copy_options::recursive);
  EXPECT_EQ(text_of(ask("/v1/completions", format(kAsk, "tiny-f32+copy:0.5"))), half);
  std::filesystem::remove_all(folder_of("copy"));
  EXPECT_EQ(status_in(answer("POST", "/v1/completions", format(kAsk, "tiny-f32+copy"))), 404);
  stop();
  serve({model(), "--adapter", folder_of("me"), "--name", "mine"});
  EXPECT_EQ(text_of(ask("/v1/completions", format(kAsk, "mine+me:0.5"))), half);
}

TEST_F(ServeProgramTest, OtherMachinesNeedTheKey) {
  const Outcome open = program_.run({"serve", model(), "--host", "0.0.0.0"});
  EXPECT_EQ(open.status, 1);
  EXPECT_NE(open.err.find("without an API key"), std::string::npos) << open.err;
  const std::string key = program_.write("key", "0123456789abcdef0123456789abcdef\n");
  ::chmod(key.c_str(), 0644);
  EXPECT_EQ(program_.run({"serve", model(), "--api-key-file", key}).status, 1);
  ::chmod(key.c_str(), 0600);
  serve({model(), "--host", "127.0.0.1", "--api-key-file", key, "--metrics"});
  EXPECT_EQ(status_in(answer("GET", "/v1/models")), 401);
  EXPECT_EQ(status_in(answer("GET", "/v1/models", "", "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n")),
            200);
  EXPECT_EQ(status_in(answer("GET", "/metrics", "", "X-Api-Key: 0123456789abcdef0123456789abcdef\r\n")), 200);
  EXPECT_EQ(status_in(answer("GET", "/health")), 200);
}

// It does not come as far as to the model, which may take minutes to load: there is none.
TEST_F(ServeProgramTest, SaysThatAPortIsTakenBeforeItLoadsTheModel) {
  serve({model(), "--host", "127.0.0.1"});
  const Outcome second = program_.run(
      {"serve", program_.file("none.gguf"), "--host", "127.0.0.1", "--port", std::to_string(port_), "--no-store"});
  EXPECT_EQ(second.status, 1);
  EXPECT_NE(second.err.find(format("cannot listen at 127.0.0.1 port {}: ", port_)), std::string::npos) << second.err;
  EXPECT_EQ(second.err.find("none.gguf"), std::string::npos) << second.err;
}

TEST_F(ServeProgramTest, EndsItsStreamsWhenItEnds) {
  serve({model(), "--ctx", "200000"});
  RawClient client(port_);
  client.send(
      request("POST", "/v1/completions",
              R"({"model":"tiny-f32","prompt":"ba","max_tokens":190000,"logit_bias":{"2":-100},"stream":true})"));
  ASSERT_NE(client.until("data: "), "");
  EXPECT_EQ(stop().status, 0);
  EXPECT_NE(client.all().find("\"error\""), std::string::npos);
}

TEST_F(ServeProgramTest, KnowsPromptsAgainAfterARestart) {
  std::string words;
  for (int i = 0; i < 120; ++i) words += "ba be ";
  const std::string body = format(R"({{"model":"tiny-f32","prompt":"{}","max_tokens":4,"seed":3}})", words);
  std::string texts[2];
  for (int round = 0; round < 2; ++round) {
    serve({model()});
    const Json out = ask("/v1/completions", body);
    texts[round] = text_of(out);
    const int64_t reused = out.member("usage").member("prompt_tokens_details").member("cached_tokens").as_int();
    EXPECT_EQ(reused > 0, round > 0) << reused;
    stop();
  }
  EXPECT_EQ(texts[0], texts[1]);
}

// A server that keeps no prefixes has those of earlier ones forgotten all the same.
TEST_F(ServeProgramTest, ForgetsThePrefixesOfOthersWithAChat) {
  std::string words;
  for (int i = 0; i < 120; ++i) words += "ba be ";
  const std::string body = format(R"({{"model":"tiny-f32","prompt":"{}","max_tokens":4,"seed":3}})", words);
  const auto reused = [&] {
    const Json usage = ask("/v1/completions", body).member("usage");
    return usage.member("prompt_tokens_details").member("cached_tokens").as_int();
  };
  serve({model()});
  EXPECT_EQ(reused(), 0);
  stop();
  serve({model(), "--no-prefix-cache"});
  EXPECT_EQ(status_in(answer("POST", "/api/store/conversations", R"({"id": "c"})")), 201);
  EXPECT_EQ(status_in(answer("DELETE", "/api/store/conversations/c")), 200);
  stop();
  serve({model()});
  EXPECT_EQ(reused(), 0);
}

// What a killed server was teaching, the next one goes on with; what it has taught is worn at once.
TEST_F(ServeProgramTest, TeachesOnWhenItWasKilled) {
  std::string rows;
  for (int i = 0; i < 200; ++i) rows += format("{{\"prompt\": \"ba be {}\", \"completion\": \"bo {}\"}}\n", i, 7 * i);
  serve({model()});
  const Json file =
      ask("/v1/files", format(R"({{"purpose":"fine-tune","filename":"me.jsonl","content":{}}})", json_quote(rows)));
  const Json job =
      ask("/v1/fine_tuning/jobs", format(R"({{"model":"tiny-f32","training_file":"{}","suffix":"me","rank":4,
                                  "hyperparameters":{{"n_epochs":40,"batch_size":1,"learning_rate_multiplier":10}}}})",
                                         file.member("id").text_or("")));
  const std::string path = format("/v1/fine_tuning/jobs/{}", job.member("id").text_or(""));
  const auto state = [&] {
    const std::string whole = answer("GET", path);
    auto parsed = parse_json(whole.substr(std::min(whole.find("\r\n\r\n") + 4, whole.size())), path);
    return parsed.ok() ? *parsed : Json();
  };
  ASSERT_TRUE(comes_true([&] { return state().member("learning").member("step").number_or(0) >= 2; }));
  stop(SIGKILL);
  serve({model()});
  ASSERT_TRUE(comes_true([&] { return state().member("status").text_or("") == "succeeded"; })) << state().dump();
  EXPECT_EQ(state().member("fine_tuned_model").text_or(""), "tiny-f32+me");
  const std::string taught = text_of(ask("/v1/completions", format(kAsk, "tiny-f32+me")));
  EXPECT_NE(taught, text_of(ask("/v1/completions", format(kAsk, "tiny-f32"))));
  stop();
  EXPECT_EQ(run({"--adapter", "me"}), taught);
  serve({model(), "--no-learn"});
  EXPECT_EQ(status_in(answer("GET", "/v1/files")), 404);
}

// What the unit takes away, whatever the options are.
constexpr const char* kHardening[] = {"NoNewPrivileges=yes",
                                      "CapabilityBoundingSet=",
                                      "AmbientCapabilities=",
                                      "ProtectSystem=strict",
                                      "ProtectHome=tmpfs",
                                      "PrivateTmp=yes",
                                      "PrivateDevices=yes",
                                      "ProtectKernelTunables=yes",
                                      "ProtectKernelModules=yes",
                                      "ProtectKernelLogs=yes",
                                      "ProtectControlGroups=yes",
                                      "ProtectClock=yes",
                                      "ProtectHostname=yes",
                                      "ProtectProc=invisible",
                                      "RestrictAddressFamilies=AF_INET AF_INET6",
                                      "RestrictNamespaces=yes",
                                      "RestrictRealtime=yes",
                                      "RestrictSUIDSGID=yes",
                                      "LockPersonality=yes",
                                      "MemoryDenyWriteExecute=yes",
                                      "RemoveIPC=yes",
                                      "KeyringMode=private",
                                      "SystemCallArchitectures=native",
                                      "SystemCallFilter=@system-service",
                                      "SystemCallFilter=~@privileged @resources",
                                      "SystemCallErrorNumber=EPERM",
                                      "UMask=0077"};

TEST_F(ServeProgramTest, PrintsAUnitThatServesTheSame) {
  const std::string key = program_.write("key", "0123456789abcdef0123456789abcdef\n");
  const Outcome unit = program_.run({"serve", model(), "--host", "0.0.0.0", "--port", "8081", "--api-key-file", key,
                                     "--threads", "3", "--own-name", "home 100%", "--systemd"});
  EXPECT_EQ(unit.status, 0) << unit.err;
  for (const std::string& part :
       {std::string("[Service]\n"), "\"serve\" \"" + model() + "\"", std::string("\"--threads\" \"3\""),
        std::string("\"--own-name\" \"home 100%%\""), std::string("--api-key-file \"%d/api-key\"\n"),
        "LoadCredential=api-key:" + key + "\n", "BindReadOnlyPaths=\"" + model() + "\"\n"}) {
    EXPECT_NE(unit.out.find(part), std::string::npos) << part << "\n" << unit.out;
  }
  for (const char* line : kHardening) {
    EXPECT_NE(unit.out.find(format("\n{}\n", line)), std::string::npos) << line << "\n" << unit.out;
  }
  EXPECT_EQ(unit.out.find("IPAddressDeny"), std::string::npos) << "other machines may ask";
  EXPECT_NE(program_.run({"serve", model(), "--systemd"}).out.find("IPAddressDeny=any\n"), std::string::npos);
}

// What systemd does not know it ignores, and only says so.
TEST_F(ServeProgramTest, PrintsAUnitThatSystemdKnowsEveryLineOf) {
  const std::string key = program_.write("key", "0123456789abcdef0123456789abcdef\n");
  for (const Words& more : {Words(), Words{"--host", "0.0.0.0", "--api-key-file", key}}) {
    Words words = {"serve", model(), "--systemd"};
    words.insert(words.end(), more.begin(), more.end());
    const std::string unit = program_.write("andiron.service", program_.run(words).out);
    const std::string said = program_.file("said");
    const int raw = std::system(format("exec systemd-analyze verify --man=no '{}' > '{}' 2>&1", unit, said).c_str());
    const int status = WIFEXITED(raw) ? WEXITSTATUS(raw) : -1;
    if (status == 127) GTEST_SKIP() << "systemd-analyze is not installed: NOT VERIFIED";
    EXPECT_EQ(status, 0) << program_.text("said");
    EXPECT_EQ(program_.text("said").find("andiron.service"), std::string::npos) << program_.text("said");
  }
}

}  // namespace
}  // namespace andiron
