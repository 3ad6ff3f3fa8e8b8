// andiron cache: packed weights kept on disk.
#include <cstdio>
#include <ctime>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

std::string date(int64_t unix_seconds) {
  const std::time_t time = unix_seconds;
  std::tm local{};
  char text[32] = "";
  if (localtime_r(&time, &local) != nullptr) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &local);
  return text;
}

int print_list(const std::string& folder, const std::vector<PackedCacheEntry>& entries) {
  uint64_t total = 0;
  for (const PackedCacheEntry& entry : entries) {
    total += entry.bytes;
    std::fprintf(stdout, "%10s  %s  %s\n", human_bytes(entry.bytes).c_str(), date(entry.last_used).c_str(),
                 entry.source.empty() ? "(unreadable)" : printable(entry.source).c_str());
  }
  std::fprintf(stdout, "%s, %s, in %s\n", counted(std::ssize(entries), "packed model").c_str(),
               human_bytes(total).c_str(), printable(folder).c_str());
  return 0;
}

Json list_json(const std::string& folder, const std::vector<PackedCacheEntry>& entries) {
  Json list = Json::array();
  for (const PackedCacheEntry& entry : entries) {
    Json one = Json::object();
    one.set("path", entry.path);
    one.set("source", entry.source);
    one.set("bytes", entry.bytes);
    one.set("last_used", entry.last_used);
    list.push(std::move(one));
  }
  Json json = Json::object();
  json.set("folder", folder);
  json.set("entries", std::move(list));
  return json;
}

}  // namespace

Result<int> cache_command(const GlobalOptions& global, const CacheOptions& options) {
  const PackedCacheOptions cache = cache_options(global);
  const std::string folder = packed_cache_folder(cache);
  if (!packed_cache_is_on(cache)) {
    return make_error("the cache is off (--no-cache, or ANDIRON_CACHE_DIR is empty or \"off\")");
  }
  if (folder.empty()) {
    return make_error("there is no folder for the cache; expected ANDIRON_CACHE_DIR, XDG_CACHE_HOME or HOME to be set");
  }
  if (options.clear) {
    TRY_ASSIGN(const uint64_t freed, clear_packed_cache(cache));
    if (options.json) {
      print_json(Json(Json::Object{{"freed_bytes", Json(freed)}}));
    } else {
      std::fprintf(stdout, "%s freed\n", human_bytes(freed).c_str());
    }
    return 0;
  }
  TRY_ASSIGN(const auto entries, list_packed_cache(cache));
  if (!options.json) return print_list(folder, entries);
  print_json(list_json(folder, entries));
  return 0;
}

}  // namespace andiron
