// Whole jobs of a tiny model: what they leave is what `andiron learn` leaves, however often they are stopped.
#include "serve/training_jobs.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "serve/learn_fixture.h"
#include "train/run_record.h"

namespace andiron {
namespace {

TEST_F(LearningTest, LearnsWhatTheCommandLearns) {
  const std::string id = file();
  const TrainingJob begun = added(ask(id));
  EXPECT_EQ(begun.state, kJobQueued);
  EXPECT_EQ(begun.adapter, "birds") << "named after its file";
  const TrainingJob job = ended(begun.id);
  ASSERT_EQ(job.state, kJobSucceeded) << job.error;
  EXPECT_GT(job.steps, 1);
  EXPECT_EQ(job.step, job.steps);
  EXPECT_GT(job.tokens, 0);
  EXPECT_GT(job.finished, 0);
  EXPECT_FALSE(job.plan.empty());
  EXPECT_FALSE(job.verdict.empty());
  EXPECT_FALSE(job.samples.items().empty());
  EXPECT_EQ(job.batch, 1);
  EXPECT_TRUE(read_bytes(weights("birds")) == learned_alone(id, ask(id), "birds"));
  struct stat facts {};
  ASSERT_EQ(::stat(adapter("birds").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777U, 0700U) << "it may repeat what it is learned from";
  const auto kept = store_->run(job.id);
  ASSERT_TRUE(kept.ok() && kept->has_value());
  EXPECT_EQ((*kept)->state, "succeeded");
  EXPECT_EQ((*kept)->adapter, "birds");

  auto events = jobs_->events(job.id);
  ASSERT_TRUE(events.ok());
  int64_t steps = 0, number = 0;
  for (const JobEvent& event : *events) {
    EXPECT_GT(event.number, number);
    number = event.number;
    EXPECT_EQ(event.message.find(folder_.path()), std::string::npos) << "people know the file by its name";
    if (event.data.is_null()) continue;
    EXPECT_EQ(event.data.member("step").as_int(), ++steps);
    EXPECT_EQ(event.data.member("total_steps").as_int(), job.steps);
    EXPECT_TRUE(event.data.member("train_loss").is_number());
  }
  EXPECT_EQ(steps, job.steps);
}

TEST_F(LearningTest, PausesAndGoesOnToTheSameBytes) {
  const std::string file_id = file();
  gate_.enter();
  const std::string id = added(ask(file_id, "parts")).id;
  int64_t going_on = 0;
  for (const int64_t step : {1, 4, 6}) {
    ASSERT_TRUE(trains_until(id, step));
    const auto paused = jobs_->pause(id);
    ASSERT_TRUE(paused.ok()) << paused.error().message;
    EXPECT_EQ(find(id).state, kJobPaused);
    EXPECT_EQ(jobs_->pause(id).error().status, 409);
    // Before or after the thread has let go of it.
    if (step == 4) {
      gate_.leave();
      ASSERT_TRUE(comes_true([&] { return messages(id).back().starts_with("stopped after step"); }));
      gate_.enter();
      EXPECT_EQ(find(id).state, kJobPaused);
    }
    EXPECT_TRUE(jobs_->resume(id).ok());
    ++going_on;
  }
  gate_.leave();
  const TrainingJob job = ended(id);
  ASSERT_EQ(job.state, kJobSucceeded) << job.error;
  EXPECT_GT(job.steps, 7) << "it was over before the last pause";
  const auto said = messages(id);
  EXPECT_EQ(std::count_if(said.begin(), said.end(), [](const auto& one) { return one.starts_with("going on after"); }),
            going_on);
  EXPECT_TRUE(read_bytes(weights("parts")) == learned_alone(file_id, ask(file_id), "parts"));
  EXPECT_EQ(jobs_->resume(job.id).error().status, 409);
  EXPECT_EQ(jobs_->cancel(job.id).error().status, 409);
}

TEST_F(LearningTest, GoesOnWhenTheServerStartsAgain) {
  const std::string file_id = file();
  gate_.enter();
  const std::string first = added(ask(file_id, "restarted")).id;
  const std::string second = added(ask(file(10, "more.txt"))).id;
  ASSERT_TRUE(trains_until(first, 2));
  jobs_.reset();
  const auto kept = store_->run(first);
  ASSERT_TRUE(kept.ok() && kept->has_value());
  ASSERT_EQ((*kept)->state, "running");
  open();
  gate_.leave();
  EXPECT_EQ(find(first).ask.suffix, "restarted");
  const TrainingJob job = ended(first);
  ASSERT_EQ(job.state, kJobSucceeded) << job.error;
  EXPECT_TRUE(read_bytes(weights("restarted")) == learned_alone(file_id, ask(file_id), "restarted"));
  const auto said = messages(first);
  EXPECT_TRUE(
      std::any_of(said.begin(), said.end(), [](const std::string& one) { return one.starts_with("going on after"); }));
  EXPECT_EQ(ended(second).adapter, "more");
  // Those that are over stay so.
  jobs_.reset();
  open();
  EXPECT_EQ(find(first).state, kJobSucceeded);
  EXPECT_EQ(jobs_->list().size(), 2U);
  EXPECT_EQ(jobs_->list().front().id, second) << "the newest first";
  EXPECT_EQ(messages(first), said);
}

TEST_F(LearningTest, GivesWayToWhoeverIsAnswered) {
  gate_.enter();
  const std::string id = added(ask(file())).id;
  ASSERT_TRUE(comes_true([&] { return find(id).state == kJobRunning; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(find(id).step, 0) << "no step without the gate's leave";
  EXPECT_EQ(find(id).steps, 0);
  ASSERT_TRUE(trains_until(id, 2));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(find(id).step, 2) << "nor any later one";
  gate_.leave();
  EXPECT_EQ(ended(id).state, kJobSucceeded);
  // Nor does it keep the server from ending.
  gate_.enter();
  const std::string other = added(ask(file(30, "other.jsonl"))).id;
  ASSERT_TRUE(comes_true([&] { return find(other).state == kJobRunning; }));
  jobs_.reset();
  gate_.leave();
  open();
  EXPECT_EQ(ended(other).state, kJobSucceeded);
}

TEST_F(LearningTest, IsCancelledWhereverItIs) {
  const std::string data = file();
  const std::string running = added(ask(data, "first", true)).id;
  const std::string waiting = added(ask(data, "second")).id;
  wait_for_steps(running, 1);
  ASSERT_TRUE(jobs_->cancel(waiting).ok());
  EXPECT_EQ(find(waiting).state, kJobCancelled);
  EXPECT_GT(find(waiting).finished, 0);
  ASSERT_TRUE(jobs_->cancel(running).ok());
  EXPECT_EQ(find(running).state, kJobCancelled);
  EXPECT_EQ(jobs_->cancel(running).error().status, 409);
  EXPECT_EQ(jobs_->keep(running).error().status, 409);
  EXPECT_EQ(jobs_->cancel("ftjob-none").error().status, 404);
  // What was learned until then is there, until it is discarded.
  ASSERT_TRUE(comes_true([&] { return jobs_->discard(running).ok(); }));
  EXPECT_FALSE(std::filesystem::exists(adapter("first")));
  EXPECT_EQ(find(running).decision, "discarded");
  EXPECT_FALSE(std::filesystem::exists(adapter("second")));
  EXPECT_TRUE(jobs_->discard(waiting).ok()) << "there was nothing";
  const std::string again = added(ask(data, "first")).id;
  EXPECT_EQ(ended(again).state, kJobSucceeded) << "its name is free again";
}

TEST_F(LearningTest, KeepsAndDiscardsOnlyItsOwn) {
  const std::string id = added(ask(file(), "mine")).id;
  EXPECT_EQ(ended(id).decision, "");
  EXPECT_TRUE(jobs_->keep(id).ok());
  EXPECT_EQ(find(id).decision, "kept");
  // Another run has taken its folder.
  auto record = read_run_record(adapter("mine") + "/run.json");
  ASSERT_TRUE(record.ok());
  const std::string started = std::exchange(record->started, "2020-01-01T00:00:00+00:00");
  ASSERT_TRUE(write_run_record(adapter("mine") + "/run.json", *record).ok());
  EXPECT_EQ(jobs_->discard(id).error().status, 409);
  EXPECT_TRUE(std::filesystem::exists(weights("mine")));
  record->started = started;
  ASSERT_TRUE(write_run_record(adapter("mine") + "/run.json", *record).ok());
  EXPECT_EQ(jobs_->discard_model("tiny+other").error().status, 404);
  ASSERT_TRUE(jobs_->discard_model("tiny+mine").ok());
  EXPECT_FALSE(std::filesystem::exists(adapter("mine")));
  EXPECT_EQ(jobs_->keep(id).error().status, 409);
  EXPECT_EQ(jobs_->discard_model("tiny+mine").error().status, 404);
}

TEST_F(LearningTest, JobsThatAreOverAreRemoved) {
  for (int i = 0; i < 9; ++i) chat(true, format("It is four, for the {}th time.", i));
  TrainingAsk wanted = ask(file(), "mine");
  wanted.files.clear();
  wanted.chats = true;
  gate_.enter();
  const std::string id = added(wanted).id;
  const auto status_of_removal = [&] {
    const auto error = jobs_->remove(id);
    return error ? error->status : 200;
  };
  ASSERT_TRUE(comes_true([&] { return find(id).state == kJobRunning; }));
  EXPECT_EQ(status_of_removal(), 409);
  gate_.leave();
  ASSERT_EQ(ended(id).state, kJobSucceeded);
  const auto said = messages(id);
  fill_disk(true);
  EXPECT_EQ(status_of_removal(), 507);
  fill_disk(false);
  EXPECT_EQ(messages(id), said) << "nothing of it has gone";

  EXPECT_EQ(status_of_removal(), 200);
  EXPECT_EQ(status_of_removal(), 404);
  EXPECT_EQ(jobs_->find(id).error().status, 404);
  EXPECT_FALSE(store_->run(id).value().has_value());
  EXPECT_TRUE(store_->lessons_of_run(id).value().empty());
  EXPECT_TRUE(std::filesystem::is_empty(folder_.file("data/jobs"))) << "neither its events nor its chats";
  EXPECT_TRUE(std::filesystem::exists(weights("mine"))) << "what was learned stays";
  EXPECT_EQ(refused(wanted, "there is an adapter \"mine\" already"), 409);
  jobs_.reset();
  open();
  EXPECT_TRUE(jobs_->list().empty());
}

TEST_F(LearningTest, WhatCannotBeSavedIsNotDone) {
  const std::string data = file();
  const std::string over = added(ask(data, "over")).id;
  ASSERT_EQ(ended(over).state, kJobSucceeded);
  ASSERT_TRUE(comes_true([&] { return jobs_->keep(over).ok(); }));
  gate_.enter();
  const std::string running = added(ask(data, "running")).id;
  ASSERT_TRUE(trains_until(running, 1));
  const std::string waiting = added(ask(data, "waiting")).id;
  const std::string resting = added(ask(data, "resting")).id;
  ASSERT_TRUE(jobs_->pause(resting).ok());
  const auto said = messages(running);
  EXPECT_EQ(find(running).step, 1);
  fill_disk(true);
  EXPECT_EQ(jobs_->pause(running).error().status, 507);
  EXPECT_EQ(jobs_->cancel(running).error().status, 507);
  EXPECT_EQ(jobs_->cancel(waiting).error().status, 507);
  EXPECT_EQ(jobs_->resume(resting).error().status, 507);
  EXPECT_EQ(jobs_->discard(over).error().status, 507);
  EXPECT_EQ(jobs_->discard(over).error().code, "disk_full");
  fill_disk(false);
  EXPECT_EQ(find(running).state, kJobRunning);
  EXPECT_EQ(find(waiting).state, kJobQueued);
  EXPECT_EQ(find(waiting).finished, 0);
  EXPECT_EQ(find(resting).state, kJobPaused);
  EXPECT_EQ(find(over).decision, "kept");
  EXPECT_TRUE(std::filesystem::exists(weights("over")));
  EXPECT_EQ(messages(running), said);
  // The queue is as it was.
  gate_.leave();
  EXPECT_EQ(ended(running).state, kJobSucceeded);
  EXPECT_EQ(ended(waiting).state, kJobSucceeded);
  EXPECT_EQ(find(resting).state, kJobPaused);
}

TEST_F(LearningTest, LearnsFromChatsWhoseOwnerAllowedIt) {
  chat(false);
  TrainingAsk wanted = ask(file());
  wanted.files.clear();
  wanted.chats = true;
  EXPECT_EQ(refused(wanted, "nothing to learn from in the chats"), 400);
  for (int i = 0; i < 8; ++i) chat(true, format("It is four, for the {}th time.", i));
  const std::string allowed = chat(true);
  const TrainingJob job = ended(added(wanted).id);
  ASSERT_EQ(job.state, kJobSucceeded) << job.error;
  EXPECT_EQ(job.adapter, "chats");
  EXPECT_FALSE(job.samples.items().empty());
  const auto lessons = store_->lessons_of_run(job.id);
  ASSERT_TRUE(lessons.ok());
  EXPECT_EQ(lessons->size(), 9U);
  EXPECT_EQ(lessons->front().kind, "chat");
  EXPECT_EQ(store_->runs_that_learned(allowed).value(), std::vector<std::string>{job.id});
  for (const auto& entry : std::filesystem::directory_iterator(folder_.file("data/jobs"))) {
    EXPECT_EQ(entry.path().string().find("chats.jsonl"), std::string::npos) << "what was written down is gone";
  }
  // Preferences are other rows of the same chats.
  wanted.preferences = true;
  const TrainingJob pairs = ended(added(wanted).id);
  ASSERT_EQ(pairs.state, kJobSucceeded) << pairs.error;
  EXPECT_EQ(pairs.adapter, "chats-2");
  EXPECT_EQ(store_->lessons_of_run(pairs.id).value().front().kind, "preference");
  // Where a chat is removed, what was shown of the chats goes too.
  const auto removal = store_->remove_conversations({allowed});
  ASSERT_TRUE(removal.ok());
  EXPECT_EQ(removal->runs.size(), 2U);
  // As one leaves it that has not been told yet, and saves a decision.
  ASSERT_TRUE(comes_true([&] { return jobs_->keep(job.id).ok(); }));
  ASSERT_FALSE(store_->run(job.id).value()->details.member("samples").items().empty());
  EXPECT_TRUE(jobs_->forget(removal->runs));
  for (const char* name : {"data/chats.db", "data/chats.db-wal"}) {
    const std::string path = folder_.file(name);
    if (!std::filesystem::exists(path)) continue;
    const auto bytes = read_bytes(path);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()).find("prompt_tokens"),
              std::string_view::npos)
        << name << ": a sample's member";
  }
  for (const std::string& run : removal->runs) {
    EXPECT_EQ(find(run).state, kJobSucceeded);
    EXPECT_TRUE(find(run).samples.items().empty());
    EXPECT_TRUE(store_->run(run).value()->details.member("samples").items().empty());
  }
}

TEST_F(LearningTest, ChatsThatAreRemovedAreNotLearned) {
  for (int i = 0; i < 8; ++i) chat(true, format("It is four, for the {}th time.", i));
  const std::string removed = chat(true);
  TrainingAsk wanted = ask(file(), "chats", true);
  wanted.files.clear();
  wanted.chats = true;
  const std::string id = added(wanted).id;
  wait_for_steps(id, 1);
  const auto removal = store_->remove_conversations({removed});
  ASSERT_TRUE(removal.ok());
  ASSERT_EQ(removal->runs, std::vector<std::string>{id});
  jobs_->forget(removal->runs);
  EXPECT_EQ(find(id).state, kJobCancelled);
  EXPECT_FALSE(std::filesystem::exists(folder_.file(format("data/jobs/{}.chats.jsonl", id))));
}

TEST_F(LearningTest, NorThoseThatAreRemovedBeforeItHasBegun) {
  for (int i = 0; i < 8; ++i) chat(true, format("It is four, for the {}th time.", i));
  TrainingAsk wanted = ask(file(), "chats");
  wanted.files.clear();
  wanted.chats = true;
  // On the job's thread, which has the job and is about to read.
  const auto asker = std::this_thread::get_id();
  bool removed = false;
  on_folder_ = [&] {
    if (std::this_thread::get_id() == asker || std::exchange(removed, true)) return;
    const std::string id = jobs_->list().front().id;
    jobs_->forget({&id, 1});
  };
  const TrainingJob job = ended(added(wanted).id);
  EXPECT_EQ(job.state, kJobCancelled);
  ASSERT_TRUE(comes_true([&] { return messages(job.id).back() == "stopped after step 0"; }));
  EXPECT_TRUE(job.samples.items().empty());
  EXPECT_FALSE(std::filesystem::exists(adapter("chats")));
  for (const auto& entry : std::filesystem::directory_iterator(folder_.file("data/jobs"))) {
    EXPECT_EQ(entry.path().string().find("chats.jsonl"), std::string::npos);
  }
}

TEST_F(LearningTest, RefusesWhatCannotBe) {
  const std::string id = file();
  TrainingAsk wanted = ask(id, "name");
  wanted.model = "other";
  EXPECT_EQ(refused(wanted, "there is no model \"other\" here to teach; there is \"tiny\""), 404);
  EXPECT_EQ(refused(ask("file-none"), "there is no file \"file-none\" here"), 404);
  EXPECT_EQ(refused(ask("../../etc/passwd"), "there is no file"), 404);
  EXPECT_EQ(refused(ask(id, "no/name"), "is no name"), 400);
  wanted = ask(id, "name");
  wanted.preferences = true;
  wanted.study = "on";
  EXPECT_EQ(refused(wanted, "--study on"), 400);
  std::filesystem::create_directories(adapter("name"));
  EXPECT_EQ(refused(ask(id, "name"), "there is an adapter \"name\" already"), 409);
  const std::string first = added(ask(id, "free", true)).id;
  EXPECT_EQ(refused(ask(id, "free"), "there is an adapter \"free\" already"), 409);
  // What cannot be trained on is told by the job.
  wanted = ask(id, "pairs");
  wanted.preferences = true;
  const std::string pairs = added(wanted).id;
  EXPECT_TRUE(jobs_->cancel(first).ok());
  const TrainingJob failed = ended(pairs);
  EXPECT_EQ(failed.state, kJobFailed);
  EXPECT_NE(failed.error.find("birds.jsonl"), std::string::npos) << failed.error;
  EXPECT_FALSE(std::filesystem::exists(adapter("pairs"))) << "nothing was learned";
  EXPECT_EQ(failed.error.find(folder_.path()), std::string::npos) << failed.error;
}

TEST_F(LearningTest, TooManyWaitingAreToldToComeAgain) {
  gate_.enter();
  const std::string id = file();
  for (size_t i = 0; i <= TrainingJobs::kWaitingMax; ++i) {
    added(ask(id, format("a{}", i)));
    if (i > 0) continue;
    ASSERT_TRUE(comes_true([&] { return jobs_->list().front().state == kJobRunning; }));
  }
  EXPECT_EQ(refused(ask(id, "more"), "32 jobs wait already"), 429);
  // Nor does one that rests come back beside them.
  const std::string resting = jobs_->list().front().id;
  ASSERT_TRUE(jobs_->pause(resting).ok());
  const std::string another = added(ask(id, "another")).id;
  const auto refusal = jobs_->resume(resting);
  ASSERT_FALSE(refusal.ok());
  EXPECT_EQ(refusal.error().status, 429);
  EXPECT_EQ(refusal.error().code, "too_many_jobs");
  EXPECT_EQ(find(resting).state, kJobPaused);
  EXPECT_TRUE(jobs_->cancel(another).ok());
  EXPECT_TRUE(jobs_->resume(resting).ok());
  for (const TrainingJob& job : jobs_->list()) EXPECT_TRUE(job.is_over() || jobs_->cancel(job.id).ok());
  gate_.leave();
}

TEST_F(LearningTest, TooManyKeptAreNotAddedTo) {
  StoredRun run;
  run.state = kJobFailed;
  run.created_ms = run.changed_ms = 1;
  std::string lines = R"({"andiron": "store", "version": 1})"
                      "\n";
  for (size_t i = 0; i < TrainingJobs::kJobsMax; ++i) {
    run.id = format("ftjob-{:032}", i);
    Json line = Json::object();
    line.set("run", to_json(run));
    lines += line.dump() + "\n";
  }
  lines += format("{{\"end\": {}}}\n", TrainingJobs::kJobsMax + 1);
  jobs_.reset();
  const auto imported = store_->import(lines, false);
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  open();
  EXPECT_EQ(refused(ask(file(), "more"), "1000 jobs here, as many as may be kept"), 409);
  EXPECT_FALSE(jobs_->remove(run.id));
  EXPECT_EQ(ended(added(ask(file(), "more")).id).state, kJobSucceeded);
}

TEST_F(LearningTest, PlansWithoutBeginning) {
  const std::string id = file();
  auto plan = jobs_->plan(ask(id, "planned"));
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  EXPECT_GT(plan->plan.steps, 1);
  EXPECT_EQ(plan->plan.seconds, 0) << "nothing is known of the machine";
  EXPECT_FALSE(plan->lines.empty());
  bool named = false;
  for (const std::string& line : plan->lines) {
    named = named || line.find("birds.jsonl") != std::string::npos;
    EXPECT_EQ(line.find(folder_.path()), std::string::npos) << line;
  }
  EXPECT_TRUE(named);
  EXPECT_FALSE(std::filesystem::exists(adapter("planned")));
  EXPECT_TRUE(jobs_->list().empty());
  const TrainingJob job = ended(added(ask(id, "planned")).id);
  EXPECT_EQ(job.steps, plan->plan.steps);
  auto later = jobs_->plan(ask(id, "next"));
  ASSERT_TRUE(later.ok());
  EXPECT_GT(later->plan.seconds, 0);
  EXPECT_EQ(jobs_->plan(ask(id, "planned")).error().status, 409);
  const auto broken = shelf_->add("broken.jsonl", "{\"prompt\": ");
  ASSERT_TRUE(broken.ok());
  EXPECT_EQ(jobs_->plan(ask(broken->id)).error().status, 400);
}

// Somebody is being answered, so that neither would end by itself.
TEST_F(LearningTest, PlansAndJobsEndWithTheServer) {
  const std::string id = file();
  gate_.enter();
  const std::string job = added(ask(id, "going")).id;
  ASSERT_TRUE(comes_true([&] { return find(job).state == kJobRunning; }));
  int status = 0;
  std::thread planner([&] {
    const auto plan = jobs_->plan(ask(id, "planned"));
    status = plan.ok() ? 200 : plan.error().status;
  });
  jobs_->close();
  planner.join();
  EXPECT_EQ(status, 503) << "before it begins, or in the middle";
  EXPECT_EQ(jobs_->plan(ask(id, "planned")).error().status, 503);
  jobs_.reset();
  open();
  gate_.leave();
  EXPECT_EQ(ended(job).state, kJobSucceeded) << "it has only been stopped";
}

TEST_F(LearningTest, ChatsAreNotLookedThroughOnceTheServerEnds) {
  for (int i = 0; i < 3; ++i) chat(false);
  Conversation conversation;
  conversation.for_training = true;
  ASSERT_TRUE(store_->add_conversation(conversation).ok());
  TrainingAsk wanted = ask("");
  wanted.files.clear();
  wanted.chats = true;
  EXPECT_EQ(refused(wanted, "of 1 chat that are for training none"), 400);
  jobs_->close();
  EXPECT_EQ(refused(wanted, "the server has been stopped"), 503);
  EXPECT_EQ(jobs_->plan(wanted).error().status, 503);
}

TEST_F(LearningTest, FilesInUseStay) {
  const std::string id = file();
  const std::string job = added(ask(id, "long", true)).id;
  ASSERT_TRUE(jobs_->remove_file(id));
  EXPECT_EQ(jobs_->remove_file(id)->status, 409);
  EXPECT_TRUE(jobs_->cancel(job).ok());
  EXPECT_FALSE(jobs_->remove_file(id));
  EXPECT_EQ(jobs_->remove_file(id)->status, 404);
}

TEST_F(LearningTest, NorIsAFileLearnedThatHasJustBeenRemoved) {
  const std::string id = file();
  // After the first look at what is asked for.
  on_folder_ = [&] { EXPECT_TRUE(shelf_->remove(id).ok()); };
  EXPECT_EQ(refused(ask(id, "late"), "there is no file"), 404);
  EXPECT_TRUE(jobs_->list().empty());
}

TEST_F(LearningTest, WatchersHearEverythingInOrder) {
  const std::string id = added(ask(file())).id;
  std::mutex mutex;
  std::vector<int64_t> numbers;
  bool done = false;
  const auto error = jobs_->watch(id, [&](const JobEvent* event) {
    const std::lock_guard lock(mutex);
    if (event == nullptr) done = true;
    if (event != nullptr) numbers.push_back(event->number);
    return true;
  });
  EXPECT_FALSE(error);
  EXPECT_TRUE(comes_true([&] {
    const std::lock_guard lock(mutex);
    return done;
  }));
  auto events = jobs_->events(id);
  ASSERT_EQ(events->size(), numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], (*events)[i].number);
  EXPECT_EQ(jobs_->watch("ftjob-none", [](const JobEvent*) { return true; })->status, 404);
}

TEST_F(LearningTest, WatchersThatHaveGoneAreLetGo) {
  gate_.enter();
  const std::string id = added(ask(file())).id;
  const auto held = std::make_shared<int>(0);
  for (int i = 0; i < 10; ++i) {
    const auto gone = std::make_shared<std::atomic<bool>>(false);
    EXPECT_FALSE(jobs_->watch(
        id, [held](const JobEvent*) { return *held == 0; }, gone));
    *gone = true;
  }
  EXPECT_LE(held.use_count(), 2) << "but for the last one";
  EXPECT_TRUE(jobs_->cancel(id).ok());
  gate_.leave();
}

}  // namespace
}  // namespace andiron
