// The page: what is served at / and the files that it loads, built into the program.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "http/http.h"

namespace andiron {

// A file of the page. All views last as long as the program.
struct PageFile {
  std::string_view path;  // "/assets/index-3f9a.js"; the page itself is "/"
  std::string_view content_type;
  std::string_view bytes;
};

// Those that were built in: none in a program that was built without its page.
std::span<const PageFile> page_files();

// Files under /assets/ have the hash of their content in their names and may be kept for ever; the rest is asked for
// each time. Without files, / says how to get them.
std::vector<Route> page_routes(std::span<const PageFile> files = page_files());

}  // namespace andiron
