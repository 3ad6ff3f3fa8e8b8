#include "model/packed_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/random.h"
#include "base/test_environment.h"
#include "base/test_folder.h"
#include "kernels/dispatch.h"
#include "kernels/packing.h"
#include "model/forward.h"
#include "model/packed_file.h"
#include "model/packed_key.h"
#include "model/tiny_model.h"

namespace andiron {
namespace {

namespace fs = std::filesystem;

class PackedCacheTest : public testing::Test {
 protected:
  PackedCacheTest() {
    options_.cache.folder = folder_.file("cache");
    options_.cache.model_bytes_min = 0;
    path_ = write_model("model.gguf", 1);
  }

  std::string write_model(std::string_view name, uint64_t seed) {
    TinyModel tiny;
    tiny.seed = seed;
    tiny.build();
    const std::string path = folder_.file(name);
    EXPECT_TRUE(tiny.write(path).ok());
    return path;
  }
  std::shared_ptr<const Model> load(const std::string& path) {
    auto model = Model::load(path, options_);
    EXPECT_TRUE(model.ok()) << (model.ok() ? "" : model.error().message);
    return model.ok() ? *model : nullptr;
  }
  static std::vector<float> logits_of(const Model& model) {
    ThreadTeam team(1);
    auto cache = KvCache::create(model, 16).value();
    const auto forward = Forward::create(model, *select_kernels().value(), team).value();
    const std::vector<int32_t> tokens = {1, 2, 3, 4, 5};
    const Sequence sequence = {&cache, tokens, LogitRows::kLast};
    EXPECT_TRUE(forward->run({&sequence, 1}).ok());
    const Rows logits = forward->logits();
    return {logits.data, logits.data + logits.cols};
  }
  std::vector<std::string> files(std::string_view suffix) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_.file("cache/packed"))) {
      if (entry.path().string().ends_with(suffix)) out.push_back(entry.path().string());
    }
    return out;
  }

  TestFolder folder_;
  LoadOptions options_;
  std::string path_;
};

TEST_F(PackedCacheTest, TheSecondStartMapsWhatTheFirstPacked) {
  const auto first = load(path_);
  EXPECT_FALSE(first->weights_from_cache());
  EXPECT_TRUE(first->notes().empty());
  const auto second = load(path_);
  EXPECT_TRUE(second->weights_from_cache());
  EXPECT_EQ(logits_of(*first), logits_of(*second));
  options_.cache.enabled = false;
  const auto in_memory = load(path_);
  EXPECT_FALSE(in_memory->weights_from_cache());
  EXPECT_EQ(logits_of(*first), logits_of(*in_memory));
  EXPECT_EQ(first->weight_bytes(), in_memory->weight_bytes());
}

TEST_F(PackedCacheTest, ACopyFindsTheWeightsOfTheOriginal) {
  load(path_);
  fs::copy_file(path_, folder_.file("copy.gguf"));
  EXPECT_TRUE(load(folder_.file("copy.gguf"))->weights_from_cache());
  EXPECT_EQ(files(".packed").size(), 1u);
  EXPECT_EQ(files(".source").size(), 2u);
}

TEST_F(PackedCacheTest, AChangedFileMeetsNoOldWeights) {
  const auto before = logits_of(*load(path_));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  auto bytes = read_bytes(path_);
  bytes[bytes.size() - 2] = static_cast<uint8_t>(bytes[bytes.size() - 2] ^ 0x40);  // of the output matrix
  {
    std::ofstream out(path_, std::ios::binary | std::ios::in);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  const timespec times[2] = {info.st_atim, info.st_mtim};  // even with its old time
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  const auto changed = load(path_);
  EXPECT_FALSE(changed->weights_from_cache());
  EXPECT_NE(logits_of(*changed), before);
}

// Every bit of the header that is flipped, and every length the file may be cut to, gives packing anew.
TEST_F(PackedCacheTest, DamagedFilesAreIgnored) {
  const auto expected = logits_of(*load(path_));
  const std::string packed = files(".packed").at(0);
  const auto good = read_bytes(packed);
  const auto damage = [&](const std::vector<uint8_t>& bytes, const std::string& what) {
    std::ofstream(packed, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const auto model = load(path_);
    EXPECT_FALSE(model->weights_from_cache()) << what;
    EXPECT_EQ(logits_of(*model), expected) << what;
  };
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, size_t{4096}, good.size() - 1}) {
    damage({good.begin(), good.begin() + static_cast<int64_t>(size)}, "cut to " + std::to_string(size));
  }
  damage(std::vector<uint8_t>(good.size(), 0xff), "all ones");
  uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, good.data() + 12, sizeof header_bytes);
  ASSERT_LT(header_bytes, 8192u);
  for (size_t at = 0; at < header_bytes; at += 37) {
    auto bytes = good;
    bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1 << (at % 8)));
    damage(bytes, "bit flipped at " + std::to_string(at));
  }
}

