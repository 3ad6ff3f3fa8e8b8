// The scripts, with programs in place of andiron and ember_data that only write down how they were called.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/strings.h"
#include "base/test_folder.h"

namespace andiron::ember {
namespace {

// Its rows are the number of rows that it was asked for; of the skills in NO_PAIRS it makes no pairs.
constexpr std::string_view kEmberData = R"(#!/bin/sh
[ "$1" != --list ] || { echo "facts exact 95 all"; echo "chat exact - 1"; exit "${LIST_STATUS:-0}"; }
echo "ember_data $*" >>"$LOG"
while [ $# -gt 0 ]; do
  [ "$1" != --out ] || out=$2
  [ "$1" != --rows ] || rows=$2
  [ "$1" != --prefer ] || pairs=$2
  shift
done
if [ -n "${pairs-}" ]; then
  case " ${NO_PAIRS-} " in *" $(basename "$pairs" .jsonl) "*) pairs=/dev/null ;; esac
  cat "$pairs" >"$out"
  exit
fi
mkdir -p "$out/train" "$out/test"
for skill in facts unknown yesno json words arithmetic calendar sentiment persona; do
  echo "$rows" >"$out/train/$skill.jsonl"
done
printf '1\n2\n' >"$out/test/facts.jsonl"
echo 1 >"$out/test/chat.jsonl"
printf '{"text": "One \\"two\\"\\n\\nthree."}\n' >"$out/test/texts.jsonl"
)";

// Models are hashes of what they are made from; the command BREAK_AT stops half-way. Of the rows that eval asks RIGHT
// are answered, and more with an adapter; of the others a half, and of those that the float model is asked more. What
// it answers to the ten is how many of them it knows.
constexpr std::string_view kAndiron = R"(#!/bin/sh
[ "$1" != --version ] || { echo "andiron 0"; exit; }
command=$1 all=$*
echo "$*" >>"$LOG"
case $command in quantize) from=$2 out=$3 ;; pretrain | tokenizer) from=$3 ;; adapters) from=$5 ;; *) from=$2 ;; esac
while [ $# -gt 0 ]; do
  [ "$1" != --out ] || out=$2
  [ "$1" != --answers ] || out=$2
  [ "$1" != --adapter ] || taught=yes
  shift
done
case $command in
  pretrain) mkdir -p "$out"; echo begun >"$out/run.json"; out=$out/model.gguf ;;
  learn)
    mkdir -p "$out"; echo begun >"$out/run.json"
    echo '{"user": "how old is my daughter?"}' >"$out/study.jsonl"
    out=$out/adapter_model.safetensors ;;
  eval)
    accuracy=0.5 right=${RIGHT-3}
    case $from in */prefer/model.gguf) accuracy=0.625 ;; esac
    [ -z "${taught-}" ] || accuracy=0.75 right=8
    echo "{\"loss\": 2.0, \"perplexity\": 7.4, \"accuracy\": $accuracy, \"right\": $right, \"rows\": 1, \"tokens\": 3}"
    case $all in *about-me.questions*)
      for row in 1 2 3 4 5 6 7 8 9 10; do
        [ $row -le "$right" ] && verdict=true || verdict=false
        echo "{\"row\": $row, \"expected\": \"x\", \"given\": \"I know $right\", \"right\": $verdict}"
      done >"$out"
      exit ;;
    esac
    ;;
esac
[ "$command" != "${BREAK_AT-}" ] || exit 1
[ -z "${out-}" ] || find "$from" -type f -exec cat {} + | sha256sum >"$out"
)";

