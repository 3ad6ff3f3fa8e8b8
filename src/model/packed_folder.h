// PackedFolder: the files of the packed cache (model/packed_cache.h) and the rules of their names.
//
//   KEY.vN.packed        weights that are on the disk for certain
//   KEY.vN.BOOT.packed   weights written since the machine started (BOOT tells which start) and not synced: nobody
//                        waits for the disk. They are taken only while the machine has not been restarted, because a
//                        crash may have lost part of them; some minutes later they are synced and renamed.
//   PATHHASH.source      JSON: the stamps of a model's files, and KEY
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/result.h"
#include "model/packed_cache.h"
#include "model/packed_file.h"
#include "model/packed_key.h"

namespace andiron {

class PackedFolder {
 public:
  // Makes the folder where needed. Fails when the cache is off or cannot be written.
  static Result<PackedFolder> open(const PackedCacheOptions& options);

  // The key of a model whose files are as they were when remember() was called.
  std::optional<std::string> remembered_key(std::span<const FileStamp> stamps) const;
  Status remember(std::span<const FileStamp> stamps, const std::string& key) const;
  // Whether packed weights of some model with as many bytes are here: hashing its files may then save packing them.
  bool may_know(uint64_t source_bytes) const;

  // The packed weights of a key, mapped; a null file when there are none that fit.
  PackedFile find(const std::string& key, const PackedTable& table) const;
  // Removes the packed weights of a key, which were found damaged.
  void remove(const std::string& key) const;

  // Room for `bytes`: removes what was used longest ago. Fails when the limit or the disk is too small.
  Status make_room(uint64_t bytes) const;
  // Whether new packed weights must be synced before they get their name: where the system does not say which start of
  // the machine this is, nobody could tell later whether a crash came between.
  bool must_sync() const { return boot_.empty(); }
  // The path under which new packed weights of a key are to appear.
  std::string new_path(const std::string& key) const;
  // Where weights are packed whose key is not yet known; a new path each time.
  std::string unnamed_path() const;

  std::vector<PackedCacheEntry> entries() const;
  // Every file that is the cache's own; returns the bytes freed.
  uint64_t clear() const;

 private:
  PackedFolder(std::string folder, uint64_t bytes_max, std::string boot)
      : folder_(std::move(folder)), bytes_max_(bytes_max), boot_(std::move(boot)) {}
  std::string settled_path(const std::string& key) const;
  std::string source_path(std::span<const FileStamp> stamps) const;
  void settle(const std::string& path, const std::string& settled) const;

  std::string folder_;
  uint64_t bytes_max_ = 0;
  std::string boot_;  // names this start of the machine; "": unknown
};

}  // namespace andiron