// A disk that loses a bit of the matrices costs one packing, not the answer.
TEST_F(PackedCacheTest, DamagedMatricesArePackedAnew) {
  const auto expected = logits_of(*load(path_));
  const std::string packed = files(".packed").at(0);
  const auto good = read_bytes(packed);
  uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, good.data() + 12, sizeof header_bytes);
  const size_t begin = (header_bytes + 4095) / 4096 * 4096;
  ASSERT_GT(good.size(), begin + 5000);
  ThreadTeam team(2);
  for (size_t at = begin; at < good.size(); at += (good.size() - begin) / 20 / 64 * 64) {  // never in the padding
    options_.team = at % 128 == 0 ? &team : nullptr;
    auto bytes = good;
    bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1 << (at / 64 % 8)));
    std::ofstream(packed, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    const auto model = load(path_);
    EXPECT_FALSE(model->weights_from_cache()) << at;
    ASSERT_EQ(model->notes().size(), 1u) << at;
    EXPECT_NE(model->notes()[0].find("damaged"), std::string::npos) << model->notes()[0];
    EXPECT_EQ(logits_of(*model), expected) << at;
    EXPECT_EQ(read_bytes(packed), good);
    const auto again = load(path_);
    EXPECT_TRUE(again->weights_from_cache());
    EXPECT_TRUE(again->notes().empty());
  }
}

TEST_F(PackedCacheTest, WhatCannotBeKeptIsPackedInMemory) {
  const auto expect_note = [&](const std::string& why) {
    const auto model = load(path_);
    EXPECT_FALSE(model->weights_from_cache());
    ASSERT_EQ(model->notes().size(), 1u) << why;
    EXPECT_EQ(logits_of(*model).size(), 83u);
  };
  options_.cache.folder = folder_.write("a_file", "not a folder");
  expect_note("the folder cannot be made");
  options_.cache.folder = folder_.file("cache");
  options_.cache.bytes_max = 1000;
  expect_note("the limit is too small");
  options_.cache.bytes_max = 0;
  // A disk that is full after 20,000 bytes.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight = {20000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  expect_note("the disk is full");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_TRUE(fs::is_empty(folder_.file("cache/packed"))) << "nothing half-written stays";
}

