#include "serve/piecewise.h"

#include <utility>

namespace andiron {

namespace {

// It lives in what it waits for: the client, or a thread. Where nobody has it any more the reply goes without an end,
// which cuts the answer.
class PieceSender : public std::enable_shared_from_this<PieceSender> {
 public:
  PieceSender(std::shared_ptr<HttpReply> reply, PieceSource source)
      : reply_(std::move(reply)), source_(std::move(source)), left_(source_.bytes) {}

  void send_next() {
    if (left_ != 0) {
      auto piece = source_.next();
      if (!piece.ok() || piece->empty() || piece->size() > left_) return;
      left_ -= piece->size();
      reply_->write(std::move(*piece));
    }
    if (left_ == 0) return reply_->end();
    reply_->on_taken([self = shared_from_this()] { self->source_.run([self] { self->send_next(); }); });
  }

 private:
  std::shared_ptr<HttpReply> reply_;
  PieceSource source_;
  uint64_t left_;
};

}  // namespace

void send_pieces(const std::shared_ptr<HttpReply>& reply, std::string_view content_type, HttpFields headers,
                 PieceSource source) {
  const uint64_t bytes = source.bytes;
  const auto sender = std::make_shared<PieceSender>(reply, std::move(source));
  reply->begin_body(content_type, bytes, std::move(headers));
  sender->send_next();
}

}  // namespace andiron