class Scripts : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& [name, text] : {std::pair("ember_data", kEmberData), std::pair("andiron", kAndiron)}) {
      std::filesystem::permissions(folder_.write(name, text), std::filesystem::perms::owner_all);
    }
    folder_.write("stories", "once\n");
  }

  // The status of a script of the recipe; `variables` are set for it.
  int run(const std::string& script, const std::string& variables = "") const {
    folder_.write("log", "");
    const std::string command = format(
        "cd '{}' && LOG=$PWD/log ANDIRON=$PWD/andiron EMBER_DATA=$PWD/ember_data STORIES=$PWD/stories P3= "
        "REFERENCE= TEST_ROWS=2 {} sh {}/recipes/ember/{} >out 2>err",
        folder_.path(), variables, ANDIRON_SOURCE_DIR, script);
    return std::system(command.c_str());
  }
  int make(const std::string& variables = "") const { return run("make.sh made", variables); }
  std::string text_of(const std::string& name) const {
    const auto bytes = read_bytes(folder_.file(name));
    return {bytes.begin(), bytes.end()};
  }
  // The first call in the log that begins so, to its end.
  std::string call_of(const std::string& words) const {
    const std::string log = "\n" + text_of("log");
    const size_t from = log.find("\n" + words);
    return from == std::string::npos ? "" : log.substr(from + 1, log.find('\n', from + 1) - from - 1);
  }
  // The log has a call that begins so.
  bool called(const std::string& words) const { return !call_of(words).empty(); }

  TestFolder folder_;
};

TEST_F(Scripts, WhatWasMadeIsNotMadeAgain) {
  ASSERT_EQ(make(), 0) << text_of("err");
  for (const char* call :
       {"ember_data --out", "tokenizer", "pretrain", "ember_data --prefer", "learn", "adapters merge", "quantize"}) {
    EXPECT_TRUE(called(call)) << call;
  }
  EXPECT_NE(text_of("made/skills.md").find("| facts | exact | 1 | 50.0% | 95% | 2.000 |"), std::string::npos);
  // What quantising costs.
  EXPECT_NE(text_of("made/skills.md").find("\n\n| skill | F32 | Q8_0 | difference |\n"), std::string::npos);
  EXPECT_NE(text_of("made/skills.md").find("| facts | 62.5% | 50.0% | -12.5 |\n"), std::string::npos);
  EXPECT_NE(text_of("made/skills.md").find("| story text | 0.353 | 0.353 | +0.000 |\n"), std::string::npos);
  ASSERT_EQ(make(), 0);
  EXPECT_EQ(text_of("log"), "");
}

TEST_F(Scripts, OtherVariablesMakeAllAgainThatDependsOnThem) {
  ASSERT_EQ(make("ROWS=60"), 0);
  const std::string trial = text_of("made/run/model.gguf");
  ASSERT_EQ(make("ROWS=600"), 0);
  EXPECT_TRUE(called("pretrain"));
  EXPECT_EQ(text_of("log").find(" --resume\n"), std::string::npos) << text_of("log");
  EXPECT_TRUE(called("quantize"));
  EXPECT_NE(text_of("made/run/model.gguf"), trial);
  EXPECT_EQ(text_of("made/run.before/model.gguf"), trial);
  // What preferences are made from is behind the pretrained model.
  ASSERT_EQ(make("ROWS=600 FRESH=7"), 0);
  EXPECT_FALSE(called("pretrain"));
  EXPECT_TRUE(called("learn"));
}

TEST_F(Scripts, ARunThatWasEndedGoesOnWithWhatItBeganWith) {
  ASSERT_NE(make("ROWS=60 BREAK_AT=pretrain"), 0);
  ASSERT_EQ(make("ROWS=60"), 0);
  EXPECT_FALSE(called("tokenizer"));
  EXPECT_NE(text_of("log").find("made/run --resume\n"), std::string::npos);
  // Ended among other rows, and then the first ones again: nothing of the others is gone on with.
  ASSERT_NE(make("ROWS=600 BREAK_AT=pretrain"), 0);
  ASSERT_EQ(make("ROWS=60"), 0);
  EXPECT_TRUE(called("pretrain"));
  EXPECT_EQ(text_of("log").find("made/run --resume\n"), std::string::npos);
}

