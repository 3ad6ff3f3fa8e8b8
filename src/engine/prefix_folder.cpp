#include "engine/prefix_folder.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <list>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/strings.h"

namespace andiron {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".kv";
// Blocks that may wait for the disk: what memory they take beyond the cache's own.
constexpr uint64_t kWaitingBytesMax = uint64_t{128} << 20;
// Left free on the disk whatever the limit says: a full disk harms everything else.
constexpr uint64_t kDiskReserve = uint64_t{512} << 20;

// The key of a file that has our kind of name, or "".
std::string key_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (name.size() != 32 + kEnding.size() || !name.ends_with(kEnding)) return "";
  return name.find_first_not_of("0123456789abcdef") == 32 ? name.substr(0, 32) : "";
}

// What a program that was killed has not written to its end.
bool is_abandoned(const fs::path& path) {
  return path.filename().string().find(".kv.part-") != std::string::npos && AtomicFile::is_abandoned(path.string());
}

}  // namespace

Result<std::unique_ptr<PrefixFolder>> PrefixFolder::open(const std::string& folder, uint64_t bytes_max) {
  std::error_code error;
  if (fs::create_directories(folder, error)) fs::permissions(folder, fs::perms::owner_all, error);
  if (error || !is_folder(folder)) {
    return make_error("{}: cannot make this folder for the prefix cache: {}", folder,
                      error ? error.message() : "there is something else of this name");
  }
  constexpr fs::perms kOthersWrite = fs::perms::group_write | fs::perms::others_write;
  if ((fs::status(folder, error).permissions() & kOthersWrite) != fs::perms::none) {
    return make_error("{}: the prefix cache needs a folder that nobody else can write to", folder);
  }
  std::unique_ptr<PrefixFolder> made(new PrefixFolder(folder, bytes_max));
  TRY(made->find_files());
  made->writer_ = std::thread([self = made.get()] { self->write_all(); });
  return made;
}

PrefixFolder::PrefixFolder(std::string folder, uint64_t bytes_max)
    : folder_(std::move(folder)), bytes_max_(bytes_max) {}

PrefixFolder::~PrefixFolder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (writer_.joinable()) writer_.join();
  try {
    keep_order();
  } catch (const std::bad_alloc&) {
    // The next start finds them in an older order.
  }
}

std::string PrefixFolder::path_of(const std::string& key) const { return format("{}/{}{}", folder_, key, kEnding); }

Status PrefixFolder::find_files() {
  struct Found {
    std::string key;
    uint64_t bytes;
    fs::file_time_type used;
  };
  std::vector<Found> found;
  std::error_code error;
  for (fs::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->symlink_status(ignored).type() != fs::file_type::regular) continue;
    const std::string key = key_of(it->path());
    if (!key.empty()) found.push_back({key, it->file_size(ignored), it->last_write_time(ignored)});
    if (is_abandoned(it->path())) fs::remove(it->path(), ignored);
  }
  if (error) return make_error("{}: cannot read this folder: {}", folder_, error.message());
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.used < b.used; });
  for (const Found& file : found) {
    order_.use(file.key, "", file.bytes);
    unread_.insert(file.key);
  }
  make_room();
  return {};
}

// The order of use is kept as the files' times, for the next start.
void PrefixFolder::keep_order() const {
  auto time = fs::file_time_type::clock::now();
  order_.for_each([&](const std::string& key) {
    std::error_code ignored;
    fs::last_write_time(path_of(key), time, ignored);
    time -= std::chrono::microseconds(1);
  });
}

void PrefixFolder::put(const std::shared_ptr<const PrefixBlock>& block) {
  const std::lock_guard lock(mutex_);
  put_locked(block);
}

void PrefixFolder::put_locked(const std::shared_ptr<const PrefixBlock>& block) {
  const bool is_whole = order_.holds(block->key) && !unread_.contains(block->key);
  if (is_whole || waiting_keys_.contains(block->key)) return;
  const uint64_t bytes = block->bytes();
  if (waiting_bytes_ > 0 && waiting_bytes_ + bytes > kWaitingBytesMax) return;
  std::list<std::shared_ptr<const PrefixBlock>> made(1, block);
  waiting_keys_.insert(made.front()->key);
  waiting_.splice(waiting_.end(), made);
  waiting_bytes_ += bytes;
  work_.notify_all();
}

void PrefixFolder::use(const std::shared_ptr<const PrefixBlock>& block) {
  const std::lock_guard lock(mutex_);
  if (order_.holds(block->key) && !unread_.contains(block->key)) {
    order_.use(block->key, block->parent, prefix_file_bytes(*block));
  } else {
    put_locked(block);
  }
}

