#include "model/packed_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/content_hash.h"
#include "base/strings.h"
#include "kernels/packing.h"
#include "model/packed_folder.h"

namespace andiron {

PackedStore::PackedStore(PackedStore&& other) noexcept { *this = std::move(other); }

PackedStore& PackedStore::operator=(PackedStore&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  std::swap(from_cache_, other.from_cache_);
  std::swap(memory_, other.memory_);
  std::swap(file_, other.file_);
  return *this;
}

PackedStore::~PackedStore() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

namespace {

constexpr uint64_t kMatrixAlignment = 64;  // a cache line, and the widest register
// What packing may add. Formats take at most a third more than in the file; only matrices of very few rows, padded to
// 16, take much more, and a file full of those is no model but an attempt on our memory.
constexpr uint64_t kPackedFactorMax = 2, kPackedExtraMax = 64 << 20;
// What is packed between two looks at progress, and between two writes to the cache file; and what one hash there
// covers.
constexpr uint64_t kSlabBytes = 8 << 20;

// Groups [begin, begin + count) of one matrix.
struct Slab {
  size_t request;
  int64_t begin, count;
  uint64_t offset, bytes;  // of the whole
};

// Where each matrix lies. In the order of the file, so that a disk is read from front to back.
struct Layout {
  std::vector<PackRequest> requests;
  std::vector<uint64_t> offsets;
  std::vector<Slab> slabs;
  uint64_t bytes = 0;
};

PackedFormat format_of(const PackRequest& request) { return packed_format(request.tensor->dtype); }

Layout lay_out(std::vector<PackRequest> requests) {
  Layout out;
  // TensorInfos of one source lie in one array in file order.
  std::stable_sort(requests.begin(), requests.end(), [](const PackRequest& a, const PackRequest& b) {
    return std::pair(a.tensor, a.first_row) < std::pair(b.tensor, b.first_row);
  });
  for (size_t i = 0; i < requests.size(); ++i) {
    const PackRequest& request = requests[i];
    const uint64_t group_bytes = packed_group_bytes(format_of(request), request.k);
    const int64_t groups = packed_groups(request.n);
    const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(kSlabBytes / group_bytes));
    for (int64_t begin = 0; begin < groups; begin += step) {
      const int64_t count = std::min(step, groups - begin);
      out.slabs.push_back({i, begin, count, out.bytes + static_cast<uint64_t>(begin) * group_bytes,
                           static_cast<uint64_t>(count) * group_bytes});
    }
    out.offsets.push_back(out.bytes);
    const uint64_t size = packed_bytes(format_of(request), request.n, request.k);
    out.bytes += (size + kMatrixAlignment - 1) / kMatrixAlignment * kMatrixAlignment;
  }
  out.requests = std::move(requests);
  return out;
}

Status check_size(const ModelSource& source, const Layout& layout) {
  uint64_t in_file = 0;
  for (const PackRequest& request : layout.requests) {
    in_file += static_cast<uint64_t>(request.n) * row_bytes(request.tensor->dtype, static_cast<uint64_t>(request.k));
  }
  if (layout.bytes / kPackedFactorMax <= in_file + kPackedExtraMax / kPackedFactorMax) return {};
  return make_error("{}: {} of weights would take {} when packed, because its matrices have so few rows; not supported",
                    source.path(), human_bytes(in_file), human_bytes(layout.bytes));
}

// Packs a slab to `out`.
Status pack_slab(const ModelSource& source, const PackRequest& request, const Slab& slab, ThreadTeam& team,
                 std::vector<uint8_t>& scratch, uint8_t* out) {
  const int64_t first = slab.begin * kGroupRows;
  const int64_t rows = std::min(request.n, (slab.begin + slab.count) * kGroupRows) - first;
  TRY_ASSIGN(const auto bytes, source.rows(*request.tensor, static_cast<uint64_t>(request.first_row + first),
                                           static_cast<uint64_t>(rows), scratch));
  const DType dtype = request.tensor->dtype;
  const uint64_t stride = row_bytes(dtype, static_cast<uint64_t>(request.k));
  const uint64_t group_bytes = packed_group_bytes(packed_format(dtype), request.k);
  team.parallel_for(slab.count, [&](int64_t i, int) {
    const uint8_t* pointers[kGroupRows];
    const int64_t in_group = std::min<int64_t>(kGroupRows, rows - i * kGroupRows);
    for (int64_t r = 0; r < in_group; ++r) {
      pointers[r] = bytes.data() + static_cast<uint64_t>(i * kGroupRows + r) * stride;
    }
    pack_group(dtype, pointers, static_cast<int>(in_group), request.k, out + static_cast<uint64_t>(i) * group_bytes);
  });
  return {};
}

Error stopped(const ModelSource& source) { return make_error("{}: loading was stopped", source.path()); }

// Packs everything, slab by slab. `place` gives the memory of a slab; `done` is called when it is filled.
template <typename Place, typename Done>
Status pack_all(const ModelSource& source, const Layout& layout, const PackStoreOptions& options, ThreadTeam& team,
                Place place, Done done) {
  std::vector<uint8_t> scratch;
  for (const Slab& slab : layout.slabs) {
    const PackRequest& request = layout.requests[slab.request];
    TRY_ASSIGN(uint8_t * memory, place(slab));
    TRY(pack_slab(source, request, slab, team, scratch, memory));
    TRY(done(slab));
    if (options.progress && !options.progress(slab.offset + slab.bytes, layout.bytes)) return stopped(source);
    const Slab* next = &slab == &layout.slabs.back() ? nullptr : &slab + 1;
    if (next == nullptr || layout.requests[next->request].tensor != request.tensor) source.drop(*request.tensor);
  }
  return source.check_intact();
}

Result<uint8_t*> reserve(uint64_t bytes, const std::string& path) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return make_error("{}: no memory for {} of weights: {}", path, human_bytes(bytes), std::strerror(errno));
  }
  madvise(memory, bytes, MADV_HUGEPAGE);  // fewer address translations; a refusal does no harm
  return static_cast<uint8_t*>(memory);
}