TEST_F(Scripts, AnotherReferenceIsMeasuredAnew) {
  ASSERT_EQ(make(), 0);
  ASSERT_EQ(make("REFERENCE=stories"), 0) << text_of("err");
  EXPECT_FALSE(called("quantize"));
  EXPECT_TRUE(called("eval stories --data ")) << text_of("log");
  EXPECT_NE(text_of("made/skills.md").find("| 0.353 | < 0.353 |"), std::string::npos) << text_of("made/skills.md");
}

TEST_F(Scripts, SkillsWithNothingWrongAreNotLearnedFrom) {
  ASSERT_EQ(make("NO_PAIRS='facts json'"), 0) << text_of("err");
  EXPECT_FALSE(std::filesystem::exists(folder_.file("made/pairs/facts.jsonl")));
  const std::string learn = call_of("learn");
  EXPECT_EQ(learn.find("pairs/facts.jsonl"), std::string::npos) << learn;
  EXPECT_EQ(learn.find("pairs/json.jsonl"), std::string::npos) << learn;
  EXPECT_NE(learn.find("pairs/unknown.jsonl"), std::string::npos) << learn;
}

TEST_F(Scripts, WithoutPairsThePretrainedModelIsShipped) {
  ASSERT_EQ(make("NO_PAIRS='facts unknown yesno json words arithmetic calendar sentiment persona'"), 0)
      << text_of("err");
  EXPECT_FALSE(called("learn"));
  EXPECT_FALSE(called("adapters"));
  EXPECT_TRUE(called("quantize"));
  EXPECT_NE(text_of("err").find("there are no pairs, so the model stays the pretrained one"), std::string::npos);
  EXPECT_EQ(text_of("made/prefer/model.gguf"), text_of("made/run/model.gguf"));
}

TEST_F(Scripts, AResultThatIsGoneIsMadeAgain) {
  ASSERT_EQ(make(), 0);
  std::filesystem::remove(folder_.file("made/ember.gguf"));
  ASSERT_EQ(make(), 0);
  EXPECT_TRUE(called("quantize"));
  EXPECT_FALSE(called("learn"));
}

TEST_F(Scripts, StoryTextsAreMeasuredByByteAndWord) {
  ASSERT_EQ(make(), 0);
  // 3 tokens of 2 nats; `One "two"`, two line ends and `three.` are 17 bytes and 3 words.
  ASSERT_EQ(run("skills.sh made/ember.gguf made/data"), 0) << text_of("err");
  EXPECT_NE(text_of("out").find("| story text | nats per byte | 1 | 0.353 | - | 2.000 |"), std::string::npos)
      << text_of("out");
  EXPECT_NE(text_of("out").find("| story words | perplexity per word | 1 | 7.4 | - | 2.000 |"), std::string::npos);
  ASSERT_EQ(run("skills.sh made/ember.gguf made/data", "REFERENCE=made/run"), 0) << text_of("err");
  EXPECT_NE(text_of("out").find("| 0.353 | < 0.353 |"), std::string::npos) << text_of("out");
}

