// For tests only: training jobs of a tiny model, with a store, a shelf and a place for adapters.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"
#include "base/test_folder.h"
#include "data/byte_tokenizer.h"
#include "http/raw_client.h"
#include "kernels/dispatch.h"
#include "model/tiny_model.h"
#include "serve/file_shelf.h"
#include "serve/training_jobs.h"
#include "store/faulty_vfs.h"
#include "store/store.h"

namespace andiron {

class LearningTest : public ::testing::Test {
 protected:
  LearningTest() {
    TinyModel tiny;
    tiny.width = 32, tiny.inner = 40, tiny.heads = 2, tiny.kv_heads = 1, tiny.blocks = 1, tiny.vocabulary = 262;
    tiny.build();
    EXPECT_TRUE(tiny.write(folder_.file("tiny.gguf")).ok());
    LoadOptions options;
    options.cache.enabled = false;
    model_ = Model::load(folder_.file("tiny.gguf"), options).value();
    StoreOptions kept;
    kept.own_folder = true;
    kept.vfs = vfs_.name();
    kept.now_ms = [this]() -> int64_t {
      if (on_save_) on_save_();
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    };
    store_ = Store::open(folder_.file("data/chats.db"), kept).value();
    shelf_.emplace(FileShelf::open(folder_.file("data/files")).value());
    open();
  }

  // `nice` 0: other tests beside these must not keep them from going on.
  void open(int nice = 0, int threads = 2) {
    TrainingOptions options;
    options.model_name = "tiny";
    options.base_path = folder_.file("tiny.gguf");
    options.version = "1.2.3";
    options.folder = folder_.file("data/jobs");
    options.adapter_folder = [this](const std::string& name) -> Result<std::string> {
      if (on_folder_) on_folder_();
      if (name.empty() || name.find_first_of("/. ") != std::string::npos) return make_error("\"{}\" is no name", name);
      return adapter(name);
    };
    options.gate = &gate_;
    options.threads = threads;
    options.nice = nice;
    auto jobs = TrainingJobs::create(model_, tokenizer_, kernels_, *store_, *shelf_, std::move(options));
    EXPECT_TRUE(jobs.ok()) << (jobs.ok() ? "" : jobs.error().message);
    jobs_ = std::move(jobs).value();
  }
  std::string adapter(std::string_view name) const { return folder_.file("adapters/" + std::string(name)); }
  std::string weights(std::string_view name) const { return adapter(name) + "/adapter_model.safetensors"; }

