#include "data/token_shards.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/atomic_file.h"
#include "base/byte_reader.h"
#include "base/check.h"
#include "base/content_hash.h"
#include "base/random.h"
#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kMagic = "andiron tokens 1";
constexpr size_t kKeyDigits = 32, kRecordHead = 16;
// Streams of the seed; an epoch's number, or a window's, follows.
constexpr uint64_t kFileStream = 0x73686172'00000000, kChunkStream = 0x63686e6b'00000000,
                   kWindowStream = 0x77696e64'00000000, kWeightStream = 0x77656967'00000000;

void append_bytes(std::vector<uint8_t>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

template <typename T>
void append_number(std::vector<uint8_t>& out, T value) {
  append_bytes(out, &value, sizeof value);
}

uint64_t mask_bytes(uint64_t tokens) { return (tokens + 7) / 8; }
uint64_t record_bytes(uint64_t tokens, bool wide) {
  return (kRecordHead + tokens * (wide ? 4 : 2) + mask_bytes(tokens) + 7) / 8 * 8;
}

void append_record(std::vector<uint8_t>& out, const TokenRow& row, uint32_t source, uint64_t number, bool wide) {
  const size_t end = out.size() + record_bytes(row.tokens.size(), wide);
  append_number(out, static_cast<uint32_t>(row.tokens.size()));
  append_number(out, source);
  append_number(out, number);
  for (const int32_t token : row.tokens) {
    if (wide) {
      append_number(out, static_cast<uint32_t>(token));
    } else {
      append_number(out, static_cast<uint16_t>(token));
    }
  }
  for (size_t i = 0; i < row.trained.size(); i += 8) {
    uint8_t bits = 0;
    for (size_t j = 0; j < 8 && i + j < row.trained.size(); ++j) {
      bits = static_cast<uint8_t>(bits | (row.trained[i + j] != 0) << j);
    }
    out.push_back(bits);
  }
  out.resize(end);
}

}  // namespace

std::string token_shard_path(const std::string& folder, uint32_t file) {
  return format("{}/{:04}.tokens", folder, file);
}

struct ShardWriter::Shard {
  AtomicFile file;
  std::vector<uint8_t> chunk;  // being filled
  int64_t rows = 0;            // in it
};

ShardWriter::ShardWriter(ShardOptions options, std::vector<Shard> shards)
    : options_(std::move(options)), shards_(std::move(shards)) {}
ShardWriter::ShardWriter(ShardWriter&&) noexcept = default;
ShardWriter::~ShardWriter() = default;

Result<ShardWriter> ShardWriter::create(const std::string& folder, const ShardOptions& options) {
  ANDIRON_CHECK(options.files >= 1 && options.files <= kShardFilesMax && options.key.size() == kKeyDigits);
  std::vector<Shard> shards;
  for (uint32_t i = 0; i < options.files; ++i) {
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(token_shard_path(folder, i)));
    TRY(file.write(kMagic));
    TRY(file.write(options.key));
    shards.push_back({std::move(file), {}, 0});
  }
  return ShardWriter(options, std::move(shards));
}

Status ShardWriter::flush(Shard& shard, uint32_t file) {
  if (shard.rows == 0) return {};
  chunks_.push_back({file, shard.file.offset(), shard.chunk.size(), shard.rows,
                     short_hash_digits({reinterpret_cast<const char*>(shard.chunk.data()), shard.chunk.size()})});
  TRY(shard.file.write(shard.chunk));
  shard.chunk.clear();
  shard.rows = 0;
  return {};
}

Status ShardWriter::add(const TokenRow& row, uint32_t source) {
  const uint64_t number = rows_++;
  const auto file = static_cast<uint32_t>(RandomStream(options_.seed, kFileStream).bits(number) % options_.files);
  Shard& shard = shards_[file];
  append_record(shard.chunk, row, source, number, options_.wide);
  ++shard.rows;
  return shard.chunk.size() >= options_.chunk_bytes ? flush(shard, file) : Status{};
}

Result<std::vector<TokenChunk>> ShardWriter::finish() {
  for (uint32_t i = 0; i < options_.files; ++i) TRY(flush(shards_[i], i));
  for (Shard& shard : shards_) TRY(shard.file.commit());
  return std::move(chunks_);
}

