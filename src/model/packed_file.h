// PackedFile: one file of the packed cache: a header, then the packed matrices as they lie in memory.
//
// The header holds everything the matrices depend on: the content key and a table that names each matrix, its format,
// shape and place. A reader works out the same header from the model's file and compares, so no size or place in the
// cache file is ever believed; a checksum tells a damaged header from an old one. The header also holds a hash of each
// slab of the matrices, for whoever maps the file to check (model/packed_store.cpp).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/result.h"

namespace andiron {

struct PackedTable {
  std::vector<uint8_t> bytes;  // the matrices, in order; only compared
  uint64_t data_bytes = 0;

  void add(std::string_view tensor, int64_t first_row, uint32_t format, int64_t n, int64_t k, uint64_t offset);
};

struct PackedFileInfo {
  std::string key;
  std::string source;  // path of the model
  uint64_t source_bytes = 0;
};

struct PackedFile {
  std::shared_ptr<const MappedFile> file;  // null: there is none
  const uint8_t* data = nullptr;           // the matrices in it
  std::vector<uint64_t> slab_hashes;       // short_hash() of each slab, in order
};

// Bytes before the matrices: the header, padded to whole pages.
uint64_t packed_data_offset(const PackedFileInfo& info, const PackedTable& table, size_t slabs);
std::vector<uint8_t> packed_header(const PackedFileInfo& info, const PackedTable& table,
                                   std::span<const uint64_t> slab_hashes);

// Maps a file made of packed_header() and the matrices. An Error when it is anything else: another key or table, a
// damaged header, a wrong size. The matrices are not looked at.
Result<PackedFile> open_packed_file(const std::string& path, std::string_view key, const PackedTable& table);
// What a file says of itself.
Result<PackedFileInfo> read_packed_file_info(const std::string& path);

// Goes up whenever the layouts of kernels/packing.h or of this file change.
constexpr uint32_t kPackedVersion = 2;

}  // namespace andiron
