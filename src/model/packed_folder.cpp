#include "model/packed_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>

#include "base/content_hash.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/user_folder.h"

namespace andiron {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBytesMaxDefault = uint64_t{64} << 30;
// Left free on the disk whatever the limit says: a full disk harms everything else.
constexpr uint64_t kDiskReserve = uint64_t{512} << 20;
// The kernel writes dirty pages within half a minute (vm.dirty_expire_centisecs); after this long syncing is quick.
constexpr int64_t kSettleSeconds = 120;
// An unfinished file that nobody has written to for so long, and nobody holds locked, was left by a crash; after the
// longer time it was even where the file system knows no locks.
constexpr int64_t kAbandonedSeconds = 60, kSurelyAbandonedSeconds = 24 * 3600;

// Tells this start of the machine from others; "" where the system does not say.
std::string boot_name() {
  const auto id = read_text_file("/proc/sys/kernel/random/boot_id", 256);
  return id.ok() ? short_hash_digits(*id) : "";
}

Status make_folders(const std::string& path) {
  for (size_t at = 1; at != 0; ++at) {
    at = path.find('/', at);
    const std::string part = path.substr(0, at);
    // 0700: models may be private. Folders that are there already keep what they have.
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST && !is_folder(part)) {
      return make_error("{}: cannot make the folder: {}", part, std::strerror(errno));
    }
    if (at == std::string::npos) break;
  }
  return {};
}

struct CacheFile {
  std::string path, name;
  struct stat info;
  bool is_packed() const { return name.ends_with(".packed"); }
  bool is_unfinished() const { return name.starts_with("new-") || name.find(".part-") != std::string::npos; }
  bool is_abandoned() const {
    if (!is_unfinished()) return false;
    const int64_t age = ::time(nullptr) - info.st_mtim.tv_sec;
    return age > kSurelyAbandonedSeconds || (age > kAbandonedSeconds && AtomicFile::is_abandoned(path));
  }
};

// The cache's own files, last used first.
std::vector<CacheFile> cache_files(const std::string& folder) {
  std::vector<CacheFile> out;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    CacheFile file{it->path().string(), it->path().filename().string(), {}};
    const bool ours = file.is_packed() || file.is_unfinished() || file.name.find(".source") != std::string::npos;
    if (ours && ::lstat(file.path.c_str(), &file.info) == 0 && S_ISREG(file.info.st_mode)) out.push_back(file);
  }
  std::sort(out.begin(), out.end(),
            [](const CacheFile& a, const CacheFile& b) { return a.info.st_atim.tv_sec > b.info.st_atim.tv_sec; });
  return out;
}

uint64_t bytes_of(const CacheFile& file) { return static_cast<uint64_t>(file.info.st_size); }

// Access times serve as "last used": set by hand, as systems differ in when they do it themselves.
void touch(const std::string& path) {
  const timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  ::utimensat(AT_FDCWD, path.c_str(), times, 0);
}

// The stamps as JSON, for writing and for comparing.
Json stamps_json(std::span<const FileStamp> stamps) {
  Json list = Json::array();
  for (const FileStamp& stamp : stamps) {
    Json one = Json::object();
    one.set("path", stamp.path);
    one.set("bytes", stamp.bytes);
    one.set("modified_ns", stamp.modified_ns);
    one.set("changed_ns", stamp.changed_ns);
    one.set("inode", stamp.inode);
    one.set("device", stamp.device);
    list.push(std::move(one));
  }
  return list;
}