TEST_F(PackedCacheTest, WhatACrashLeftIsRemoved) {
  load(path_);
  const auto leave = [&](const std::string& name, time_t age) {
    const std::string path = folder_.write("cache/packed/" + name, "part");
    const timespec times[2] = {{0, UTIME_OMIT}, {::time(nullptr) - age, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    return path;
  };
  const std::string old = leave("new-1-1.part-1-0", 100), young = leave("new-2-1.part-2-0", 0);
  const std::string source = leave("0123456789abcdef.source.part-3-0", 100), locked = leave("new-4-1.part-4-0", 100);
  const int writer = open(locked.c_str(), O_RDWR);
  ASSERT_EQ(flock(writer, LOCK_EX), 0);
  load(write_model("second.gguf", 2));
  EXPECT_FALSE(file_exists(old));
  EXPECT_FALSE(file_exists(source));
  EXPECT_TRUE(file_exists(young)) << "its writer may be about to lock it";
  EXPECT_TRUE(file_exists(locked));
  close(writer);
}

TEST_F(PackedCacheTest, NoPlaceForItIsSaidOnce) {
  const ScopedEnvironment environment({"ANDIRON_CACHE_DIR", "XDG_CACHE_HOME", "HOME"});
  for (const char* name : {"ANDIRON_CACHE_DIR", "XDG_CACHE_HOME", "HOME"}) unsetenv(name);
  options_.cache.folder = "";
  const auto model = load(path_);
  EXPECT_FALSE(model->weights_from_cache());
  ASSERT_EQ(model->notes().size(), 1u);
  EXPECT_NE(model->notes()[0].find("ANDIRON_CACHE_DIR"), std::string::npos) << model->notes()[0];
  EXPECT_EQ(logits_of(*model).size(), 83u);
  setenv("ANDIRON_CACHE_DIR", "off", 1);
  EXPECT_TRUE(load(path_)->notes().empty()) << "off is off";
}

TEST_F(PackedCacheTest, SmallModelsAreNotKept) {
  options_.cache.model_bytes_min = 64 << 20;
  load(path_);
  EXPECT_FALSE(file_exists(folder_.file("cache")));
}

TEST_F(PackedCacheTest, TheEnvironmentNamesTheFolder) {
  const ScopedEnvironment environment({"ANDIRON_CACHE_DIR", "XDG_CACHE_HOME", "HOME"});
  PackedCacheOptions options;
  const auto with = [&](const char* variable, const char* value) {
    unsetenv("ANDIRON_CACHE_DIR");
    unsetenv("XDG_CACHE_HOME");
    setenv("HOME", "/home/someone", 1);
    setenv(variable, value, 1);
    return packed_cache_folder(options);
  };
  EXPECT_EQ(with("HOME", "/home/someone"), "/home/someone/.cache/andiron/packed");
  EXPECT_EQ(with("XDG_CACHE_HOME", "/x"), "/x/andiron/packed");
  EXPECT_EQ(with("ANDIRON_CACHE_DIR", "/y"), "/y/packed");
  EXPECT_EQ(with("ANDIRON_CACHE_DIR", ""), "");
  EXPECT_EQ(with("ANDIRON_CACHE_DIR", "off"), "");
  options.folder = "/z";
  EXPECT_EQ(with("ANDIRON_CACHE_DIR", "off"), "/z/packed") << "what the caller says goes first";
  options.enabled = false;
  EXPECT_EQ(packed_cache_folder(options), "");
}

TEST_F(PackedCacheTest, TheLeastRecentlyUsedGoFirst) {
  load(path_);
  const uint64_t one = fs::file_size(files(".packed").at(0));
  options_.cache.bytes_max = 2 * one + 4096;  // two models and their notes
  const std::string second = write_model("second.gguf", 2), third = write_model("third.gguf", 3);
  const auto age = [&](const std::string& file, time_t seconds) {
    const timespec times[2] = {{seconds, 0}, {0, UTIME_OMIT}};
    ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  };
  age(files(".packed").at(0), 1000);
  load(second);
  const auto both = list_packed_cache(options_.cache).value();
  for (const auto& entry : both) {
    if (entry.source.ends_with("second.gguf")) age(entry.path, 2000);
  }
  EXPECT_TRUE(load(path_)->weights_from_cache());  // used again: now the second is the oldest
  load(third);
  const auto left = list_packed_cache(options_.cache).value();
  ASSERT_EQ(left.size(), 2u);
  for (const auto& entry : left) EXPECT_FALSE(entry.source.ends_with("second.gguf"));
  EXPECT_TRUE(load(path_)->weights_from_cache());
}

TEST_F(PackedCacheTest, ListsAndClears) {
  EXPECT_TRUE(list_packed_cache(options_.cache).value().empty());
  EXPECT_EQ(clear_packed_cache(options_.cache).value(), 0u);
  const auto model = load(path_);
  const std::string foreign = folder_.write("cache/packed/notes.txt", "mine");
  const auto entries = list_packed_cache(options_.cache).value();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_TRUE(entries[0].source.ends_with("/model.gguf"));
  EXPECT_GT(entries[0].bytes, model->weight_bytes());
  EXPECT_GT(clear_packed_cache(options_.cache).value(), entries[0].bytes);
  EXPECT_TRUE(list_packed_cache(options_.cache).value().empty());
  EXPECT_TRUE(file_exists(foreign)) << "what is not the cache's stays";
  EXPECT_EQ(logits_of(*model).size(), 83u) << "a model in use goes on";
  EXPECT_FALSE(load(path_)->weights_from_cache());
}

TEST_F(PackedCacheTest, FilesArePrivate) {
  load(path_);
  struct stat info {};
  ASSERT_EQ(stat(files(".packed").at(0).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(folder_.file("cache/packed").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

// Unsynced weights of another start of the machine may be damaged; they are not taken.
TEST_F(PackedCacheTest, UnsyncedWeightsEndWithTheMachinesRun) {
  load(path_);
  const std::string packed = files(".packed").at(0);
  const size_t boot = packed.rfind('.', packed.size() - 8);  // KEY.v2.BOOT.packed
  ASSERT_EQ(packed.size() - boot, 17u + 7u);
  fs::rename(packed, packed.substr(0, boot) + ".0123456789abcdef.packed");
  EXPECT_FALSE(load(path_)->weights_from_cache());
}

TEST_F(PackedCacheTest, OldEnoughFilesAreSyncedAndRenamed) {
  load(path_);
  const std::string packed = files(".packed").at(0);
  const timespec times[2] = {{0, UTIME_OMIT}, {1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, packed.c_str(), times, 0), 0);
  EXPECT_TRUE(load(path_)->weights_from_cache());
  EXPECT_FALSE(file_exists(packed));
  EXPECT_TRUE(files(".packed").at(0).ends_with(".v2.packed"));
  EXPECT_TRUE(load(path_)->weights_from_cache());
}

TEST_F(PackedCacheTest, StoppingLeavesNothing) {
  for (const bool enabled : {true, false}) {
    options_.cache.enabled = enabled;
    options_.progress = [](uint64_t done, uint64_t total) { return done < total / 2; };
    const auto model = Model::load(path_, options_);
    ASSERT_FALSE(model.ok());
    EXPECT_NE(model.error().message.find("stopped"), std::string::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder_.file("cache/packed")));
}

// A file that is cut short while it is mapped gives an error, not a dead process and not wrong numbers.
TEST_F(PackedCacheTest, CutShortWhileInUse) {
  load(path_);
  const auto model = load(path_);
  ASSERT_TRUE(model->weights_from_cache());
  ThreadTeam team(2);
  auto cache = KvCache::create(*model, 16).value();
  const auto forward = Forward::create(*model, *select_kernels().value(), team).value();
  const std::vector<int32_t> tokens = {1, 2, 3};
  const Sequence sequence = {&cache, tokens, LogitRows::kLast};
  ASSERT_TRUE(forward->run({&sequence, 1}).ok());
  EXPECT_EQ(cache.length(), 3);
  fs::resize_file(files(".packed").at(0), 8192);
  const Status status = forward->run({&sequence, 1});
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("cut short"), std::string::npos) << status.error().message;
  EXPECT_EQ(cache.length(), 3);
  EXPECT_EQ(forward->logits().rows, 0);
}

// Files packed by an older program must not be taken for today's: whoever changes a layout of kernels/packing.h raises
// kPackedVersion, then puts the new hash here.
TEST(PackedLayout, IsTheOneOfThisVersion) {
  std::string all;
  for (const DTypeInfo& info : all_dtypes()) {
    constexpr int64_t kColumns = 512;
    const uint64_t row = row_bytes(info.dtype, kColumns);
    std::vector<uint8_t> rows(13 * row), group(packed_group_bytes(packed_format(info.dtype), kColumns));
    const RandomStream random(1, static_cast<uint64_t>(info.dtype));
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<uint8_t>(random.bits(i));
    const uint8_t* pointers[13];
    for (size_t i = 0; i < 13; ++i) pointers[i] = rows.data() + i * row;
    pack_group(info.dtype, pointers, 13, kColumns, group.data());
    all.append(group.begin(), group.end());
  }
  EXPECT_EQ(kPackedVersion, 2u);
  EXPECT_EQ(short_hash_digits(all), "4ee1e8f24aee83ad");
}

}  // namespace
}  // namespace andiron
