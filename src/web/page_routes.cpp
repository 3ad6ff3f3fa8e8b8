#include "web/page_routes.h"

#include <string>

namespace andiron {

namespace {

// Only what comes from here runs, shows or is asked; nothing that stands in the page itself does, and no text becomes
// markup but through the one policy of the page's sanitiser. Pictures may also stand in the chat (data:).
constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types dompurify; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

constexpr std::string_view kNoPage =
    "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>andiron</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width\"><h1>andiron</h1>\n"
    "<p>The server runs, and programs can use it. This build has no page: npm was not there, or could not get its "
    "packages, when it was built. Install npm and build again with <code>-DANDIRON_WEB=ON</code>.</p></html>\n";

constexpr PageFile kNoPageFile = {"/", "text/html; charset=utf-8", kNoPage};

HttpFields headers_of(const PageFile& file) {
  if (file.path == "/") return {{"content-security-policy", std::string(kPagePolicy)}, {"cache-control", "no-cache"}};
  if (file.path.starts_with("/assets/")) return {{"cache-control", "public, max-age=31536000, immutable"}};
  return {{"cache-control", "no-cache"}};
}

Route route_of(const PageFile& file) {
  Route route;
  route.method = "GET";
  route.pattern = file.path;
  route.page = true;
  route.handler = [file](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    reply->send(200, file.content_type, std::string(file.bytes), headers_of(file));
  };
  return route;
}

}  // namespace

std::vector<Route> page_routes(std::span<const PageFile> files) {
  std::vector<Route> routes;
  for (const PageFile& file : files) routes.push_back(route_of(file));
  if (files.empty()) routes.push_back(route_of(kNoPageFile));
  return routes;
}

}  // namespace andiron
