#include "data/token_store.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <utility>
#include <variant>

#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/json_fields.h"
#include "base/mapped_file.h"
#include "base/strings.h"
#include "data/find_files.h"
#include "data/held_out_stream.h"
#include "data/reader.h"
#include "text/tokenizer_metadata.h"

namespace andiron {

template <FieldsOf<TokenSource> R, typename Fields>
static void fields(R& source, Fields&& at) {
  at("path", source.path);
  at("format", source.format);
  at("hash", source.hash);
  at("bytes", source.bytes);
  at("rows", source.rows);
  at("bad_rows", source.bad_rows);
  at("duplicate_rows", source.duplicate_rows);
  at("train_rows", source.train_rows);
  at("train_positions", source.train_positions);
  at("train_targets", source.train_targets);
}

namespace {

constexpr uint64_t kVersion = 2;  // of what the same data and options give

// What index.json holds.
struct Index {
  std::string key;
  bool wide = false;
  uint32_t files = 1;
  uint64_t seed = 0;
  std::vector<TokenChunk> chunks, held_out;
  std::vector<TokenSource> sources;
  Json report;
  std::vector<std::string> described;
};

template <typename R, typename Fields>
void index_fields(R& index, Fields&& at) {
  at("key", index.key);
  at("wide", index.wide);
  at("files", index.files);
  at("seed", index.seed);
  at("chunks", index.chunks);
  at("held_out", index.held_out);
  at("sources", index.sources);
  at("report", index.report);
  at("described", index.described);
}

struct Inputs {
  std::string key;
  std::vector<TokenInput> files;
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const TokenInput& file : files) sum += file.bytes;
    return sum;
  }
};

// Hashes all that the tokens depend on. Of names only the format does that they decide.
Result<Inputs> hash_inputs(const std::vector<std::string>& paths, std::string_view tokenizer_hash,
                           const TokenStoreOptions& options) {
  const DataOptions& o = options.reading;
  ContentHash hash;
  hash.add(kVersion);
  hash.add_text(tokenizer_hash);
  for (const int64_t number :
       {o.seq_len, o.window, o.held_out_rows_max, o.now.value_or(-1), options.held_out_positions_max,
        static_cast<int64_t>(o.loss_on), static_cast<int64_t>(o.long_rows), static_cast<int64_t>(o.seed),
        o.format ? static_cast<int64_t>(*o.format) : -1}) {
    hash.add(static_cast<uint64_t>(number));
  }
  hash.add_text(format("{}", o.held_out));
  Inputs out;
  RowProblems skipped;
  TRY_ASSIGN(const auto found, find_files(paths, skipped));
  for (const FoundFile& file : found) {
    auto mapped = MappedFile::open(file.path);
    if (!mapped.ok() && !file.given) continue;  // the reader will count it
    if (!mapped.ok()) return std::move(mapped).error();
    const auto bytes = (*mapped)->bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto read_as = format_of(file, text, o.format);
    if (!read_as.ok() && !file.given) continue;  // likewise
    if (!read_as.ok()) return make_error("{}: {}", in_quotes(file.path, 200), read_as.error().message);
    out.files.push_back({file.path, std::string(data_format_name(*read_as)), content_hash(text), text.size()});
    TRY((*mapped)->check_intact());
    hash.add_text(out.files.back().format);
    hash.add_text(out.files.back().hash);
  }
  out.key = hash.digits();
  return out;
}

ShardOptions held_out_options(const ShardOptions& made) {
  ShardOptions out = made;
  out.files = 1;
  return out;
}

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return make_error("{}: the folder cannot be made: {}", path, error.message());
  return {};
}

std::string held_out_folder(const std::string& folder) { return folder + "/held-out"; }

// From data to files.
class StoreMaker {
 public:
  StoreMaker(const std::string& folder, const ShardOptions& made, const TokenStoreOptions& options)
      : folder_(folder), made_(made), options_(options) {}

  Result<Index> make(const std::vector<std::string>& paths, const Tokenizer& tokenizer, std::string_view model_name,
                     ThreadTeam& team, uint64_t bytes, const std::function<void(int64_t, int64_t)>& progress) {
    TRY(make_folder(held_out_folder(folder_)));
    TRY_ASSIGN(auto writer, ShardWriter::create(folder_, made_));
    HeldOutStream sides(options_.reading.held_out, options_.held_out_positions_max,
                        [&](LoadedRow&& row) { return take(writer, row); });
    constexpr int64_t kBytesPerToken = 4;  // of English, more or less
    TRY(read_rows(paths, tokenizer, model_name, options_.reading, team, report_, [&](LoadedRow&& row) -> Status {
      positions_ += row.row.positions();
      if (progress) progress(positions_, std::max(positions_ + 1, static_cast<int64_t>(bytes) / kBytesPerToken));
      return sides.add(std::move(row));
    }));
    TRY_ASSIGN(const auto held_out, sides.finish());
    if (report_.train_rows == 0) return nothing_left("there is no row to train on", describe_report(report_));
    if (progress) progress(positions_, positions_);
    report_.documents = sides.documents();
    report_.held_out_documents = sides.held_out();
    TRY_ASSIGN(index_.chunks, writer.finish());
    TRY(write_held_out(held_out));
    return finish();
  }

 private:
  Status take(ShardWriter& writer, const LoadedRow& loaded) {
    const TokenRow& row = loaded.row;
    if (counts_.size() <= loaded.file) counts_.resize(loaded.file + 1);
    TokenSource& source = counts_[loaded.file];
    const int64_t targets = std::count(row.trained.begin(), row.trained.end(), uint8_t{1});
    ++source.train_rows;
    source.train_positions += row.positions();
    source.train_targets += targets;
    ++report_.train_rows;
    report_.train_tokens += std::ssize(row.tokens);
    report_.trained_tokens += targets;
    return writer.add(row, static_cast<uint32_t>(loaded.file));
  }

