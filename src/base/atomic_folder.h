// AtomicFolder: a few files that appear together or not at all.
//
// They are written into a folder beside the target (each by AtomicFile, so each is synced); commit() puts it in place.
// A target that does not exist yet appears in one step. One that holds nothing but files of the same names is exchanged
// in one step. In one that holds others too, these stay, and the new files are moved over the old one by one, in the
// order of their names: nothing of it is half-written and a full disk cannot come between, but whoever pulls the plug
// between two of these moves finds new files beside old ones.
//
// Without commit() (an error, the destructor, AtomicFile::remove_unfinished) the target is untouched and nothing is
// left behind. A process that is killed leaves the folder "NAME.part-PID-COUNT", which goes when the next one of that
// name is made. A symbolic link to a folder stays one. One owner, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"

namespace andiron {

class AtomicFolder {
 public:
  // The folder that will hold it must exist.
  static Result<AtomicFolder> create(const std::string& path);
  AtomicFolder(AtomicFolder&& other) noexcept;
  AtomicFolder& operator=(AtomicFolder&&) = delete;
  AtomicFolder(const AtomicFolder&) = delete;
  ~AtomicFolder();

  // Where to write one of its files until commit(). Plain names only: there are no folders within.
  std::string file(std::string_view name) const;
  Status commit(Existing existing = Existing::kReplaced);

 private:
  AtomicFolder(std::string path, std::string temporary);
  Status replace_folder();

  std::string path_;
  std::string temporary_;                                            // empty once committed
  mutable std::vector<std::unique_ptr<UnfinishedName>> unfinished_;  // it and its files
};

// Removes what killed processes left of folders that were to have this name.
void remove_unfinished_folders(const std::string& path);

// Removes a folder with all that is below it; out of sight first, as "NAME.part-PID-COUNT-removed", so that whatever
// happens no half of it is found under its name. An Error: some of it is there still, under the one name or the other.
Status remove_whole_folder(const std::string& path);
// The first half of that, which is one step: the name under which all of it is to be removed
// (std::filesystem::remove_all), which may take long.
Result<std::string> hide_folder(const std::string& path);
// Removes what was left of such in `folder`: of processes that were killed meanwhile. One that somebody has locked
// (flock) is being removed, and stays.
void remove_removed_folders(const std::string& folder);

// The names in a folder, sorted, without "." and "..".
Result<std::vector<std::string>> list_folder(const std::string& path);

}  // namespace andiron
