#include "http/security.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/atomic_file.h"
#include "base/test_environment.h"
#include "base/test_folder.h"

namespace andiron {
namespace {

const LocalAddress kHere{"127.0.0.1", 8080};

RequestHead head_with(HttpFields fields) {
  RequestHead head;
  head.method = "GET";
  head.headers = std::move(fields);
  return head;
}

int status(const std::optional<HttpFault>& fault) { return fault ? fault->status : 200; }

int host_status(const std::string& host, const SecurityPolicy& policy = {}, const LocalAddress& local = kHere) {
  return status(check_sender(head_with({{"host", host}}), policy, local));
}

int origin_status(const std::string& origin, const std::string& host, const SecurityPolicy& policy = {}) {
  return status(check_sender(head_with({{"host", host}, {"origin", origin}}), policy, kHere));
}

TEST(Security, OnlyItsOwnNamesReachIt) {
  for (const char* own : {"localhost:8080", "LocalHost:8080", "127.0.0.1:8080", "[::1]:8080"}) {
    EXPECT_EQ(host_status(own), 200) << own;
    EXPECT_EQ(host_status(own, {}, {"::1", 8080}), 200) << own;
  }
  for (const char* other : {"evil.example",
                            "evil.example:8080",
                            "localhost",
                            "localhost:80",
                            "localhost:8081",
                            "localhost.:8080",
                            "localhost:8080.evil.example",
                            "localhost.evil.example:8080",
                            "127.0.0.1.nip.io:8080",
                            "127.0.0.2:8080",
                            "0.0.0.0:8080",
                            "[::]:8080",
                            "::1:8080",
                            "[::1]8080",
                            "[::1",
                            "[::1]:",
                            "localhost:",
                            "localhost:08080",
                            "localhost:8080 ",
                            "user@localhost:8080",
                            "localhost:8080/",
                            "192.168.1.7:8080",
                            "2130706433:8080",
                            "127.1:8080",
                            "[::ffff:127.0.0.1]:8080",
                            "",
                            ":8080",
                            "localhost,evil.example:8080"}) {
    EXPECT_EQ(host_status(other), 403) << other;
  }
  EXPECT_EQ(host_status("localhost", {}, {"127.0.0.1", 80}), 200);
}

TEST(Security, AnAddressOfTheNetworkIsItsOwnName) {
  EXPECT_EQ(host_status("192.168.1.7:8080", {}, {"192.168.1.7", 8080}), 200);
  EXPECT_EQ(host_status("[fd00::7]:8080", {}, {"fd00::7", 8080}), 200);
  EXPECT_EQ(host_status("localhost:8080", {}, {"192.168.1.7", 8080}), 403);
  EXPECT_EQ(host_status("evil.example:8080", {}, {"192.168.1.7", 8080}), 403);
}

TEST(Security, NamesThatAProxyHasMaySpeakOnAnyPort) {
  const SecurityPolicy policy{"", {"ai.example"}};
  EXPECT_EQ(host_status("ai.example", policy), 200);
  EXPECT_EQ(host_status("AI.example:443", policy), 200);
  EXPECT_EQ(host_status("x.ai.example", policy), 403);
  EXPECT_EQ(origin_status("https://ai.example", "ai.example", policy), 200);
  EXPECT_EQ(origin_status("http://ai.example", "ai.example", policy), 200);
  EXPECT_EQ(origin_status("https://ai.example:444", "ai.example", policy), 403);
  EXPECT_EQ(origin_status("https://other.example", "ai.example", policy), 403);
  EXPECT_EQ(origin_status("https://localhost:8080", "localhost:8080", policy), 403) << "no TLS is spoken there";
}

TEST(Security, OnlyItsOwnPageMayAsk) {
  EXPECT_EQ(origin_status("http://localhost:8080", "localhost:8080"), 200);
  EXPECT_EQ(origin_status("http://[::1]:8080", "[::1]:8080"), 200);
  for (const char* other :
       {"null", "", "http://evil.example", "https://localhost:8080", "http://localhost", "http://localhost:3000",
        "http://127.0.0.1:8080", "http://localhost:8080.evil.example", "http://localhost:8080/", "file://",
        "http://localhost:8080, http://evil.example", "*", "chrome-extension://abcdef", "HTTP://localhost:8081"}) {
    EXPECT_EQ(origin_status(other, "localhost:8080"), 403) << other;
  }
}

TEST(Security, OtherSitesMayOnlyLinkToThePage) {
  Route page, api;
  page.page = true;
  const auto status_of = [](const std::string& site, const std::string& mode, const Route* route) {
    return status(check_site(head_with({{"sec-fetch-site", site}, {"sec-fetch-mode", mode}}), route));
  };
  for (const char* own : {"same-origin", "none"}) {
    EXPECT_EQ(status_of(own, "cors", &api), 200);
    EXPECT_EQ(status_of(own, "cors", nullptr), 200);
  }
  for (const char* other : {"cross-site", "same-site", "anything"}) {
    EXPECT_EQ(status_of(other, "navigate", &page), 200);
    EXPECT_EQ(status_of(other, "no-cors", &page), 403);
    EXPECT_EQ(status_of(other, "navigate", &api), 403);
    EXPECT_EQ(status_of(other, "navigate", nullptr), 403);
  }
  EXPECT_EQ(status(check_site(head_with({}), &api)), 200) << "not a browser";
}

TEST(Security, TheKeyIsAskedForEverywhereButOnThePage) {
  const SecurityPolicy policy{"0123456789abcdef", {}};
  const Route api;
  const auto with = [&](HttpFields fields, const Route* route) {
    return status(check_key(head_with(std::move(fields)), policy, route));
  };
  EXPECT_EQ(with({{"authorization", "Bearer 0123456789abcdef"}}, &api), 200);
  EXPECT_EQ(with({{"authorization", "bearer 0123456789abcdef"}}, &api), 200);
  EXPECT_EQ(with({{"x-api-key", "0123456789abcdef"}}, &api), 200);
  for (const char* wrong : {"", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "x",
                            "0123456789abcdef0123456789abcdef", "Bearer 0123456789abcdef"}) {
    EXPECT_EQ(with({{"x-api-key", wrong}}, &api), 401) << wrong;
    EXPECT_EQ(with({{"authorization", std::string("Bearer ") + wrong}}, &api), 401) << wrong;
  }
  EXPECT_EQ(with({{"authorization", "Basic 0123456789abcdef"}}, &api), 401);
  EXPECT_EQ(with({{"authorization", "0123456789abcdef"}}, &api), 401);
  EXPECT_EQ(with({}, &api), 401);
  EXPECT_EQ(with({}, nullptr), 401) << "what there is, is nobody's business";
  Route page, open;
  page.page = open.open = true;
  EXPECT_EQ(with({}, &page), 200);
  EXPECT_EQ(with({}, &open), 200);
  EXPECT_EQ(status(check_key(head_with({{"x-api-key", "any"}}), {}, &api)), 200) << "clients send one in any case";
}

TEST(Security, BodiesAreJsonAndSaySo) {
  Route route;
  route.method = "POST";
  route.pattern = "/x";
  route.body = BodyKind::kText;
  const auto with = [&](HttpFields fields, bool has_body) {
    RequestHead head = head_with(std::move(fields));
    head.has_body = has_body;
    return status(check_content(head, route));
  };
  for (const char* json :
       {"application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"}) {
    EXPECT_EQ(with({{"content-type", json}}, true), 200) << json;
  }
  for (const char* other : {"", "text/plain", "text/plain;application/json", "application/x-www-form-urlencoded",
                            "multipart/form-data; boundary=x", "application/jsonx", "application/json2", "text/json",
                            "application/json,text/plain"}) {
    EXPECT_EQ(with({{"content-type", other}}, true), 415) << other;
  }
  EXPECT_EQ(with({}, true), 415);
  EXPECT_EQ(with({}, false), 200);
  EXPECT_EQ(with({{"content-type", "text/plain"}}, false), 415);
  EXPECT_EQ(with({{"content-type", "application/json"}, {"content-encoding", "gzip"}}, true), 415);
  route.body = BodyKind::kNone;
  EXPECT_EQ(with({{"content-type", "application/json"}}, true), 400);
  EXPECT_EQ(with({{"content-type", "text/plain"}}, false), 200);
}

TEST(Security, OtherMachinesOnlyWithAKey) {
  for (const char* here : {"localhost", "127.0.0.1", "127.8.9.10", "::1"}) {
    EXPECT_TRUE(check_may_listen(here, {}).ok()) << here;
  }
  for (const char* other : {"0.0.0.0", "::", "192.168.1.7", "fd00::7", "127.0.0.1.evil.example", "127.1", "",
                            "127.0.0.0x1", "::ffff:127.0.0.1", "example.com"}) {
    const Status refused = check_may_listen(other, {});
    ASSERT_FALSE(refused.ok()) << other;
    EXPECT_NE(refused.error().message.find("--api-key-file"), std::string::npos) << "says how to set one";
    EXPECT_TRUE(check_may_listen(other, {"0123456789abcdef", {}}).ok()) << other;
  }
}

TEST(Security, KeysAreReadFromPrivateFiles) {
  const TestFolder folder;
  const auto key_in = [&](const std::string& text, mode_t mode = 0600) {
    const std::string path = folder.write("key", text);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return read_api_key(path);
  };
  const auto key = key_in("0123456789abcdef\n");
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(*key, "0123456789abcdef");
  for (const char* bad :
       {"", "short", "0123456789 abcdef", "0123456789abcdef\n0123456789abcdef", "0123456789abcd\xc3\xa9"}) {
    EXPECT_FALSE(key_in(bad).ok()) << bad;
  }
  EXPECT_FALSE(key_in(std::string(513, 'a')).ok());
  const auto seen = key_in("0123456789abcdef", 0640);
  ASSERT_FALSE(seen.ok());
  EXPECT_EQ(seen.error().message.find("0123456789abcdef"), std::string::npos) << "no message has the key in it";
  EXPECT_FALSE(read_api_key(folder.file("none")).ok());
  // A credential of systemd's lies in a folder that only this process sees.
  const ScopedEnvironment environment({"CREDENTIALS_DIRECTORY"});
  ASSERT_EQ(setenv("CREDENTIALS_DIRECTORY", parent_of(folder.file("key")).c_str(), 1), 0);
  EXPECT_TRUE(key_in("0123456789abcdef", 0440).ok());
  EXPECT_FALSE(key_in("0123456789abcdef", 0444).ok());
}

TEST(Security, KeysAreComparedWhole) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  for (const char* other : {"", "a", "ab", "abd", "Abc", "abcabc", "abca"}) {
    EXPECT_FALSE(equal_in_constant_time(other, "abc")) << other;
  }
  EXPECT_FALSE(equal_in_constant_time("abc", ""));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

}  // namespace
}  // namespace andiron
