// What a start finds of the jobs of processes that ended at any moment.
#include <filesystem>
#include <string>
#include <utility>

#include "base/strings.h"
#include "serve/learn_fixture.h"
#include "serve/training_jobs.h"
#include "train/run_record.h"

namespace andiron {
namespace {

// As if the last process had been killed when the decision was saved and nothing removed yet.
TEST_F(LearningTest, WhatWasDiscardedIsRemovedAtTheNextStart) {
  const std::string id = added(ask(file(), "mine")).id;
  ASSERT_EQ(ended(id).state, kJobSucceeded);
  ASSERT_TRUE(comes_true([&] { return jobs_->keep(id).ok(); }));
  jobs_.reset();
  const auto decide = [&](const char* decision) {
    auto run = store_->run(id).value();
    ASSERT_TRUE(run.has_value());
    bool found = false;
    for (auto& [name, value] : run->details.members()) {
      if (name != "decision") continue;
      value = Json(std::string(decision));
      found = true;
    }
    ASSERT_TRUE(found);
    const auto put = store_->put_run(std::move(*run));
    EXPECT_TRUE(put.ok()) << put.error().message;
  };
  // Another run's is nobody's to remove.
  auto record = read_run_record(adapter("mine") + "/run.json");
  ASSERT_TRUE(record.ok());
  const std::string started = std::exchange(record->started, "2020-01-01T00:00:00+00:00");
  ASSERT_TRUE(write_run_record(adapter("mine") + "/run.json", *record).ok());
  decide("discarded");
  open();
  EXPECT_TRUE(std::filesystem::exists(weights("mine")));
  jobs_.reset();
  record->started = started;
  ASSERT_TRUE(write_run_record(adapter("mine") + "/run.json", *record).ok());
  open();
  EXPECT_FALSE(std::filesystem::exists(adapter("mine")));
  EXPECT_EQ(find(id).decision, "discarded");
  EXPECT_TRUE(jobs_->discard(id).ok());
}

TEST_F(LearningTest, WhatWasBeingRemovedGoesAtTheNextStart) {
  jobs_.reset();
  const std::string left = adapter("mine.part-1-0-removed");
  std::filesystem::create_directories(left + "/checkpoints/step-1");
  folder_.write("adapters/mine.part-1-0-removed/checkpoints/step-1/weights", "what was learned");
  std::filesystem::create_directories(adapter("other"));
  open();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(adapter("other")));
}

// As if the last process had been killed when the state of a job was saved and its last event was not.
TEST_F(LearningTest, WhatAKilledProcessDidNotSayIsSaidAfterIt) {
  const std::string id = added(ask(file())).id;
  const TrainingJob job = ended(id);
  ASSERT_EQ(job.state, kJobSucceeded);
  const auto said = messages(id);
  jobs_.reset();
  const std::string name = format("data/jobs/{}.events.jsonl", id);
  const auto bytes = read_bytes(folder_.file(name));
  const std::string text(bytes.begin(), bytes.end());
  const std::string cut = text.substr(0, text.rfind('\n', text.size() - 2) + 1);
  folder_.write(name, cut);
  for (int starts = 0; starts < 2; ++starts) {  // the second finds it said
    open();
    std::string last;
    bool done = false;
    EXPECT_FALSE(jobs_->watch(id, [&](const JobEvent* event) {
      done = event == nullptr;
      if (!done) last = event->message;
      return !done;
    }));
    EXPECT_TRUE(done);
    EXPECT_EQ(last, said.back());
    EXPECT_EQ(messages(id), said);
    EXPECT_EQ(jobs_->events(id)->back().created, job.finished);
    jobs_.reset();
  }
  folder_.write(name, cut);
  open();
  EXPECT_TRUE(jobs_->discard(id).ok()) << "before anybody looks";
  auto all = said;
  all.push_back("discarded");
  EXPECT_EQ(messages(id), all);
}

// As an older program finds what a newer one has written.
TEST_F(LearningTest, WhatCannotBeReadNowIsNotTheLastWord) {
  const std::string id = added(ask(file())).id;
  ASSERT_EQ(ended(id).state, kJobSucceeded);
  const auto said = messages(id);
  jobs_.reset();
  const auto run = store_->run(id).value();
  ASSERT_TRUE(run.has_value());
  auto unreadable = run;
  unreadable->details = Json::object();  // without a job's members
  ASSERT_TRUE(store_->put_run(std::move(*unreadable)).ok());
  open();
  EXPECT_EQ(find(id).state, kJobFailed);
  EXPECT_EQ(messages(id), said);
  jobs_.reset();
  ASSERT_TRUE(store_->put_run(*run).ok());
  open();
  EXPECT_EQ(find(id).state, kJobSucceeded);
  EXPECT_EQ(messages(id), said);
}

// As where a server does not teach, or is killed before it has told the jobs.
TEST_F(LearningTest, ChatsThatWentMeanwhileAreNotLearned) {
  for (int i = 0; i < 8; ++i) chat(true, format("It is four, for the {}th time.", i));
  const std::string removed = chat(true);
  const auto from_chats = [&](const char* name, bool is_long) {
    TrainingAsk wanted = ask("", name, is_long);
    wanted.files.clear();
    wanted.chats = true;
    return added(wanted).id;
  };
  const std::string over = from_chats("over", false);
  ASSERT_EQ(ended(over).state, kJobSucceeded);
  ASSERT_FALSE(find(over).samples.items().empty());
  gate_.enter();
  const std::string id = from_chats("running", true);
  ASSERT_TRUE(trains_until(id, 1));
  jobs_.reset();
  gate_.leave();
  const std::string chats = format("data/jobs/{}.chats.jsonl", id);
  ASSERT_TRUE(std::filesystem::exists(folder_.file(chats)));
  auto remembers = store_->run(over).value();
  ASSERT_TRUE(remembers.has_value());

  const auto removal = store_->remove_conversations({removed});
  ASSERT_TRUE(removal.ok());
  EXPECT_EQ(removal->runs.size(), 2U);
  EXPECT_TRUE(store_->run(over).value()->details.member("samples").items().empty());
  TrainingJobs::remove_chats_of(folder_.file("data/jobs"), removal->runs);
  EXPECT_FALSE(std::filesystem::exists(folder_.file(chats)));

  // As one leaves them that was killed in between.
  folder_.write(chats, "");
  ASSERT_TRUE(store_->put_run(std::move(*remembers)).ok());
  open();
  EXPECT_EQ(find(id).state, kJobCancelled);
  EXPECT_EQ(store_->run(id).value()->state, kJobCancelled);
  EXPECT_FALSE(std::filesystem::exists(folder_.file(chats)));
  EXPECT_EQ(find(over).state, kJobSucceeded);
  EXPECT_TRUE(store_->run(over).value()->details.member("samples").items().empty());
}

// As if the last process had been killed before the store let go of a job, or after that.
TEST_F(LearningTest, AJobThatWasBeingRemovedIsThereOrGoneAtTheNextStart) {
  const std::string id = added(ask(file())).id;
  ASSERT_EQ(ended(id).state, kJobSucceeded);
  const auto said = messages(id);
  jobs_.reset();
  const std::string gone = "ftjob-0123456789abcdef0123456789abcdef", others = "ftjob-ffffffffffffffffffffffffffffffff";
  const std::string marked = "ftjob-eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
  const auto path = [](const std::string& job, const char* kind) { return format("data/jobs/{}.{}", job, kind); };
  const auto exists = [&](const std::string& name) { return std::filesystem::exists(folder_.file(name)); };
  for (const std::string& job : {gone, others, marked}) {
    for (const char* kind : {"events.jsonl", "chats.jsonl"}) folder_.write(path(job, kind), "");
  }
  for (const std::string& job : {id, gone}) folder_.write(path(job, "removed"), store_->file());
  folder_.write(path(marked, "removed"), "/elsewhere/chats.db");
  open();
  EXPECT_EQ(find(id).state, kJobSucceeded);
  EXPECT_EQ(messages(id), said);
  EXPECT_FALSE(exists(path(id, "removed")));
  for (const char* kind : {"removed", "events.jsonl", "chats.jsonl"}) EXPECT_FALSE(exists(path(gone, kind))) << kind;
  EXPECT_TRUE(exists(path(others, "events.jsonl"))) << "a server with another store may have that job";
  for (const char* kind : {"removed", "events.jsonl", "chats.jsonl"}) {
    EXPECT_TRUE(exists(path(marked, kind))) << kind << ": a server with another store is removing that job";
  }
}

}  // namespace
}  // namespace andiron
