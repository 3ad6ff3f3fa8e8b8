// PackedStore: the one block of memory that holds all packed matrices of a model, made in memory or mapped from the
// packed cache.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "format/model_source.h"
#include "model/packed_cache.h"
#include "ops/ops.h"

namespace andiron {

// One matrix to pack: rows [first_row, first_row + n) of a tensor. `out`'s n, k and bias are set by whoever asks;
// format and weight by the store.
struct PackRequest {
  const TensorInfo* tensor = nullptr;
  int64_t first_row = 0;
  int64_t n = 0;
  int64_t k = 0;
  Linear* out = nullptr;  // must stay where it is
};

struct PackStoreOptions {
  ThreadTeam* team = nullptr;
  PackedCacheOptions cache;
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

class PackedStore {
 public:
  PackedStore() = default;
  PackedStore(PackedStore&& other) noexcept;
  PackedStore& operator=(PackedStore&& other) noexcept;
  PackedStore(const PackedStore&) = delete;
  PackedStore& operator=(const PackedStore&) = delete;
  ~PackedStore();

  // Packs what is asked for, or finds it in the cache. `notes` tells what went wrong without doing harm.
  static Result<PackedStore> create(const ModelSource& source, std::vector<PackRequest> requests,
                                    const PackStoreOptions& options, std::vector<std::string>& notes);

  uint64_t bytes() const { return bytes_; }
  bool from_cache() const { return from_cache_; }
  Status check_intact() const { return file_ == nullptr ? Status() : file_->check_intact(); }

 private:
  uint64_t bytes_ = 0;
  bool from_cache_ = false;
  uint8_t* memory_ = nullptr;               // ours, or null where
  std::shared_ptr<const MappedFile> file_;  // holds it
};

}  // namespace andiron