bool is_key(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

bool packed_cache_is_on(const PackedCacheOptions& options) {
  const char* set = std::getenv("ANDIRON_CACHE_DIR");
  const bool is_off = set != nullptr && (*set == '\0' || std::string_view(set) == "off");
  return options.enabled && (!options.folder.empty() || !is_off);
}

std::string packed_cache_folder(const PackedCacheOptions& options) {
  if (!packed_cache_is_on(options)) return "";
  const char* set = std::getenv("ANDIRON_CACHE_DIR");
  std::string base = options.folder.empty() && set != nullptr ? set : options.folder;
  if (base.empty()) base = user_folder("XDG_CACHE_HOME", ".cache");
  return base.empty() ? "" : base + "/packed";
}

Result<PackedFolder> PackedFolder::open(const PackedCacheOptions& options) {
  const std::string folder = packed_cache_folder(options);
  if (folder.empty()) {
    return make_error(
        "there is no folder for them; set ANDIRON_CACHE_DIR to one, or to \"off\" (XDG_CACHE_HOME and HOME "
        "would do too)");
  }
  TRY(make_folders(folder));
  uint64_t bytes_max = options.bytes_max;
  if (bytes_max == 0) {
    struct statvfs disk {};
    if (::statvfs(folder.c_str(), &disk) != 0) return make_error("{}: {}", folder, std::strerror(errno));
    uint64_t reachable = uint64_t{disk.f_bavail} * disk.f_frsize;
    for (const CacheFile& file : cache_files(folder)) reachable += bytes_of(file);
    bytes_max = std::min(kBytesMaxDefault, reachable / 5);
  }
  return PackedFolder(folder, bytes_max, boot_name());
}

std::string PackedFolder::source_path(std::span<const FileStamp> stamps) const {
  return format("{}/{}.source", folder_, short_hash_digits(stamps.front().path));
}

std::string PackedFolder::settled_path(const std::string& key) const {
  return format("{}/{}.v{}.packed", folder_, key, kPackedVersion);
}

std::string PackedFolder::new_path(const std::string& key) const {
  if (must_sync()) return settled_path(key);
  return format("{}/{}.v{}.{}.packed", folder_, key, kPackedVersion, boot_);
}

std::string PackedFolder::unnamed_path() const {
  static std::atomic<int> count{0};
  return format("{}/new-{}-{}", folder_, ::getpid(), ++count);
}

std::optional<std::string> PackedFolder::remembered_key(std::span<const FileStamp> stamps) const {
  const std::string path = source_path(stamps);
  const auto text = read_text_file(path, 1 << 20);
  if (!text.ok()) return std::nullopt;
  const auto json = parse_json(*text, path);
  if (!json.ok()) return std::nullopt;
  const std::string_view key = json->member("key").text_or("");
  if (!is_key(key) || json->member("files").dump() != stamps_json(stamps).dump()) return std::nullopt;
  return std::string(key);
}

Status PackedFolder::remember(std::span<const FileStamp> stamps, const std::string& key) const {
  Json json = Json::object();
  json.set("key", key);
  json.set("files", stamps_json(stamps));
  TRY_ASSIGN(AtomicFile file, AtomicFile::create(source_path(stamps), true));
  TRY(file.write(json.dump()));
  return file.commit_unsynced();  // losing it costs one more hashing
}

bool PackedFolder::may_know(uint64_t source_bytes) const {
  for (const CacheFile& file : cache_files(folder_)) {
    if (!file.is_packed()) continue;
    const auto info = read_packed_file_info(file.path);
    if (info.ok() && info->source_bytes == source_bytes) return true;
  }
  return false;
}

PackedFile PackedFolder::find(const std::string& key, const PackedTable& table) const {
  const std::string settled = settled_path(key), fresh = new_path(key);
  for (const std::string& path : {settled, fresh}) {
    auto file = open_packed_file(path, key, table);
    if (!file.ok()) continue;
    touch(path);
    if (path != settled) settle(path, settled);
    return std::move(file).value();
  }
  return {};
}

void PackedFolder::remove(const std::string& key) const {
  for (const std::string& path : {settled_path(key), new_path(key)}) ::unlink(path.c_str());
}

void PackedFolder::settle(const std::string& path, const std::string& settled) const {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || ::time(nullptr) - info.st_mtim.tv_sec < kSettleSeconds) return;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (::fdatasync(fd) == 0) ::rename(path.c_str(), settled.c_str());
  ::close(fd);
}

Status PackedFolder::make_room(uint64_t bytes) const {
  if (bytes > bytes_max_) {
    return make_error("{} of packed weights are more than the {} that {} may take", human_bytes(bytes),
                      human_bytes(bytes_max_), folder_);
  }
  std::vector<CacheFile> files = cache_files(folder_);
  uint64_t used = 0;
  for (const CacheFile& file : files) used += bytes_of(file);
  for (; !files.empty(); files.pop_back()) {
    const CacheFile& oldest = files.back();
    if (!oldest.is_abandoned() && (used + bytes <= bytes_max_ || !oldest.is_packed())) continue;
    if (::unlink(oldest.path.c_str()) == 0) used -= bytes_of(oldest);
  }
  struct statvfs disk {};
  if (::statvfs(folder_.c_str(), &disk) != 0) return make_error("{}: {}", folder_, std::strerror(errno));
  const uint64_t available = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (available >= kDiskReserve && available - kDiskReserve >= bytes) return {};
  return make_error("{}: {} are free, too little to keep {} of packed weights", folder_, human_bytes(available),
                    human_bytes(bytes));
}

std::vector<PackedCacheEntry> PackedFolder::entries() const {
  std::vector<PackedCacheEntry> out;
  for (const CacheFile& file : cache_files(folder_)) {
    if (!file.is_packed()) continue;
    const auto info = read_packed_file_info(file.path);
    out.push_back({file.path, info.ok() ? info->source : "", bytes_of(file), file.info.st_atim.tv_sec});
  }
  return out;
}

uint64_t PackedFolder::clear() const {
  uint64_t freed = 0;
  for (const CacheFile& file : cache_files(folder_)) {
    if (::unlink(file.path.c_str()) == 0) freed += bytes_of(file);
  }
  return freed;
}

Result<std::vector<PackedCacheEntry>> list_packed_cache(const PackedCacheOptions& options) {
  if (!is_folder(packed_cache_folder(options))) return std::vector<PackedCacheEntry>();
  TRY_ASSIGN(const PackedFolder folder, PackedFolder::open(options));
  return folder.entries();
}

Result<uint64_t> clear_packed_cache(const PackedCacheOptions& options) {
  if (!is_folder(packed_cache_folder(options))) return uint64_t{0};
  TRY_ASSIGN(const PackedFolder folder, PackedFolder::open(options));
  return folder.clear();
}

}  // namespace andiron