ShardRows::ShardRows(const ShardOptions& made, std::vector<TokenChunk> chunks, const ShardRowsOptions& options)
    : made_(made), chunks_(std::move(chunks)), options_(options) {
  options_.packing.order = PackOptions::Order::kShuffled;
}

Result<std::unique_ptr<ShardRows>> ShardRows::open(const std::string& folder, const ShardOptions& made,
                                                   std::vector<TokenChunk> chunks, const ShardRowsOptions& options) {
  std::unique_ptr<ShardRows> out(new ShardRows(made, std::move(chunks), options));
  for (uint32_t i = 0; i < made.files; ++i) {
    TRY_ASSIGN(auto file, MappedFile::open(token_shard_path(folder, i)));
    ByteReader in(file->bytes(), file->path());
    TRY_ASSIGN(const std::string_view magic, in.take_text(kMagic.size(), "the header"));
    TRY_ASSIGN(const std::string_view key, in.take_text(kKeyDigits, "the header"));
    if (magic != kMagic) return make_error("{}: not a file of tokens of this program", file->path());
    if (key != made.key) return make_error("{}: its tokens were made of other data or another tokenizer", file->path());
    out->files_.push_back(std::move(file));
  }
  for (const TokenChunk& chunk : out->chunks_) {
    if (chunk.file >= made.files) return make_error("{}: there is no file {} of tokens", folder, chunk.file);
    const uint64_t size = out->files_[chunk.file]->bytes().size();
    if (chunk.offset <= size && chunk.bytes <= size - chunk.offset && chunk.rows > 0) continue;
    return make_error("{}: cut short: a part of it should be {} bytes at {}", out->files_[chunk.file]->path(),
                      chunk.bytes, chunk.offset);
  }
  return out;
}

Status ShardRows::check_intact() const {
  for (const auto& file : files_) TRY(file->check_intact());
  return {};
}

Result<std::vector<ShardRows::Place>> ShardRows::read_chunk(const TokenChunk& chunk) const {
  const MappedFile& file = *files_[chunk.file];
  const auto bytes = file.bytes().subspan(chunk.offset, chunk.bytes);
  if (short_hash_digits({reinterpret_cast<const char*>(bytes.data()), bytes.size()}) != chunk.hash) {
    return make_error("{}: damaged: what lies at {} is not what was written; remove {} to have it made again",
                      file.path(), chunk.offset, parent_of(file.path()));
  }
  ByteReader in(bytes, file.path());
  std::vector<Place> out;
  while (in.remaining() > 0) {
    const uint8_t* record = bytes.data() + in.offset();
    TRY_ASSIGN(const auto tokens, in.read<uint32_t>("a row"));
    TRY_ASSIGN(const auto source, in.read<uint32_t>("a row"));
    TRY_ASSIGN(const auto number, in.read<uint64_t>("a row"));
    TRY(in.take(record_bytes(tokens, made_.wide) - kRecordHead, "a row"));
    if (tokens < 2 || tokens - 1 > static_cast<uint64_t>(options_.packing.seq_len)) {
      return make_error("{}: a row of {} tokens; 2 to {} are possible", file.path(), tokens,
                        options_.packing.seq_len + 1);
    }
    out.push_back({record, number, source, tokens});
  }
  return out;
}

TokenRow ShardRows::row_at(const Place& place) const {
  TokenRow row;
  row.tokens.resize(place.tokens);
  row.trained.resize(place.tokens);
  const uint8_t* tokens = place.record + kRecordHead;
  const uint8_t* mask = tokens + uint64_t{place.tokens} * (made_.wide ? 4 : 2);
  for (uint32_t i = 0; i < place.tokens; ++i) {
    uint16_t narrow = 0;
    if (made_.wide) {
      std::memcpy(&row.tokens[i], tokens + uint64_t{i} * 4, 4);
    } else {
      std::memcpy(&narrow, tokens + uint64_t{i} * 2, 2);
      row.tokens[i] = narrow;
    }
    row.trained[i] = mask[i / 8] >> (i % 8) & 1;
  }
  return row;
}

Result<TokenRows> ShardRows::all() {
  TokenRows out;
  for (const TokenChunk& chunk : chunks_) {
    TRY_ASSIGN(const auto places, read_chunk(chunk));
    for (const Place& place : places) out.rows.push_back(row_at(place));
  }
  TRY(check_intact());
  return out;
}

