// What it costs a server that memory runs out. Asio asks aligned_alloc for what its operations need, and this program
// has one of its own that refuses when it is told to.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

#include "http/raw_client.h"

namespace {
// So many more succeed, then one fails, then all succeed again; below 0: none fails.
std::atomic<int64_t> g_left{-1};
}  // namespace

extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  if (g_left >= 0 && g_left-- == 0) return nullptr;
  void* memory = nullptr;
  return ::posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

namespace andiron {
namespace {

// Each allocation from a client's coming to its answer fails in turn, the one for the next client among them.
TEST(HttpMemory, OthersAreStillLetIn) {
  bool has_failed = true;
  int64_t left = 0;
  for (; has_failed; ++left) {
    ASSERT_LT(left, 100);
    SCOPED_TRACE(left);
    std::atomic<bool> asked{false};
    const Route route{"GET", "/ask", [&asked](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                        reply->send(200, "text/plain", "yes");
                        asked = true;
                      }};
    const TestServer server({route});
    const std::string ask = format("GET /ask HTTP/1.1\r\n{}\r\n", server.host());
    ASSERT_EQ(status_in(server.ask(ask)), 200);
    asked = false;
    g_left = left;
    RawClient unlucky = server.connect();
    unlucky.send(ask);
    EXPECT_TRUE(comes_true([&] { return asked || g_left < 0; }));
    has_failed = g_left.exchange(-1) < 0;
    EXPECT_EQ(status_in(server.ask(ask)), 200);
  }
  EXPECT_GT(left, 3) << "the client's own operations and the next client's at least";
}

}  // namespace
}  // namespace andiron
