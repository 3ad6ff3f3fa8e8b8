// PrefixFolder: blocks of prefixes on disk, where they outlive the program.
//
// One file for each block, "KEY.kv", in a folder of their own (0700, where it is made here; files 0600: they tell what
// was said). A thread writes them, and removes those not used for the longest time when they are too many. Files that
// are damaged, or hold something else than their name says, are removed when they are met; other names in the folder
// are left alone. What cannot be written is not kept, nor what would stand there without the block before it: this is a
// cache.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "engine/prefix_block.h"
#include "engine/prefix_order.h"

namespace andiron {

class PrefixFolder {
 public:
  // Makes the folder and finds what is in it.
  static Result<std::unique_ptr<PrefixFolder>> open(const std::string& folder, uint64_t bytes_max);
  // Writes what waits.
  ~PrefixFolder();
  PrefixFolder(const PrefixFolder&) = delete;
  PrefixFolder& operator=(const PrefixFolder&) = delete;

  // Will be written; at once returns. Where too much waits to be written already, it is not kept. Throws
  // std::bad_alloc; then nothing has changed.
  void put(const std::shared_ptr<const PrefixBlock>& block);
  // Was found in memory: as put(), or used once more. Throws as put().
  void use(const std::shared_ptr<const PrefixBlock>& block);
  // There, or about to be.
  bool holds(const std::string& key) const;
  // Null: not there, or damaged. What `make` throws comes through, and the file stays.
  std::shared_ptr<const PrefixBlock> read(const std::string& key, const PageMaker& make);

  // Removes all, also what waits to be written, and what another program has written here since. Whether all is gone.
  bool clear();
  // The same of a folder that nobody here has open, which need not be there.
  static bool clear_files(const std::string& folder);

  uint64_t bytes() const;
  // Waits until all is written.
  void settle();

 private:
  PrefixFolder(std::string folder, uint64_t bytes_max);
  Status find_files();
  std::string path_of(const std::string& key) const;
  void put_locked(const std::shared_ptr<const PrefixBlock>& block);
  void write_all();
  void write_one(const PrefixBlock& block);
  bool is_useful(const PrefixBlock& block) const;
  bool write(const PrefixBlock& block, const std::string& path) const;
  void note(const PrefixBlock& block);
  // Removes what is too much.
  void make_room();
  // Forgets one that is too much; where its file is, which is to be removed, or "".
  std::filesystem::path forget_last();
  void remove_files(const std::vector<std::string>& keys) const;
  void keep_order() const;

  const std::string folder_;
  const uint64_t bytes_max_;
  // Of all below. Not held while files are written, read or removed: a disk is slow, and decoding waits for this.
  mutable std::mutex mutex_;
  std::condition_variable work_, settled_;
  PrefixOrder order_;
  std::unordered_set<std::string> unread_;  // of these, files of an earlier start: they may be damaged
  std::list<std::shared_ptr<const PrefixBlock>> waiting_;
  std::unordered_set<std::string> waiting_keys_;  // and that of the one being written
  uint64_t waiting_bytes_ = 0;
  bool stopping_ = false;
  std::thread writer_;
};

}  // namespace andiron