// Ten questions, the document, the same ten with what was learned, and every skill without it and with it.
TEST_F(Scripts, TeachingIsMeasuredBeforeAndAfter) {
  ASSERT_EQ(make(), 0);
  ASSERT_EQ(run("teach.sh made/ember.gguf taught made/data", "LEARN='--kl 4'"), 0) << text_of("err");
  const std::string log = text_of("log"), out = text_of("out");
  size_t at = 0;
  for (const char* call :
       {"/recipes/ember/about-me.questions.jsonl --metric contains --tokens 60 --no-base -q --json --answers "
        "taught/before.answers\n",
        "/recipes/ember/about-me.md --out taught/adapter --budget 2m --threads 2 --kl 4\n",
        "/recipes/ember/about-me.questions.jsonl --metric contains --tokens 60 --no-base -q --json --answers "
        "taught/after.answers --adapter taught/adapter\n",
        "eval made/ember.gguf --data made/data/test/facts.jsonl --metric exact --seq-len 1024 --tokens 200 --quiet "
        "--json\n",
        "eval made/ember.gguf --data made/data/test/facts.jsonl --metric exact --seq-len 1024 --tokens 200 --quiet "
        "--json --adapter taught/adapter --no-base\n"}) {
    const size_t found = log.find(call, at);
    ASSERT_NE(found, std::string::npos) << call << " behind " << at << " in\n" << log;
    at = found;
  }
  EXPECT_TRUE(called("learn made/ember.gguf /")) << log;
  for (const char* line :
       {"| before | 3 |\n", " s of learning | 8 |\n", "| of the ten, asked itself in the same words | 1 |\n",
        "| Which name did we give our dog? | I know 3 | I know 8 |\n",
        "| How old is my daughter? | I know 3 * | I know 8 |\n",
        "| On which day of the week do I visit the market? | I know 3 * | I know 8 * |\n",
        "| facts | 50.0% | 75.0% | +25.0 |\n"}) {
    EXPECT_NE(out.find(line), std::string::npos) << line << " in\n" << out;
  }
  // The other model is not asked for, and without skills nothing but the ten is measured.
  ASSERT_EQ(run("teach.sh made/ember.gguf taught none", "REFERENCE=nobody"), 0) << text_of("err");
  EXPECT_EQ(text_of("log").find("made/data"), std::string::npos) << text_of("log");
  EXPECT_EQ(run("teach.sh made/ember.gguf taught made/data", "REFERENCE=nobody"), 0) << text_of("err");
}

TEST_F(Scripts, FailuresAreTold) {
  ASSERT_EQ(make(), 0);
  const auto fails = [&](const std::string& script, const std::string& variables, const std::string& says) {
    EXPECT_NE(run(script, variables), 0) << script << " " << variables;
    EXPECT_NE(text_of("err").find(says), std::string::npos) << text_of("err");
    EXPECT_EQ(text_of("out"), "");
  };
  fails("skills.sh made/ember.gguf mode/data", "", "mode/data/test/facts.jsonl: there are no such rows");
  fails("skills.sh made/ember.gguf made/data", "LIST_STATUS=1", "--list failed");
  fails("skills.sh made/ember.gguf made/data", "TEST_ROWS=3", "facts.jsonl: expected 3 rows and found 2");
  fails("skills.sh made/ember.gguf made/data", "REFERENCE=nobody", "nobody: this model is not there");
  fails("teach.sh", "", "usage: ");
  fails("teach.sh made/ember.gguf taught mode/data", "", "mode/data: no test rows are there");
  EXPECT_FALSE(called("learn"));
  fails("teach.sh made/ember.gguf taught none", "RIGHT=none", "taught/before.json: eval counted no right answers");
  EXPECT_NE(run("teach.sh made/ember.gguf taught none", "BREAK_AT=learn"), 0);
  EXPECT_EQ(text_of("out"), "");
  fails("beside.sh made/skills.md", "", "usage: ");
  fails("beside.sh made/skills.md err", "", "err: expected a table of skills.sh");
  fails("make.sh made", "STORIES=nobody", "nobody: no stories are there");
  fails("make.sh made", "P3=nobody", "nobody: P3 names no file");
  fails("make.sh made", "REFERENCE=nobody", "nobody: the model to measure stories beside is not there");
  EXPECT_EQ(text_of("log"), "") << "before all stages";
}

// The program itself: of -1000 it would write rows until the disk is full.
TEST_F(Scripts, NumbersOfRowsThatCannotBeAreRefused) {
  for (const char* wrong : {"--rows -1000", "--test-rows -1", "--rows 1000000001"}) {
    const std::string command =
        format("cd '{}' && ulimit -f 1000 && '{}' {} --out rows --tables '{}/recipes/ember/tables' >out 2>err",
               folder_.path(), EMBER_DATA, wrong, ANDIRON_SOURCE_DIR);
    EXPECT_NE(std::system(command.c_str()), 0) << wrong;
    EXPECT_NE(text_of("err").find("not in range"), std::string::npos) << text_of("err");
    EXPECT_FALSE(std::filesystem::exists(folder_.file("rows")));
  }
}

}  // namespace
}  // namespace andiron::ember
