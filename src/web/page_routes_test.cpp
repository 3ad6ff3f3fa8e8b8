#include "web/page_routes.h"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

#include "http/raw_client.h"
#include "http/security_matrix.h"

namespace andiron {
namespace {

constexpr std::array<PageFile, 3> kFiles = {
    PageFile{"/", "text/html; charset=utf-8", "<!doctype html><title>page</title>"},
    PageFile{"/assets/index-0a1b.js", "text/javascript; charset=utf-8", std::string_view("a\0b", 3)},
    PageFile{"/icon.svg", "image/svg+xml", "<svg/>"}};

std::string get(const TestServer& server, std::string_view path) {
  return server.ask(format("GET {} HTTP/1.1\r\nHost: HERE\r\n\r\n", path));
}

bool has(const std::string& answer, std::string_view text) { return answer.find(text) != std::string::npos; }

TEST(PageRoutes, FilesAreServedAsTheyAre) {
  const TestServer server(page_routes(kFiles));
  for (const PageFile& file : kFiles) {
    const std::string answer = get(server, file.path);
    EXPECT_EQ(status_in(answer), 200) << file.path;
    EXPECT_TRUE(has(answer, format("content-type: {}\r\n", file.content_type))) << answer;
    EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), file.bytes);
  }
  EXPECT_EQ(status_in(get(server, "/assets/other.js")), 404);
  EXPECT_EQ(status_in(get(server, "/assets/../icon.svg")), 404) << "paths are names, not places";
}

TEST(PageRoutes, WhatBearsItsHashIsKeptAndTheRestAskedForAgain) {
  const TestServer server(page_routes(kFiles));
  EXPECT_TRUE(has(get(server, "/assets/index-0a1b.js"), "cache-control: public, max-age=31536000, immutable\r\n"));
  EXPECT_TRUE(has(get(server, "/"), "cache-control: no-cache\r\n"));
  EXPECT_TRUE(has(get(server, "/icon.svg"), "cache-control: no-cache\r\n"));
}

TEST(PageRoutes, ThePageMayLoadFromHereAloneAndRunNothingOfItsText) {
  const TestServer server(page_routes(kFiles));
  const std::string answer = get(server, "/");
  const size_t at = answer.find("content-security-policy: ");
  ASSERT_NE(at, std::string::npos);
  const std::string policy = answer.substr(at, answer.find("\r\n", at) - at);
  EXPECT_TRUE(has(policy, "default-src 'none'; script-src 'self'; style-src 'self'; "));
  EXPECT_TRUE(has(policy, "connect-src 'self'; "));
  EXPECT_TRUE(has(policy, "require-trusted-types-for 'script'; "));
  for (const char* never : {"unsafe", "http:", "https:", "*", "'nonce", "'sha"}) EXPECT_FALSE(has(policy, never));
}

TEST(PageRoutes, EveryRouteIsHeldToEveryRule) {
  for (const std::string key : {"", "0123456789abcdef0123456789abcdef"}) {
    ServerOptions options;
    options.security.api_key = key;
    const TestServer server(page_routes(kFiles), std::move(options));
    SecurityMatrix matrix(server, server.server().router(), key);
    EXPECT_GE(matrix.run([](const Route&, int status) { return status == 200; }),
              static_cast<int>(kFiles.size()) * SecurityMatrix::kCellsOfRoute);
  }
}

TEST(PageRoutes, WithoutFilesThePageSaysSo) {
  const TestServer server(page_routes(std::span<const PageFile>()));
  const std::string answer = get(server, "/");
  EXPECT_EQ(status_in(answer), 200);
  EXPECT_TRUE(has(answer, "content-type: text/html; charset=utf-8\r\n"));
  EXPECT_TRUE(has(answer, "This build has no page"));
}

TEST(PageRoutes, ThePageOfThisProgramLoadsOnlyWhatIsServed) {
  const auto files = page_files();
  if (files.empty())
    GTEST_SKIP()
        << "built without its page: for a sanitizer, or npm was missing or could not fetch what it is made with";
  std::set<std::string_view> paths;
  std::string_view page;
  for (const PageFile& file : files) {
    EXPECT_TRUE(paths.insert(file.path).second) << file.path;
    EXPECT_TRUE(file.path == "/" || file.path == "/icon.svg" || file.path.starts_with("/assets/")) << file.path;
    EXPECT_FALSE(file.bytes.empty()) << file.path;
    if (file.path == "/") page = file.bytes;
  }
  size_t loaded = 0;
  for (const std::string_view attribute : {"src=\"", "href=\""}) {
    for (size_t at = page.find(attribute); at != std::string_view::npos; at = page.find(attribute, at + 1)) {
      const std::string_view rest = page.substr(at + attribute.size());
      const std::string_view path = rest.substr(0, rest.find('"'));
      EXPECT_EQ(paths.count(path), 1U) << path;
      ++loaded;
    }
  }
  EXPECT_GE(loaded, 2U) << "a script and a style at least";
  EXPECT_EQ(page.find("<style"), std::string_view::npos);
  EXPECT_EQ(page.find("onload="), std::string_view::npos);
}

}  // namespace
}  // namespace andiron