  Status write_held_out(const std::vector<LoadedRow>& rows) {
    TRY_ASSIGN(auto writer, ShardWriter::create(held_out_folder(folder_), held_out_options(made_)));
    for (const LoadedRow& row : rows) {
      ++report_.held_out_rows;
      report_.held_out_tokens += std::ssize(row.row.tokens);
      TRY(writer.add(row.row, static_cast<uint32_t>(row.file)));
    }
    TRY_ASSIGN(index_.held_out, writer.finish());
    return {};
  }

  Result<Index> finish() {
    counts_.resize(report_.files.size());
    for (size_t i = 0; i < counts_.size(); ++i) {
      const DataFile& file = report_.files[i];
      TokenSource& source = counts_[i];
      source.path = file.path;
      source.format = data_format_name(file.format);
      source.hash = file.hash;
      source.bytes = file.bytes;
      source.rows = file.rows;
      source.bad_rows = file.bad.count;
      source.duplicate_rows = file.duplicates;
    }
    index_.key = made_.key;
    index_.wide = made_.wide;
    index_.files = made_.files;
    index_.seed = made_.seed;
    index_.sources = std::move(counts_);
    index_.report = report_to_json(report_);
    index_.described = describe_report(report_);
    return std::move(index_);
  }

  const std::string& folder_;
  const ShardOptions& made_;
  const TokenStoreOptions& options_;
  DataReport report_;
  std::vector<TokenSource> counts_;  // by file
  int64_t positions_ = 0;
  Index index_;
};

// Nothing where there is no index of this key; what is there is then made anew.
std::optional<Index> find_index(const std::string& path, const Inputs& inputs) {
  const auto text = read_text_file(path);
  if (!text.ok()) return {};
  const auto json = parse_json(*text, path);
  if (!json.ok()) return {};
  Index out;
  std::string wrong;
  index_fields(out, JsonReader{*json, wrong});
  if (!wrong.empty() || out.key != inputs.key || out.files < 1 || out.files > kShardFilesMax) return {};
  if (out.sources.size() != inputs.files.size()) return {};
  for (size_t i = 0; i < out.sources.size(); ++i) out.sources[i].path = inputs.files[i].path;
  return out;
}

Result<TokenStore> open_index(const std::string& folder, Index index, const TokenStoreOptions& options) {
  TokenStore out;
  out.made.key = index.key;
  out.made.wide = index.wide;
  out.made.files = index.files;
  out.made.seed = index.seed;
  ShardRowsOptions rows;
  rows.packing.seq_len = options.reading.seq_len;
  TRY_ASSIGN(const auto held_out,
             ShardRows::open(held_out_folder(folder), held_out_options(out.made), std::move(index.held_out), rows));
  TRY_ASSIGN(out.held_out, held_out->all());
  TRY(ShardRows::open(folder, out.made, index.chunks, rows));
  out.chunks = std::move(index.chunks);
  out.sources = std::move(index.sources);
  out.report = std::move(index.report);
  out.described = std::move(index.described);
  return out;
}

}  // namespace

std::string hash_tokenizer(const TokenizerSpec& spec) {
  ContentHash hash;
  const auto add = [&](const auto& value) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::string>) {
      hash.add_text(value);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      for (const std::string& text : value) hash.add_text(text);
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t>) {
      hash.add(static_cast<uint64_t>(value));
    } else {
      hash.add({reinterpret_cast<const uint8_t*>(value.data()), value.size() * sizeof(value[0])});
    }
  };
  for (const auto& [key, value] : metadata_from_spec(spec)) {
    hash.add_text(key);
    std::visit(add, value);
  }
  return hash.digits();
}

Result<TokenStore> open_token_store(const std::string& folder, const std::vector<std::string>& paths,
                                    const Tokenizer& tokenizer, std::string_view tokenizer_hash,
                                    std::string_view model_name, const TokenStoreOptions& options, ThreadTeam& team,
                                    const std::function<void(int64_t, int64_t)>& progress) {
  TRY_ASSIGN(const Inputs inputs, hash_inputs(paths, tokenizer_hash, options));
  if (options.check) TRY(options.check(inputs.key, inputs.files));
  TRY(make_folder(folder));
  const std::string path = folder + "/index.json";
  if (auto index = find_index(path, inputs)) {
    auto store = open_index(folder, std::move(*index), options);
    if (store.ok()) store->found = true;
    if (store.ok()) return store;  // otherwise a file is missing or cut short, and is made again
  }
  constexpr uint64_t kBytesPerFile = 1 << 20;  // of data: for less than that in all, one file
  ShardOptions made;
  made.key = inputs.key;
  made.wide = tokenizer.vocab_size() > 1 << 16;
  made.files = static_cast<uint32_t>(std::clamp<uint64_t>(inputs.bytes() / kBytesPerFile, 1, kShardFilesMax));
  made.seed = options.reading.seed;
  StoreMaker maker(folder, made, options);
  TRY_ASSIGN(Index index, maker.make(paths, tokenizer, model_name, team, inputs.bytes(), progress));
  Json json = Json::object();
  index_fields(index, JsonWriter{json});
  TRY(write_text_file(path, json.dump(1) + "\n"));  // last: now the files are whole
  return open_index(folder, std::move(index), options);
}

}  // namespace andiron
