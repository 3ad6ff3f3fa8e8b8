// Rows of tokens on disk, for data that does not fit the memory: written once, mapped, read in an order of the seed's.
//
// A row goes into one of some files by chance, so that each is a sample of all data; within a file rows lie in chunks
// of about a MiB, in the order in which they came. An epoch takes the chunks in random order, some of them at a time:
// the rows of such a window are shuffled and packed as rows in memory are (data/packing.h). So memory is bounded
// however much there is.
//
// A file: 16 bytes "andiron tokens 1", 32 bytes of the key (what the tokens were made of), then records. A record:
// u32 tokens, u32 source, u64 number of the row, the tokens as u16 or u32, a bit for each token that has loss (from the
// low bit up), zeros to a multiple of 8. Little-endian. Which chunks there are, with the hash of each, is in the list
// that the writer gives.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "base/json_fields.h"
#include "base/mapped_file.h"
#include "base/result.h"
#include "data/packing.h"
#include "data/row_source.h"
#include "data/token_row.h"

namespace andiron {

struct TokenChunk {
  uint32_t file = 0;
  uint64_t offset = 0, bytes = 0;
  int64_t rows = 0;
  std::string hash;  // short_hash of its bytes
};
template <FieldsOf<TokenChunk> R, typename Fields>
void fields(R& chunk, Fields&& at) {
  at("file", chunk.file);
  at("offset", chunk.offset);
  at("bytes", chunk.bytes);
  at("rows", chunk.rows);
  at("hash", chunk.hash);
}

// "FOLDER/0003.tokens"
std::string token_shard_path(const std::string& folder, uint32_t file);

struct ShardOptions {
  std::string key;     // 32 hexadecimal digits
  bool wide = false;   // tokens need more than 16 bits
  uint32_t files = 1;  // 1 to kShardFilesMax
  uint64_t seed = 0;   // which row goes where
  uint64_t chunk_bytes = 1 << 20;
};
// So many are open at a time, each with a chunk in memory.
inline constexpr uint32_t kShardFilesMax = 64;
static_assert(kShardFilesMax < UnfinishedName::kAtOnceMax, "a signal would leave some of them");

// One thread.
class ShardWriter {
 public:
  // The folder must exist. Files appear under their names only when all is written.
  static Result<ShardWriter> create(const std::string& folder, const ShardOptions& options);
  ShardWriter(ShardWriter&&) noexcept;
  ~ShardWriter();

  // `source`: which of the inputs it is from.
  Status add(const TokenRow& row, uint32_t source);
  Result<std::vector<TokenChunk>> finish();

 private:
  struct Shard;
  ShardWriter(ShardOptions options, std::vector<Shard> shards);
  Status flush(Shard& shard, uint32_t file);

  ShardOptions options_;
  std::vector<Shard> shards_;
  std::vector<TokenChunk> chunks_;
  uint64_t rows_ = 0;
};

struct ShardRowsOptions {
  PackOptions packing = {};          // seq_len, pack and seed count
  std::vector<double> weights = {};  // by source: how often an epoch shows each of its rows, on average; none: once
  // A window ends with so many chunks, or so many places for rows: weights show rows more than once.
  int64_t window_chunks = 32;
  int64_t window_places = int64_t{1} << 21;
};

class ShardRows : public RowSource {
 public:
  // An Error where a file is missing, too short, or was made of something else than the key says.
  static Result<std::unique_ptr<ShardRows>> open(const std::string& folder, const ShardOptions& made,
                                                 std::vector<TokenChunk> chunks, const ShardRowsOptions& options);

  Result<SequenceBatch> sequences(int64_t first, int64_t count) override;
  // Of the first epoch. Walks over all rows.
  Result<int64_t> sequences_per_epoch();
  // All rows in the order in which they lie there, each once; for few.
  Result<TokenRows> all();

 private:
  struct Place {
    const uint8_t* record;
    uint64_t number;
    uint32_t source;
    uint32_t tokens;
  };
  ShardRows(const ShardOptions& made, std::vector<TokenChunk> chunks, const ShardRowsOptions& options);
  // Where a window begins and ends: `copies` of row `row` of a chunk, and all before it, lie in earlier ones.
  struct Cursor {
    size_t chunk = 0, row = 0;
    int64_t copies = 0;
  };
  bool epoch_ends() const { return end_.chunk >= chunks_.size(); }
  int64_t copies_of(const Place& place) const;
  void take_rows(const std::vector<Place>& chunk, std::vector<int64_t>& positions);
  Result<std::vector<Place>> read_chunk(const TokenChunk& chunk) const;
  Status plan_window(int64_t epoch, int64_t window);
  Status plan_next();
  void forget_window();
  TokenRow row_at(const Place& place) const;
  Status check_intact() const;

  ShardOptions made_;
  std::vector<TokenChunk> chunks_;
  ShardRowsOptions options_;
  std::vector<std::shared_ptr<MappedFile>> files_;
  int64_t epoch_ = 0, window_ = -1;  // planned
  Cursor first_, end_;               // of it
  int64_t begin_ = 0;                // the window's first sequence in the run
  std::vector<uint32_t> order_;      // chunks of the epoch
  std::vector<Place> places_;        // rows of the window, those shown twice twice
  std::vector<std::vector<uint32_t>> plan_;
};

}  // namespace andiron