void ShardRows::forget_window() {
  for (size_t i = first_.chunk; window_ >= 0 && i < std::min(end_.chunk + 1, order_.size()); ++i) {
    const TokenChunk& chunk = chunks_[order_[i]];
    files_[chunk.file]->drop_pages(files_[chunk.file]->bytes().data() + chunk.offset, chunk.bytes);
  }
  places_.clear();
  plan_.clear();
}

// How often this epoch shows a row.
int64_t ShardRows::copies_of(const Place& place) const {
  const double weight = place.source < options_.weights.size() ? options_.weights[place.source] : 1;
  const double whole = std::floor(weight);
  const RandomStream chance(options_.packing.seed, kWeightStream + static_cast<uint64_t>(epoch_));
  return static_cast<int64_t>(whole) + (chance.uniform(place.number) < weight - whole ? 1 : 0);
}

// From end_ on, as far as the window has room.
void ShardRows::take_rows(const std::vector<Place>& chunk, std::vector<int64_t>& positions) {
  for (; end_.row < chunk.size(); ++end_.row, end_.copies = 0) {
    const Place& place = chunk[end_.row];
    const int64_t left = copies_of(place) - end_.copies;
    const auto times = static_cast<size_t>(std::min(left, options_.window_places - std::ssize(places_)));
    places_.insert(places_.end(), times, place);
    positions.insert(positions.end(), times, place.tokens - 1);
    end_.copies += static_cast<int64_t>(times);
    if (static_cast<int64_t>(times) < left) return;
  }
  end_ = {end_.chunk + 1, 0, 0};
}

Status ShardRows::plan_window(int64_t epoch, int64_t window) {
  forget_window();
  const PackOptions& packing = options_.packing;
  if (window == 0) {
    end_ = {};
    order_.resize(chunks_.size());
    std::iota(order_.begin(), order_.end(), 0U);
    shuffle(order_, RandomStream(packing.seed, kChunkStream + static_cast<uint64_t>(epoch)));
  }
  epoch_ = epoch;
  window_ = window;
  first_ = end_;
  std::vector<int64_t> positions;
  const size_t last = first_.chunk + static_cast<size_t>(options_.window_chunks);
  while (end_.chunk < std::min(last, order_.size()) && std::ssize(places_) < options_.window_places) {
    TRY_ASSIGN(const auto chunk, read_chunk(chunks_[order_[end_.chunk]]));
    take_rows(chunk, positions);
  }
  PackOptions own = packing;
  own.seed = RandomStream(packing.seed, kWindowStream).bits(static_cast<uint64_t>(window));
  plan_ = plan_epoch(positions, own, static_cast<uint64_t>(epoch));
  return check_intact();
}

// The window behind the one that is planned.
Status ShardRows::plan_next() {
  begin_ += std::ssize(plan_);
  return epoch_ends() ? plan_window(epoch_ + 1, 0) : plan_window(epoch_, window_ + 1);
}

Result<SequenceBatch> ShardRows::sequences(int64_t first, int64_t count) {
  if (window_ < 0 || first < begin_) {
    begin_ = 0;
    TRY(plan_window(0, 0));
  }
  constexpr int64_t kEmptyMax = 1000;  // epochs in a row without a row: weights may be small
  const int64_t windows = std::ssize(chunks_) / options_.window_chunks + 1;  // that an epoch without rows has at most
  SequenceBatch out;
  for (int64_t at = first; at < first + count; ++at) {
    for (int64_t empty = 0; at - begin_ >= std::ssize(plan_); ++empty) {
      if (empty > kEmptyMax * windows) return make_error("there is nothing to train on: the weights leave no row");
      TRY(plan_next());
    }
    auto& sequence = out.sequences.emplace_back();
    for (const uint32_t row : plan_[static_cast<size_t>(at - begin_)]) {
      const Place& place = places_[row];
      sequence.push_back(static_cast<uint32_t>(out.rows.rows.size()));
      out.numbers.push_back(place.number);
      out.rows.rows.push_back(row_at(place));
    }
  }
  TRY(check_intact());
  return out;
}

Result<int64_t> ShardRows::sequences_per_epoch() {
  TRY(plan_window(0, 0));
  int64_t sum = std::ssize(plan_);
  while (!epoch_ends()) {
    TRY(plan_window(0, window_ + 1));
    sum += std::ssize(plan_);
  }
  window_ = -1;
  return sum;
}

}  // namespace andiron