bool PrefixFolder::holds(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  return order_.holds(key) || waiting_keys_.contains(key);
}

uint64_t PrefixFolder::bytes() const {
  const std::lock_guard lock(mutex_);
  return order_.bytes();
}

std::shared_ptr<const PrefixBlock> PrefixFolder::read(const std::string& key, const PageMaker& make) {
  {
    const std::lock_guard lock(mutex_);
    if (!order_.holds(key)) return nullptr;
  }
  const std::string path = path_of(key);
  const auto bytes = read_text_file(path, bytes_max_);
  auto block = bytes.ok() ? parse_prefix_file(*bytes, path, make) : Result<PrefixBlock>(bytes.error());
  const bool is_whole = block.ok() && block->key == key;
  {
    const std::lock_guard lock(mutex_);
    unread_.erase(key);
    if (!is_whole) {
      order_.forget(key);
    } else if (order_.holds(key)) {  // else it has had to make room since
      order_.use(key, block->parent, bytes->size());
    }
  }
  if (!is_whole) {
    // Should the writer have made it anew since, that one goes, and is found missing when it is asked for.
    remove_files({key});
    return nullptr;
  }
  return std::make_shared<const PrefixBlock>(std::move(block).value());
}

bool PrefixFolder::clear() {
  std::unique_lock lock(mutex_);
  for (const auto& block : waiting_) {
    waiting_keys_.erase(block->key);
    waiting_bytes_ -= block->bytes();
  }
  waiting_.clear();
  settled_.wait(lock, [&] { return waiting_keys_.empty(); });  // the one that is being written
  order_ = {};
  unread_.clear();
  lock.unlock();
  return clear_files(folder_);
}

bool PrefixFolder::clear_files(const std::string& folder) {
  bool all_gone = true;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code failed;
    if (it->symlink_status(failed).type() != fs::file_type::regular) continue;
    if (!key_of(it->path()).empty() || is_abandoned(it->path())) fs::remove(it->path(), failed);
    if (failed) all_gone = false;
  }
  return all_gone && (!error || error == std::errc::no_such_file_or_directory);
}

void PrefixFolder::settle() {
  std::unique_lock lock(mutex_);
  settled_.wait(lock, [&] { return waiting_keys_.empty(); });
}

void PrefixFolder::write_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto block = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    write_one(*block);
    lock.lock();
    waiting_keys_.erase(block->key);
    waiting_bytes_ -= block->bytes();
    if (waiting_keys_.empty()) settled_.notify_all();
  }
}

// What there is no memory for is not kept, as what the disk does not take.
void PrefixFolder::write_one(const PrefixBlock& block) {
  fs::path path;
  bool is_written = false, is_known = false;
  try {
    path = path_of(block.key);
    is_written = is_useful(block) && write(block, path.native());
    if (is_written) note(block);
    is_known = is_written;
    make_room();
  } catch (const std::bad_alloc&) {
    if (is_written && !is_known) {  // nothing would find the file, nor count it
      std::error_code ignored;
      fs::remove(path, ignored);
    }
  }
}

bool PrefixFolder::is_useful(const PrefixBlock& block) const {
  const std::lock_guard lock(mutex_);
  return block.is_first() || order_.holds(block.parent);
}

bool PrefixFolder::write(const PrefixBlock& block, const std::string& path) const {
  const uint64_t bytes = prefix_file_bytes(block);
  if (bytes > bytes_max_) return false;
  const auto free = free_bytes(folder_);
  return free.ok() && *free >= bytes + kDiskReserve && write_prefix_file(block, path).ok();
}

void PrefixFolder::note(const PrefixBlock& block) {
  const std::lock_guard lock(mutex_);
  order_.use(block.key, block.parent, prefix_file_bytes(block));
  unread_.erase(block.key);
}

// What is put again under the name of one that goes is written by the same thread, after this.
void PrefixFolder::make_room() {
  for (fs::path path = forget_last(); !path.empty(); path = forget_last()) {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
}

fs::path PrefixFolder::forget_last() {
  const std::lock_guard lock(mutex_);
  if (order_.empty() || order_.bytes() <= bytes_max_) return {};
  const std::string key = order_.last();
  fs::path path = path_of(key);  // first: where there is no memory for it, nothing is forgotten
  order_.forget(key);
  unread_.erase(key);
  return path;
}

void PrefixFolder::remove_files(const std::vector<std::string>& keys) const {
  for (const std::string& key : keys) {
    std::error_code ignored;
    fs::remove(path_of(key), ignored);
  }
}

}  // namespace andiron
