// The packed cache: packed weights kept on disk, so that only a model's first start has to pack them.
//
// A folder of files, one for each model content (their names: model/packed_folder.h): the packed matrices behind a
// header with their table; and small ones that say which KEY the files at one path had, by their sizes, times and
// inodes. KEY is the XXH3-128 hash of all bytes of the model's files, so a copy or a renamed model finds its packed
// weights again, and a changed file never meets old ones. The cache is a convenience: whatever goes wrong with it,
// weights are packed in memory instead. The least recently used files go when the folder grows beyond its limit. Files
// are private to the user, as models may be.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace andiron {

struct PackedCacheOptions {
  bool enabled = true;
  // "": $ANDIRON_CACHE_DIR, else $XDG_CACHE_HOME/andiron, else ~/.cache/andiron. ANDIRON_CACHE_DIR set to nothing or
  // "off" turns the cache off.
  std::string folder;
  // All packed files together; 0: 64 GiB, or a fifth of what the disk could hold if that is less.
  uint64_t bytes_max = 0;
  // Models with fewer packed bytes are packed anew each time, which takes a moment.
  uint64_t model_bytes_min = 64 << 20;
};

struct PackedCacheEntry {
  std::string path;    // of the packed file
  std::string source;  // the model's path when it was packed; "" when the header cannot be read
  uint64_t bytes = 0;
  int64_t last_used = 0;  // Unix time, seconds
};

// False when the options or the environment turn the cache off.
bool packed_cache_is_on(const PackedCacheOptions& options);
// The folder in use, or "" when the cache is off or the environment names no place for it.
std::string packed_cache_folder(const PackedCacheOptions& options);
// Most recently used first. A folder that does not exist has none.
Result<std::vector<PackedCacheEntry>> list_packed_cache(const PackedCacheOptions& options);
// Removes every file of the cache (and nothing else); returns the bytes freed. Models in use go on: their mapped files
// live until they are closed.
Result<uint64_t> clear_packed_cache(const PackedCacheOptions& options);

}  // namespace andiron
