// Layout, little-endian: magic "ANDIPACK", u32 version, u32 bytes of the header; key, source (each u32 length and
// text); u64 bytes of the source, u64 bytes of the matrices; u32 length and bytes of the table; u32 number of slabs and
// a u64 hash of each; XXH3-64 of all before it (16 hexadecimal digits); zeros to the next page; the matrices.
#include "model/packed_file.h"

#include <cstring>
#include <string_view>

#include "base/byte_reader.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "model/packed_key.h"

namespace andiron {

namespace {

constexpr std::string_view kMagic = "ANDIPACK";
constexpr uint64_t kPage = 4096;
constexpr uint64_t kHeaderBytesMax = 64 << 20;
constexpr size_t kChecksumBytes = 16;

template <typename T>
void put(std::vector<uint8_t>& out, T value) {
  const auto* raw = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), raw, raw + sizeof value);
}

void put_text(std::vector<uint8_t>& out, std::string_view text) {
  put(out, static_cast<uint32_t>(text.size()));
  out.insert(out.end(), text.begin(), text.end());
}

std::string checksum(std::span<const uint8_t> bytes) {
  return short_hash_digits({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

struct Header {
  PackedFileInfo info;
  uint64_t data_bytes = 0;
  std::span<const uint8_t> table;
  std::vector<uint64_t> slab_hashes;
  uint64_t bytes = 0;
};

Result<std::string_view> read_text(ByteReader& in, std::string_view what) {
  TRY_ASSIGN(const auto size, in.read<uint32_t>(what));
  return in.take_text(size, what);
}

Result<Header> read_header(std::span<const uint8_t> file, std::string_view path) {
  ByteReader in(file, path);
  TRY_ASSIGN(const auto magic, in.take_text(kMagic.size(), "the magic"));
  TRY_ASSIGN(const auto version, in.read<uint32_t>("the version"));
  if (magic != kMagic || version != kPackedVersion) return make_error("{}: not packed weights of this version", path);
  TRY_ASSIGN(const auto size, in.read<uint32_t>("the header's size"));
  if (size > kHeaderBytesMax || size > file.size() || size < in.offset() + kChecksumBytes) {
    return make_error("{}: its header is damaged", path);
  }
  const auto covered = file.first(size - kChecksumBytes);
  if (std::memcmp(checksum(covered).data(), covered.data() + covered.size(), kChecksumBytes) != 0) {
    return make_error("{}: its header is damaged", path);
  }
  Header header;
  header.bytes = size;
  TRY_ASSIGN(header.info.key, read_text(in, "the key"));
  TRY_ASSIGN(header.info.source, read_text(in, "the source"));
  TRY_ASSIGN(header.info.source_bytes, in.read<uint64_t>("the source's size"));
  TRY_ASSIGN(header.data_bytes, in.read<uint64_t>("the size of the matrices"));
  TRY_ASSIGN(const auto table_bytes, in.read<uint32_t>("the table's size"));
  TRY_ASSIGN(header.table, in.take(table_bytes, "the table"));
  TRY_ASSIGN(const auto slabs, in.read<uint32_t>("the number of slabs"));
  TRY_ASSIGN(const auto hashes, in.take(uint64_t{slabs} * sizeof(uint64_t), "the slabs' hashes"));
  header.slab_hashes.resize(slabs);
  if (slabs > 0) std::memcpy(header.slab_hashes.data(), hashes.data(), hashes.size());
  return header;
}

uint64_t whole_pages(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

void PackedTable::add(std::string_view tensor, int64_t first_row, uint32_t format, int64_t n, int64_t k,
                      uint64_t offset) {
  put_text(bytes, tensor);
  put(bytes, first_row);
  put(bytes, format);
  put(bytes, n);
  put(bytes, k);
  put(bytes, offset);
}

std::vector<uint8_t> packed_header(const PackedFileInfo& info, const PackedTable& table,
                                   std::span<const uint64_t> slab_hashes) {
  std::vector<uint8_t> out(kMagic.begin(), kMagic.end());
  put(out, kPackedVersion);
  const size_t size_at = out.size();
  put(out, uint32_t{0});
  put_text(out, info.key);
  put_text(out, info.source);
  put(out, info.source_bytes);
  put(out, table.data_bytes);
  put(out, static_cast<uint32_t>(table.bytes.size()));
  out.insert(out.end(), table.bytes.begin(), table.bytes.end());
  put(out, static_cast<uint32_t>(slab_hashes.size()));
  for (const uint64_t hash : slab_hashes) put(out, hash);
  const auto size = static_cast<uint32_t>(out.size() + kChecksumBytes);
  std::memcpy(out.data() + size_at, &size, sizeof size);
  const std::string sum = checksum(out);
  out.insert(out.end(), sum.begin(), sum.end());
  return out;
}

uint64_t packed_data_offset(const PackedFileInfo& info, const PackedTable& table, size_t slabs) {
  return whole_pages(packed_header(info, table, std::vector<uint64_t>(slabs)).size());
}

Result<PackedFile> open_packed_file(const std::string& path, std::string_view key, const PackedTable& table) {
  TRY_ASSIGN(auto file, MappedFile::open(path));
  TRY_ASSIGN(Header header, read_header(file->bytes(), path));
  const bool same_table = header.table.size() == table.bytes.size() &&
                          std::memcmp(header.table.data(), table.bytes.data(), table.bytes.size()) == 0;
  const uint64_t begin = whole_pages(header.bytes);
  if (header.info.key != key || !same_table || header.data_bytes != table.data_bytes || file->bytes().size() < begin ||
      file->bytes().size() - begin != table.data_bytes) {
    return make_error("{}: packed weights of another model or version", path);
  }
  const uint8_t* data = file->bytes().data() + begin;
  return PackedFile{std::move(file), data, std::move(header.slab_hashes)};
}

Result<PackedFileInfo> read_packed_file_info(const std::string& path) {
  TRY_ASSIGN(const auto file, MappedFile::open(path));
  TRY_ASSIGN(Header header, read_header(file->bytes(), path));
  return std::move(header.info);
}

}  // namespace andiron