  // The id of a file with so many rows.
  std::string file(int rows = 30, std::string_view name = "birds.jsonl") const {
    std::string text;
    for (int i = 0; i < rows; ++i) {
      text += format("{{\"prompt\": \"bird {}\", \"completion\": \"The {} birds of line {} sing.\"}}\n", i, i % 5, i);
    }
    const auto added = shelf_->add(name, text);
    EXPECT_TRUE(added.ok());
    return added.ok() ? added->id : "";
  }
  // Of a job that takes a few steps; of a long one so many that it is still at work whenever a test looks.
  TrainingAsk ask(const std::string& id, const std::string& name = "", bool is_long = false) const {
    TrainingAsk out;
    out.model = "tiny";
    out.files = {id};
    out.suffix = name;
    out.rank = 2;
    out.seed = 7;
    out.batch = 1;
    out.epochs = is_long ? 1000 : 2;
    return out;
  }
  TrainingJob added(const TrainingAsk& wanted) {
    auto job = jobs_->add(wanted);
    EXPECT_TRUE(job.ok()) << (job.ok() ? "" : job.error().message);
    return job.ok() ? *job : TrainingJob();
  }
  // The store's disk takes no more, or does again. Of no use while a job writes to it: the gate must hold it.
  void fill_disk(bool full) {
    FaultyVfs::Fault fault;
    fault.calls[FaultyVfs::kWrite] = true;
    fault.at = full ? 1 : 0;
    fault.persistent = fault.full = true;
    vfs_.set(fault);
  }
  int refused(const TrainingAsk& wanted, std::string_view says) {
    const auto job = jobs_->add(wanted);
    EXPECT_FALSE(job.ok());
    if (job.ok()) return 200;
    EXPECT_NE(job.error().message.find(says), std::string::npos) << job.error().message;
    return job.error().status;
  }
  TrainingJob find(const std::string& id) const {
    auto job = jobs_->find(id);
    EXPECT_TRUE(job.ok());
    return job.ok() ? *job : TrainingJob();
  }
  // The job once it is over.
  TrainingJob ended(const std::string& id) const {
    EXPECT_TRUE(comes_true([&] { return find(id).is_over(); }));
    return find(id);
  }
  void wait_for_steps(const std::string& id, int64_t steps) const {
    EXPECT_TRUE(comes_true([&] { return find(id).step >= steps; }));
  }
  // Has whoever is answered, which gate_ must have, leave and come again when the job has done this step: it goes no
  // further then.
  ::testing::AssertionResult trains_until(const std::string& id, int64_t step) {
    const auto held = std::make_shared<std::atomic<bool>>(false);
    const auto error = jobs_->watch(id, [this, held, step](const JobEvent* event) {
      if (event == nullptr || event->data.member("step").number_or(0) < static_cast<double>(step)) return true;
      gate_.enter();
      *held = true;
      return false;
    });
    if (error) return ::testing::AssertionFailure() << error->message;
    gate_.leave();
    return comes_true([&] { return held->load(); });
  }
  // What learn() makes of the same file, asked for the same: the adapter's name stands in its file too.
  std::vector<uint8_t> learned_alone(const std::string& id, const TrainingAsk& asked, const std::string& name) const {
    LearnOptions options;
    options.data = {shelf_->path_of(*shelf_->find(id))};
    options.out = folder_.file("alone");
    options.name = name;
    options.rank = *asked.rank;
    options.alpha = 2 * static_cast<double>(*asked.rank);
    options.seed = static_cast<uint64_t>(*asked.seed);
    options.batch = *asked.batch;
    options.grad_accum = 1;
    options.epochs = static_cast<double>(*asked.epochs);
    ThreadTeam team(1);
    const auto learned = learn(*model_, tokenizer_, kernels_, team, options, {});
    EXPECT_TRUE(learned.ok()) << (learned.ok() ? "" : learned.error().message);
    return read_bytes(options.out + "/adapter_model.safetensors");
  }
  // The messages of a job's events.
  std::vector<std::string> messages(const std::string& id) const {
    std::vector<std::string> out;
    auto events = jobs_->events(id);
    EXPECT_TRUE(events.ok());
    if (!events.ok()) return out;
    for (const JobEvent& event : *events) {
      if (event.data.is_null()) out.push_back(event.message);
    }
    return out;
  }
  // A chat of a question, an answer, and the same answer as the person wrote it anew.
  std::string chat(bool for_training, const std::string& answer = "Four.") {
    Conversation conversation;
    conversation.for_training = for_training;
    const std::string id = store_->add_conversation(conversation).value().id;
    const std::string question = say(id, "", "user", "2 + 2?");
    const std::string wrong = say(id, question, "assistant", "Five.");
    say(id, question, "assistant", answer, wrong);
    return id;
  }
  std::string say(const std::string& chat, const std::string& parent, const std::string& role, const std::string& text,
                  const std::string& edit_of = "") {
    Message message;
    message.conversation = chat;
    message.parent = parent;
    message.role = role;
    message.content = text;
    message.edit_of = edit_of;
    return store_->add_message(std::move(message)).value().id;
  }

  TestFolder folder_;
  const KernelTable& kernels_ = kernels_of(available_isas().front());
  Tokenizer tokenizer_ = byte_tokenizer();
  std::shared_ptr<const Model> model_;
  FaultyVfs vfs_{"learning"};  // of the store's disk
  std::unique_ptr<Store> store_;
  std::optional<FileShelf> shelf_;
  ThreadGate gate_;
  // Called whenever the jobs ask where an adapter lies, on whichever thread; under their locks too, but the first time
  // that their thread does.
  std::function<void()> on_folder_;
  // Called on whichever thread changes the store, which no other one can until it returns.
  std::function<void()> on_save_;
  std::unique_ptr<TrainingJobs> jobs_;
};

}  // namespace andiron