void point_linears(const Layout& layout, const uint8_t* memory) {
  for (size_t i = 0; i < layout.requests.size(); ++i) {
    Linear& linear = *layout.requests[i].out;
    linear.format = format_of(layout.requests[i]);
    linear.weight = memory + layout.offsets[i];
  }
}

PackedTable table_of(const Layout& layout) {
  PackedTable table;
  table.data_bytes = layout.bytes;
  for (size_t i = 0; i < layout.requests.size(); ++i) {
    const PackRequest& request = layout.requests[i];
    table.add(request.tensor->name, request.first_row, format_of(request), request.n, request.k, layout.offsets[i]);
  }
  return table;
}

// Whether the matrices are the bytes that were packed: a disk may lose some, and a wrong weight shows in no other way.
// Reading them all also brings them into memory, which the first token would have to do.
Result<bool> is_intact(const PackedFile& packed, const ModelSource& source, const Layout& layout,
                       const PackStoreOptions& options, ThreadTeam& team) {
  if (packed.slab_hashes.size() != layout.slabs.size()) return false;
  // Some slabs for each worker, yet few enough that a disk is read from front to back.
  const int64_t step = 8 * team.size(), count = static_cast<int64_t>(layout.slabs.size());
  std::atomic<bool> intact{true};
  for (int64_t begin = 0; begin < count && intact; begin += step) {
    const int64_t end = std::min(count, begin + step);
    team.parallel_for(end - begin, [&](int64_t i, int) {
      const auto index = static_cast<size_t>(begin + i);
      const Slab& slab = layout.slabs[index];
      if (short_hash({packed.data + slab.offset, slab.bytes}) != packed.slab_hashes[index]) intact = false;
    });
    const uint64_t done = layout.slabs[static_cast<size_t>(end) - 1].offset;
    if (options.progress && !options.progress(done, layout.bytes)) return stopped(source);
  }
  return intact && packed.file->check_intact().ok();
}

// Weights found in the cache, or packed into it.
struct Cached {
  PackedFile packed;
  bool found = false;
};

class CachedPacking {
 public:
  CachedPacking(const ModelSource& source, const Layout& layout, const PackStoreOptions& options, ThreadTeam& team,
                std::vector<std::string>& notes)
      : source_(source), layout_(layout), options_(options), team_(team), notes_(notes), table_(table_of(layout)) {}

  // An Error when loading should pack in memory instead; but see is_final().
  Result<Cached> run() {
    TRY_ASSIGN(const PackedFolder folder, PackedFolder::open(options_.cache));
    TRY_ASSIGN(stamps_, stamp_files(source_.files()));
    Cached out;
    auto key = folder.remembered_key(stamps_);
    const bool was_remembered = key.has_value();
    if (!key && folder.may_know(total_bytes(stamps_))) {
      TRY_ASSIGN(FileHasher hasher, FileHasher::create(stamps_));
      TRY_ASSIGN(key, hasher.finish());
    }
    if (key) {
      TRY_ASSIGN(out.packed, find(folder, *key));
    }
    out.found = out.packed.file != nullptr;
    if (!out.found) {
      TRY(folder.make_room(layout_.bytes));
      TRY_ASSIGN(key, pack(folder));
      out.packed = folder.find(*key, table_);
      if (out.packed.file == nullptr) return make_error("the packed weights cannot be read back");
    }
    if (was_remembered && out.found) return out;
    const Status remembered = folder.remember(stamps_, *key);
    if (!remembered.ok()) notes_.push_back(format("the next start will take longer: {}", remembered.error().message));
    return out;
  }

