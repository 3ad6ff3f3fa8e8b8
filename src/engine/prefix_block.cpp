#include "engine/prefix_block.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/content_hash.h"

namespace andiron {

namespace {

constexpr std::string_view kMagic = "andiron prefix\n";
// Raised when the file changes, or when a model computes other keys and values than before.
constexpr uint32_t kVersion = 1;
constexpr uint64_t kSpaceBytesMax = 1 << 16;
constexpr size_t kDigits = 32;

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
std::span<const uint8_t> bytes_of(std::span<const int32_t> tokens) {
  return {reinterpret_cast<const uint8_t*>(tokens.data()), tokens.size_bytes()};
}

uint64_t page_bytes(const PrefixBlock& block) { return static_cast<uint64_t>(block.page->shape().bytes()); }

template <typename T>
void append(std::string& out, T number) {
  char raw[sizeof(T)];
  std::memcpy(raw, &number, sizeof(T));
  out.append(raw, sizeof(T));
}

// All that stands before the data.
std::string file_head(const PrefixBlock& block) {
  std::string head(kMagic);
  append(head, kVersion);
  append(head, static_cast<uint64_t>(block.space.size()));
  append(head, static_cast<uint64_t>(block.tokens.size()));
  append(head, page_bytes(block));
  head += block.space;
  const auto tokens = bytes_of(block.tokens);
  head.append(reinterpret_cast<const char*>(tokens.data()), tokens.size());
  return head;
}

}  // namespace

PrefixChain::PrefixChain(std::string space) : space_(std::move(space)), keys_{content_hash(space_)} {}

void PrefixChain::extend(std::span<const int32_t> tokens) {
  const size_t whole = tokens.size() / kPrefixPositions;
  while (keys_.size() <= whole) {
    ContentHash hash;
    hash.add_text(keys_.back());
    hash.add(bytes_of(tokens.subspan((keys_.size() - 1) * kPrefixPositions, kPrefixPositions)));
    keys_.push_back(hash.digits());
  }
}

bool PrefixBlock::is(std::string_view of_space, std::span<const int32_t> of_tokens) const {
  return space == of_space && std::equal(tokens.begin(), tokens.end(), of_tokens.begin(), of_tokens.end());
}

uint64_t PrefixBlock::bytes() const {
  return page_bytes(*this) + tokens.size() * sizeof(int32_t) + space.size() + 512;  // and the tables around it
}

uint64_t prefix_file_bytes(const PrefixBlock& block) {
  return kMagic.size() + sizeof kVersion + 3 * sizeof(uint64_t) + block.space.size() +
         block.tokens.size() * sizeof(int32_t) + page_bytes(block) + kDigits;
}

Status write_prefix_file(const PrefixBlock& block, const std::string& path) {
  const std::string head = file_head(block);
  ContentHash hash;
  hash.add(bytes_of(head));
  TRY_ASSIGN(AtomicFile file, AtomicFile::create(path, true));
  TRY(file.write(head));
  for (int64_t i = 0; i < block.page->shape().pieces; ++i) {
    hash.add(block.page->piece(i));
    TRY(file.write(block.page->piece(i)));
  }
  TRY(file.write(hash.digits()));
  return file.commit_unsynced();
}

Result<PrefixBlock> parse_prefix_file(std::string_view bytes, std::string_view source, const PageMaker& make) {
  ByteReader reader(bytes_of(bytes), source);
  TRY_ASSIGN(const auto magic, reader.take_text(kMagic.size(), "the magic"));
  if (magic != kMagic) return make_error("{}: not a block of a prefix cache", source);
  TRY_ASSIGN(const auto version, reader.read<uint32_t>("the version"));
  if (version != kVersion) return make_error("{}: version {}; expected {}", source, version, kVersion);
  TRY_ASSIGN(const auto space_bytes, reader.read<uint64_t>("the length of the space"));
  TRY_ASSIGN(const auto token_count, reader.read<uint64_t>("the number of tokens"));
  TRY_ASSIGN(const auto data_bytes, reader.read<uint64_t>("the length of the data"));
  if (space_bytes > kSpaceBytesMax || token_count == 0 || token_count % kPrefixPositions != 0 || data_bytes == 0) {
    return make_error(
        "{}: a space of {} bytes, {} tokens and {} bytes of data; expected at most {} bytes, a multiple of "
        "{} tokens and some data",
        source, space_bytes, token_count, data_bytes, kSpaceBytesMax, kPrefixPositions);
  }
  TRY_ASSIGN(const auto token_bytes, checked_mul(token_count, sizeof(int32_t), "tokens"));
  TRY_ASSIGN(const auto space, reader.take_text(space_bytes, "the space"));
  TRY_ASSIGN(const auto tokens, reader.take(token_bytes, "the tokens"));
  TRY_ASSIGN(const auto data, reader.take(data_bytes, "the data"));
  const uint64_t hashed = reader.offset();
  TRY_ASSIGN(const auto digits, reader.take_text(kDigits, "the hash"));
  if (reader.remaining() != 0 || digits != content_hash(bytes.substr(0, hashed))) {
    return make_error("{}: damaged: its bytes are not those that were written", source);
  }
  PrefixBlock block;
  block.space = space;
  block.tokens.resize(token_count);
  std::memcpy(block.tokens.data(), tokens.data(), tokens.size());
  PrefixChain chain(block.space);
  chain.extend(block.tokens);
  block.key = chain.key(chain.size() - 1);
  block.parent = chain.parent(chain.size() - 1);
  block.page = make(data);
  if (block.page == nullptr) return make_error("{}: no page of this model has {} bytes", source, data_bytes);
  return block;
}

}  // namespace andiron
