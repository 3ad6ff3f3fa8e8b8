// andiron adapters, from outside.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "learned.h"

namespace andiron {
namespace {

using AdaptersTest = LearnedTest;

TEST_F(AdaptersTest, ListsWhatThereIs) {
  const Json none = json({"adapters"});
  ASSERT_NE(none.find("adapters"), nullptr);
  EXPECT_TRUE(none.find("adapters")->items().empty());
  EXPECT_NE(program_.run({"adapters"}).out.find("no adapters in "), std::string::npos);
  learn("me");
  std::filesystem::create_directories(folder_of("broken"));
  std::filesystem::create_directories(folder_of("half.part-17-0"));  // what a killed program leaves
  const Json list = json({"adapters", "list"});
  const auto& items = list.find("adapters")->items();
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(text(items[0], "name"), "broken");
  EXPECT_EQ(text(items[0], "problem"), "adapter_model.safetensors is missing");
  const Json& me = items[1];
  EXPECT_EQ(text(me, "name"), "me");
  EXPECT_EQ(text(me, "base"), "tiny");
  EXPECT_EQ(text(me, "method"), "lora");
  EXPECT_EQ(number(me, "rank"), 4);
  EXPECT_GT(number(me, "bytes"), 1000);
  const auto run = parse_json(whole_file(folder_of("me") + "/run.json"), "run.json");
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(text(me, "verdict"), text(*run, "verdict"));
  EXPECT_EQ(number(me, "loss_before"), number(*run->find("before"), "held_out_loss"));
  EXPECT_EQ(number(me, "loss_after"), number(*run->find("after"), "held_out_loss"));
  const Outcome table = program_.run({"adapters", "list"});
  for (const char* part : {"NAME", "VERDICT", "me ", "tiny", "lora", " to "}) {
    EXPECT_NE(table.out.find(part), std::string::npos) << part << "\n" << table.out;
  }
  EXPECT_NE(table.err.find("broken: adapter_model.safetensors is missing"), std::string::npos) << table.err;
}

TEST_F(AdaptersTest, ShowsAllThatIsKnown) {
  learn("me");
  const Json me = json({"adapters", "show", "me"});
  EXPECT_EQ(text(me, "architecture"), "llama");
  EXPECT_EQ(text(me, "base_hash").size(), 32U);
  EXPECT_EQ(number(me, "heads"), 4);
  ASSERT_NE(me.find("matrices"), nullptr);
  ASSERT_EQ(me.find("matrices")->items().size(), 14U) << "seven in each of two blocks";
  const Json& first = me.find("matrices")->items().front();
  EXPECT_EQ(text(first, "layer"), "blk.0.attn_q");
  EXPECT_EQ(number(first, "scale"), number(me, "alpha") / 4);
  ASSERT_NE(me.find("run"), nullptr);
  EXPECT_NE(me.find("run")->find("data"), nullptr);
  const std::string shown = program_.run({"adapters", "show", folder_of("me")}).out;
  for (const char* part : {"hash ", "attn_q", "ffn_down", "rows.jsonl", "held out loss", "verdict"}) {
    EXPECT_NE(shown.find(part), std::string::npos) << part << "\n" << shown;
  }
  // A draft says why it is one: here the reasons are put into the record.
  auto run = parse_json(whole_file(folder_of("me") + "/run.json"), "run.json");
  ASSERT_TRUE(run.ok());
  for (auto& [key, value] : run->members()) {
    if (key == "verdict") value = "draft";
    if (key == "reasons") value = Json(Json::Array{Json("it did not learn")});
  }
  program_.write("data/andiron/adapters/me/run.json", run->dump());
  const std::string draft = program_.run({"adapters", "show", "me"}).out;
  EXPECT_NE(draft.find("draft"), std::string::npos) << draft;
  EXPECT_NE(draft.find("it did not learn"), std::string::npos) << draft;
  // A run that is not at its end has no adapter yet.
  std::filesystem::remove(folder_of("me") + "/adapter_model.safetensors");
  const Json early = json({"adapters", "show", "me"});
  EXPECT_EQ(text(early, "problem"), "adapter_model.safetensors is missing");
  expect_fails({"adapters", "show", "nobody"}, {"nobody", "adapters list"});
}

// A process that was killed leaves a record that says so no more than the last checkpoint does.
TEST_F(AdaptersTest, ARunInWhichNobodyWorksIsStopped) {
  learn("me");
  auto run = parse_json(whole_file(folder_of("me") + "/run.json"), "run.json");
  ASSERT_TRUE(run.ok());
  for (auto& [key, value] : run->members()) {
    if (key == "verdict") value = "running";
  }
  program_.write("data/andiron/adapters/me/run.json", run->dump());
  const Json me = json({"adapters", "show", "me"});
  EXPECT_EQ(text(me, "verdict"), "stopped");
  const auto reasons = me.member("reasons").items_or_none();
  ASSERT_FALSE(reasons.empty());
  EXPECT_NE(reasons.back().as_string().find("--resume goes on"), std::string::npos) << me.dump();
  const int busy = open(folder_of("me").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // as training does
  ASSERT_EQ(flock(busy, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(text(json({"adapters", "show", "me"}), "verdict"), "running");
  close(busy);
}

TEST_F(AdaptersTest, SaysHowToRunAModelThatWasTrainedWhole) {
  std::filesystem::create_directories(folder_of("whole"));
  program_.write("data/andiron/adapters/whole/run.json", R"({"method": "full", "verdict": "kept"})");
  program_.write("data/andiron/adapters/whole/model.gguf", "weights");
  const Json whole = json({"adapters", "show", "whole"});
  EXPECT_EQ(text(whole, "method"), "full");
  EXPECT_EQ(number(whole, "bytes"), 7);
  EXPECT_EQ(text(whole, "problem"), "all weights were trained: run it as " + folder_of("whole") + "/model.gguf");
  EXPECT_EQ(program_.run({"adapters", "show", "whole"}).out.find("rank"), std::string::npos);
  expect_fails({"run", model(), "--adapter", "whole", "-p", "ba"}, {"run it as " + folder_of("whole") + "/model.gguf"});
}

TEST_F(AdaptersTest, DiffAnswersAsRunDoes) {
  learn("me");
  learn("work", "2");
  const std::vector<std::string> prompt = {"-p", "ba be", "-n", "12"};
  const auto run_words = [&](const Words& adapters) {
    Words words = {"run", model(), "--greedy"};
    words.insert(words.end(), prompt.begin(), prompt.end());
    for (const std::string& adapter : adapters) words.insert(words.end(), {"--adapter", adapter});
    return words;
  };
  const auto run = [&](const Words& adapters) { return program_.run(run_words(adapters)).out; };
  Words words = {"adapters", "diff", model(), "none", "me+work:0.5"};
  words.insert(words.end(), prompt.begin(), prompt.end());
  const Json both = json(words);
  ASSERT_NE(both.find("answers"), nullptr);
  const auto& answers = both.find("answers")->items();
  ASSERT_EQ(answers.size(), 2U);
  for (const auto& [answer, adapters] : {std::pair(answers[0], Words{}), {answers[1], {"me", "work:0.5"}}}) {
    const Json expected = json(run_words(adapters));
    EXPECT_EQ(text(answer, "text"), text(expected, "text"));
    EXPECT_EQ(answer.find("ids")->dump(), expected.find("ids")->dump());
  }
  EXPECT_NE(text(answers[0], "text"), text(answers[1], "text")) << "or the test shows nothing";
  EXPECT_FALSE(both.find("same")->as_bool());
  ASSERT_EQ(answers[1].find("adapters")->items().size(), 2U);
  EXPECT_EQ(number(answers[1].find("adapters")->items()[1], "strength"), 0.5);
  // Where there is no terminal, one after the other.
  EXPECT_EQ(program_.run(words).out,
            "== none ==\n" + run({}) + "\n\n== me+work:0.5 ==\n" + run({"me", "work:0.5"}) + "\n");
  words[4] = "base";
  EXPECT_TRUE(json(words).find("same")->as_bool());
  for (const auto& [stack, part] : {std::pair("me+nobody", "nobody"),
                                    {"me+", "\"me+\": expected an adapter on both sides"},
                                    {"", "expected adapters such as me or me+work:0.5, got no text"},
                                    {"me:much", "the strength in \"me:much\": expected a number"},
                                    {"me:inf", "the strength in \"me:inf\""},
                                    {"../me", "expected the name of an adapter"}}) {
    words[4] = stack;
    expect_fails(words, {part});
  }
}

TEST_F(AdaptersTest, AConcatenationIsTheStack) {
  learn("me");
  learn("work", "2");
  ASSERT_EQ(program_.run({"adapters", "merge", "me", "work:0.5", "--method", "cat", "--as", "both"}).status, 0);
  const double stacked = loss(model(), {"me", "work:0.5"});
  EXPECT_GT(std::abs(stacked - loss(model())), 0.01) << "or the test shows nothing";
  // The delta of 8 ranks has the same terms in another order: a rounding of floats in each product, 2^-24 of numbers
  // of ordinary size, through two layers.
  EXPECT_NEAR(loss(model(), {"both"}), stacked, 1e-4);
  const Json both = json({"adapters", "show", "both"});
  EXPECT_EQ(text(both, "method"), "merge cat");
  EXPECT_EQ(text(both, "verdict"), "merged");
  EXPECT_EQ(number(both, "rank"), 8);
  const auto& parts = both.find("origin")->find("parts")->items();
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(text(parts[1], "name"), "work");
  EXPECT_EQ(number(parts[1], "weight"), 0.5);
}

TEST_F(AdaptersTest, MergesInEveryWay) {
  learn("me");
  learn("work", "2");
  for (const std::string method : {"linear", "ties", "dare", "dare-ties", "svd"}) {
    const Words words = {"adapters",  "merge", "me",     "work", "--method", method,
                         "--density", "0.7",   "--seed", "5",    "--out",    program_.file(method)};
    const Outcome merged = program_.run(words);
    ASSERT_EQ(merged.status, 0) << merged.err;
    const Json shown = json({"adapters", "show", program_.file(method)});
    EXPECT_EQ(number(shown, "rank"), 4) << method;
    EXPECT_TRUE(std::isfinite(loss(model(), {program_.file(method)}))) << method;
    expect_fails(words, {program_.file(method), "not overwritten"});
  }
  ASSERT_EQ(program_.run({"adapters", "merge", "me", "work", "--method", "svd", "--rank", "2", "--as", "two"}).status,
            0);
  EXPECT_EQ(number(json({"adapters", "show", "two"}), "rank"), 2);
  expect_fails({"adapters", "merge", "me", "two", "--as", "three"}, {"equal ranks"});
  EXPECT_FALSE(std::filesystem::exists(folder_of("three")));
}

TEST_F(AdaptersTest, FoldedIntoAModelItAnswersAsWorn) {
  learn("me");
  const std::string out = program_.file("folded.gguf");
  ASSERT_EQ(program_.run({"adapters", "merge", "me:0.5", "--into", model(), "--out", out}).status, 0);
  const double worn = loss(model(), {"me:0.5"});
  EXPECT_GT(std::abs(worn - loss(model())), 0.01) << "or the test shows nothing";
  EXPECT_NEAR(loss(out), worn, 1e-4) << "one rounding to float of each weight";
  const auto formats = [&](const std::string& path) { return json({"inspect", path}).find("formats")->dump(); };
  EXPECT_EQ(formats(out), formats(model()));
  // A quantised model keeps the format of each tensor, and what is not changed its bytes; or gets the one asked for.
  const std::string q4 = model("tiny", "q4_k_m"), folded = program_.file("folded-q4.gguf");
  const Outcome made = program_.run({"adapters", "merge", "me", "--into", q4, "--out", folded});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.err.find("made on other weights"), std::string::npos) << made.err;
  EXPECT_EQ(formats(folded), formats(q4));
  EXPECT_LT(loss(folded), loss(q4)) << "it has learned, and requantising does not take all of it away";
  const std::string q8 = program_.file("folded-q8.gguf");
  ASSERT_EQ(program_.run({"adapters", "merge", "me", "--into", model(), "--out", q8, "--type", "q8_0"}).status, 0);
  EXPECT_NE(formats(q8).find("Q8_0"), std::string::npos);
  expect_fails({"adapters", "merge", "me", "--into", q4, "--out", q8}, {q8, "not overwritten"});
  const std::string huge = program_.file("huge.gguf");
  for (const char* strength : {"me:1e9", "me:1e38", "me:-1e9"}) {
    expect_fails({"adapters", "merge", strength, "--into", model(), "--out", huge}, {"\"blk.", "smaller strengths"});
  }
  EXPECT_FALSE(std::filesystem::exists(huge));
}

TEST_F(AdaptersTest, GoesOutAndComesBackUnchanged) {
  learn("me");
  const double worn = loss(model(), {"me"});
  for (const std::string format : {"peft", "gguf"}) {
    const std::string out = program_.file(format == "gguf" ? "out.gguf" : "out"), name = "from-" + format;
    const Outcome written = program_.run({"adapters", "export", "me", "--out", out, "--format", format});
    ASSERT_EQ(written.status, 0) << written.err;
    EXPECT_FALSE(std::filesystem::exists(out + "/run.json")) << "the record names a person's files";
    const Outcome read = program_.run({"adapters", "import", out, "--as", name});
    ASSERT_EQ(read.status, 0) << read.err;
    EXPECT_EQ(loss(model(), {name}), worn) << format;
    EXPECT_EQ(text(json({"adapters", "show", name}), "verdict"), "imported");
    expect_fails({"adapters", "export", "me", "--out", out, "--format", format}, {out, "not overwritten"});
    expect_fails({"adapters", "import", out, "--as", name}, {name, "not overwritten", "adapters remove " + name});
  }
}

TEST_F(AdaptersTest, TheEndingSaysWhatToExport) {
  learn("me");
  const auto written = [&](Words more) {
    Words words = {"adapters", "export", "me"};
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(program_.run(words).status, 0);
    return std::filesystem::is_directory(more[1]) ? "a folder" : whole_file(more[1]).substr(0, 4);
  };
  EXPECT_EQ(written({"--out", program_.file("a.gguf")}), "GGUF");
  EXPECT_EQ(written({"--out", program_.file("b.gguf"), "--format", "peft"}), "a folder");
  EXPECT_EQ(written({"--out", program_.file("c"), "--format", "gguf"}), "GGUF");
}

// As PEFT itself writes it: without a word on what it is for.
TEST_F(AdaptersTest, AForeignFolderNeedsItsModel) {
  learn("me");
  const std::string folder = program_.file("foreign");
  ASSERT_EQ(program_.run({"adapters", "export", "me", "--out", folder}).status, 0);
  const std::string file = folder + "/adapter_model.safetensors";
  const std::string bytes = whole_file(file);
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), 8);
  auto header = parse_json(bytes.substr(8, size), "header");
  ASSERT_TRUE(header.ok());
  std::erase_if(header->members(), [](const Json::Member& member) { return member.first == "__metadata__"; });
  std::string fresh = header->dump();
  ASSERT_LE(fresh.size(), size);
  fresh.resize(size, ' ');
  program_.write("foreign/adapter_model.safetensors", bytes.substr(0, 8) + fresh + bytes.substr(8 + size));
  expect_fails({"adapters", "import", folder, "--as", "poet"}, {"--model MODEL"});
  EXPECT_FALSE(std::filesystem::exists(folder_of("poet")));
  const Outcome read = program_.run({"adapters", "import", folder, "--as", "poet", "--model", model()});
  ASSERT_EQ(read.status, 0) << read.err;
  EXPECT_EQ(loss(model(), {"poet"}), loss(model(), {"me"}));
}

TEST_F(AdaptersTest, WhatIsDamagedIsNotTakenIn) {
  learn("me");
  const std::string folder = program_.file("cut");
  ASSERT_EQ(program_.run({"adapters", "export", "me", "--out", folder}).status, 0);
  const std::string file = folder + "/adapter_model.safetensors";
  const auto whole = std::filesystem::file_size(file);
  for (const double share : {0.0, 0.001, 0.5, 0.999}) {
    std::filesystem::resize_file(file, static_cast<uintmax_t>(share * static_cast<double>(whole)));
    expect_fails({"adapters", "import", folder, "--as", "x"}, {folder});
  }
  expect_fails({"adapters", "import", program_.file("nothing"), "--as", "x"}, {"nothing", "no such file"});
  expect_fails({"adapters", "import", model(), "--as", "x"}, {model()});
  for (const char* name : {"../x", "none", "base"}) {
    expect_fails({"adapters", "import", folder, "--as", name}, {"cannot be the name of an adapter"}, 2);
  }
  const Json list = json({"adapters"});
  ASSERT_EQ(list.find("adapters")->items().size(), 1U) << list.dump();
  for (const auto& entry : std::filesystem::directory_iterator(program_.file("data/andiron/adapters"))) {
    EXPECT_EQ(entry.path().filename(), "me") << "nothing half-written";
  }
}

TEST_F(AdaptersTest, AModelThatItIsNotForIsNamedWithHashAndShape) {
  learn("me");
  const std::string other = model("tiny-odd");
  const std::string hash = text(json({"adapters", "show", "me"}), "base_hash");
  const std::string out = program_.file("out.gguf");
  for (const Words& words : {Words{"adapters", "merge", "me", "--into", other, "--out", out},
                             Words{"adapters", "diff", other, "none", "me", "-p", "ba"},
                             Words{"eval", other, "--adapter", "me", "--data", rows()}}) {
    expect_fails(words, {hash, " x ", "tiny-odd"});
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(AdaptersTest, RemovesWhenItIsSure) {
  learn("me");
  expect_fails({"adapters", "remove", "me"}, {"--yes"});
  EXPECT_TRUE(std::filesystem::exists(folder_of("me"))) << "nobody was asked";
  const int busy = open(folder_of("me").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // as training does
  ASSERT_EQ(flock(busy, LOCK_EX | LOCK_NB), 0);
  expect_fails({"adapters", "remove", "me", "--yes"}, {folder_of("me"), "another process is training"});
  EXPECT_TRUE(std::filesystem::exists(folder_of("me") + "/run.json"));
  close(busy);
  EXPECT_EQ(program_.run({"adapters", "remove", "me", "--yes"}).status, 0);
  EXPECT_TRUE(std::filesystem::is_empty(program_.file("data/andiron/adapters"))) << "nothing of it is left";
  expect_fails({"adapters", "remove", "me", "--yes"}, {"no adapter of this name"});
  program_.write("precious", "1");
  for (const std::string name : {"../../precious", ".", "..", "a/b"}) {
    expect_fails({"adapters", "remove", name, "--yes"}, {"cannot be the name"}, 2);
  }
  EXPECT_EQ(program_.text("precious"), "1");
}

TEST_F(AdaptersTest, WrongUsageIsStatusTwo) {
  for (const Words& words :
       {Words{"adapters", "no-such"}, Words{"adapters", "show"}, Words{"adapters", "diff", "model", "me"},
        Words{"adapters", "merge", "me"}, Words{"adapters", "merge", "me", "--as", "a", "--out", "b"},
        Words{"adapters", "merge", "me", "--as", "a/b"},
        Words{"adapters", "merge", "me", "--as", "a", "--method", "mean"},
        Words{"adapters", "merge", "me", "--as", "a", "--density", "0"},
        Words{"adapters", "merge", "me", "--as", "a", "--density", "nan"},
        Words{"adapters", "merge", "me", "--as", "a", "--type", "q8_0"},
        Words{"adapters", "merge", "me", "--into", "m", "--as", "a"},
        Words{"adapters", "merge", "me", "--into", "m", "--out", "o", "--type", "q9"},
        Words{"adapters", "export", "me"}, Words{"adapters", "export", "me", "--out", "o", "--format", "bin"},
        Words{"adapters", "export", "me", "--out", ""}, Words{"adapters", "import", "path", "--as", "../x"},
        Words{"adapters", "import", "path"}, Words{"adapters", "diff", "m", "a", "b", "--temp", "-1"}}) {
    expect_fails(words, {}, 2);
  }
}

}  // namespace
}  // namespace andiron
