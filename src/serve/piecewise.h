// Answers in pieces, for what should not lie in memory as long as its client is slow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/http.h"

namespace andiron {

struct PieceSource {
  uint64_t bytes = 0;  // of all pieces together
  // The next one, at most as much as is missing. An Error, or nothing: the answer is cut there.
  std::function<Result<std::string>()> next;
  // Calls a task, now or later, on a thread on which next() may be called; where it never does, the answer is cut. It
  // is called on the network's thread.
  std::function<void(std::function<void()> task)> run;
};

// 200, with all pieces, each taken from the source when the client has taken the one before. The first of them on this
// thread. The source goes with the last piece, or when the client has gone.
void send_pieces(const std::shared_ptr<HttpReply>& reply, std::string_view content_type, HttpFields headers,
                 PieceSource source);

}  // namespace andiron
