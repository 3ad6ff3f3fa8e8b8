// A GGUF file, or a set of shards, as a ModelSource: mapped, never copied.
#include <algorithm>
#include <cstdint>

#include "base/mapped_file.h"
#include "base/strings.h"
#include "format/gguf.h"

namespace andiron {

namespace {

// More shards than any published model has, and fewer than MappedFile has room for.
constexpr int64_t kShardsMax = 512;

struct Shard {
  std::shared_ptr<MappedFile> file;
  GgufContents contents;
};

Result<Shard> open_shard(const std::string& path) {
  Shard shard;
  TRY_ASSIGN(shard.file, MappedFile::open(path));
  TRY_ASSIGN(shard.contents, read_gguf(shard.file->bytes(), path));
  TRY(shard.file->check_intact());
  return shard;
}

// A whole number of the metadata; a missing key gives `fallback`.
Result<int64_t> whole_number(const Shard& shard, std::string_view key, int64_t fallback) {
  for (const MetaEntry& entry : shard.contents.metadata) {
    if (entry.key != key) continue;
    if (const auto* value = std::get_if<int64_t>(&entry.value.value)) return *value;
    return make_error("{}: metadata \"{}\" must be a whole number", shard.file->path(), key);
  }
  return fallback;
}

// gguf.md, naming convention: five digits each.
// `part` counts from 1.
std::string shard_suffix(int64_t part, int64_t count) { return format("-{:05}-of-{:05}.gguf", part, count); }

class GgufSource : public ModelSource {
 public:
  explicit GgufSource(const std::string& path) : ModelSource(path) {}

  Status open() {
    TRY_ASSIGN(Shard first, open_shard(path()));
    TRY_ASSIGN(const int64_t count, whole_number(first, "split.count", 1));
    if (count < 0 || count > kShardsMax) {
      return make_error("{}: split.count is {}; at most {} parts are allowed", path(), count, kShardsMax);
    }
    shards_.push_back(std::move(first));
    if (count > 1) TRY(open_other_shards(count));
    std::vector<TensorInfo> tensors;
    for (uint32_t s = 0; s < shards_.size(); ++s) {
      GgufContents& contents = shards_[s].contents;
      for (size_t i = 0; i < contents.tensors.size(); ++i) {
        tensors.push_back(std::move(contents.tensors[i]));
        places_.push_back({s, contents.offsets[i]});
      }
      contents.tensors.clear();
      files_.push_back(shards_[s].file->path());
    }
    return set_contents(std::move(shards_[0].contents.metadata), std::move(tensors));
  }

  Result<std::span<const uint8_t>> rows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                                        std::vector<uint8_t>& scratch) const override {
    TRY_ASSIGN(const size_t index, check_rows(tensor, first, count));
    const TensorInfo& own = tensors()[index];
    const uint64_t stride = row_bytes(own.dtype, own.columns());
    const Place place = places_[index];
    const auto view = shards_[place.shard].file->bytes().subspan(place.offset + first * stride, count * stride);
    // Only a file with an alignment below 4 comes here.
    if (reinterpret_cast<uintptr_t>(view.data()) % (own.dtype == DType::kF32 ? 4 : 2) != 0) {
      scratch.assign(view.begin(), view.end());
      return std::span<const uint8_t>(scratch);
    }
    return view;
  }

  void drop(const TensorInfo& tensor) const override {
    const auto index = check_rows(tensor, 0, 0);
    if (!index.ok()) return;
    const Place place = places_[*index];
    const MappedFile& file = *shards_[place.shard].file;
    file.drop_pages(file.bytes().data() + place.offset, tensors()[*index].bytes);
  }

  Status check_intact() const override {
    for (const Shard& shard : shards_) TRY(shard.file->check_intact());
    return {};
  }

 private:
  struct Place {
    uint32_t shard;
    uint64_t offset;  // in the shard's file
  };

  // split.no counts from 0, the names count from 1.
  Status open_other_shards(int64_t count) {
    TRY_ASSIGN(const int64_t number, whole_number(shards_[0], "split.no", 0));
    const std::string suffix = shard_suffix(1, count);
    if (number != 0) {
      return make_error(
          "{}: this is not the first of {} parts (split.no is {}); open the one whose name ends in \"{}\"", path(),
          count, number, suffix);
    }
    if (!std::string_view(path()).ends_with(suffix)) {
      return make_error("{}: this is the first of {} parts; its name must end in \"{}\" so that the others are found",
                        path(), count, suffix);
    }
    const std::string prefix = path().substr(0, path().size() - suffix.size());
    for (int64_t i = 1; i < count; ++i) {
      TRY_ASSIGN(Shard shard, open_shard(prefix + shard_suffix(i + 1, count)));
      TRY_ASSIGN(const int64_t own_number, whole_number(shard, "split.no", -1));
      TRY_ASSIGN(const int64_t own_count, whole_number(shard, "split.count", -1));
      if (own_number != i || own_count != count) {
        return make_error("{}: expected split.no {} and split.count {}, but the file has {} and {}; it is misnamed",
                          shard.file->path(), i, count, own_number, own_count);
      }
      shards_.push_back(std::move(shard));
    }
    return check_tensors_count();
  }

  Status check_tensors_count() const {
    int64_t found = 0;
    for (const Shard& shard : shards_) found += static_cast<int64_t>(shard.contents.tensors.size());
    TRY_ASSIGN(const int64_t expected, whole_number(shards_[0], "split.tensors.count", found));
    if (found == expected) return {};
    return make_error("{}: its {} parts hold {} tensors together, but {} are announced; a part is of another model",
                      path(), shards_.size(), found, expected);
  }

  std::vector<Shard> shards_;
  std::vector<Place> places_;  // one for each of tensors()
};

}  // namespace

Result<std::unique_ptr<ModelSource>> open_gguf(const std::string& path) {
  auto source = std::make_unique<GgufSource>(path);
  TRY(source->open());
  return std::unique_ptr<ModelSource>(std::move(source));
}

}  // namespace andiron