  // Packing itself failed, or loading was stopped: packing in memory would fail alike.
  bool is_final() const { return is_final_; }

 private:
  // The intact packed weights of a key, or none.
  Result<PackedFile> find(const PackedFolder& folder, const std::string& key) {
    PackedFile packed = folder.find(key, table_);
    if (packed.file == nullptr) return packed;
    const auto intact = is_intact(packed, source_, layout_, options_, team_);
    is_final_ = !intact.ok();
    TRY(intact);
    if (*intact) return packed;
    folder.remove(key);
    notes_.push_back("the packed weights on disk were damaged; they are packed anew");
    return PackedFile();
  }

  // Packs into a new file of the folder; returns the key.
  Result<std::string> pack(const PackedFolder& folder) {
    PackedFileInfo info = {std::string(32, '0'), stamps_.front().path, total_bytes(stamps_)};
    const uint64_t begin = packed_data_offset(info, table_, layout_.slabs.size());
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(folder.unnamed_path(), true));
    TRY_ASSIGN(FileHasher hasher, FileHasher::create(stamps_));
    std::vector<uint8_t> memory;
    std::vector<uint64_t> hashes;
    const auto place = [&](const Slab& slab) -> Result<uint8_t*> {
      memory.resize(slab.bytes);
      return memory.data();
    };
    std::optional<Error> write_error;
    const auto done = [&](const Slab& slab) -> Status {
      hashes.push_back(short_hash(memory));
      Status written = file.write_at(begin + slab.offset, memory);
      data_end_ = slab.offset + slab.bytes;
      if (!written.ok()) write_error = written.error();
      // Just behind the packing, while the pages are in memory.
      const double share = static_cast<double>(slab.offset) / static_cast<double>(layout_.bytes);
      hasher.advance(static_cast<uint64_t>(share * static_cast<double>(info.source_bytes)));
      return written;
    };
    const Status packed = pack_all(source_, layout_, options_, team_, place, done);
    is_final_ = !packed.ok() && !write_error;
    TRY(packed);
    if (data_end_ < layout_.bytes) {  // the last matrix is padded like the others
      TRY(file.write_at(begin + layout_.bytes - 1, std::vector<uint8_t>(1, 0)));
    }
    TRY_ASSIGN(info.key, hasher.finish());
    TRY(file.write_at(0, packed_header(info, table_, hashes)));
    file.rename_to(folder.new_path(info.key));
    TRY(folder.must_sync() ? file.commit() : file.commit_unsynced());
    return info.key;
  }

  const ModelSource& source_;
  const Layout& layout_;
  const PackStoreOptions& options_;
  ThreadTeam& team_;
  std::vector<std::string>& notes_;
  PackedTable table_;
  std::vector<FileStamp> stamps_;
  uint64_t data_end_ = 0;  // of what is written
  bool is_final_ = false;
};

}  // namespace

Result<PackedStore> PackedStore::create(const ModelSource& source, std::vector<PackRequest> requests,
                                        const PackStoreOptions& options, std::vector<std::string>& notes) {
  const Layout layout = lay_out(std::move(requests));
  TRY(check_size(source, layout));
  std::optional<ThreadTeam> own_team;
  if (options.team == nullptr) own_team.emplace(1);
  ThreadTeam& team = options.team != nullptr ? *options.team : *own_team;

  PackedStore store;
  store.bytes_ = layout.bytes;
  if (layout.bytes >= options.cache.model_bytes_min && packed_cache_is_on(options.cache)) {
    CachedPacking packing(source, layout, options, team, notes);
    auto cached = packing.run();
    if (cached.ok()) {
      store.file_ = cached->packed.file;
      store.from_cache_ = cached->found;
      point_linears(layout, cached->packed.data);
      return store;
    }
    if (packing.is_final()) return std::move(cached).error();
    notes.push_back(format("packed weights are not kept for the next start: {}", cached.error().message));
  }
  TRY_ASSIGN(store.memory_, reserve(layout.bytes, source.path()));
  const auto place = [&](const Slab& slab) -> Result<uint8_t*> { return store.memory_ + slab.offset; };
  const auto done = [](const Slab&) { return Status(); };
  TRY(pack_all(source, layout, options, team, place, done));
  point_linears(layout, store.memory_);
  return store;
}

}  // namespace andiron
