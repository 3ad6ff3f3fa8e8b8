#include <boost/asio/post.hpp>

#include "http/connection.h"

namespace andiron {

namespace {

// Everything goes to the network's thread, in the order in which it was called.
class Reply final : public HttpReply {
 public:
  Reply(std::shared_ptr<ServerDoor> door, std::weak_ptr<Connection> connection, uint64_t number,
        std::shared_ptr<const RequestShare> share)
      : door_(std::move(door)), connection_(std::move(connection)), number_(number), share_(std::move(share)) {}

  ~Reply() override {
    try {
      post([number = number_](Connection& connection) { connection.abandon(number); });
    } catch (const std::bad_alloc&) {
      // The client gives up by itself.
    }
  }

  void send(int status, std::string_view content_type, std::string body, HttpFields headers) override {
    post([number = number_, status, type = std::string(content_type), body = std::move(body),
          headers = std::move(headers)](Connection& connection) mutable {
      connection.send(number, status, type, body, std::move(headers));
    });
  }
  void begin_stream(std::string_view content_type) override {
    post([number = number_, type = std::string(content_type)](Connection& connection) {
      connection.begin_stream(number, type);
    });
  }
  void begin_body(std::string_view content_type, uint64_t bytes, HttpFields headers) override {
    post([number = number_, type = std::string(content_type), bytes, headers = std::move(headers)](
             Connection& connection) mutable { connection.begin_body(number, type, bytes, std::move(headers)); });
  }
  void write(std::string piece) override {
    post([number = number_, piece = std::move(piece)](Connection& connection) { connection.write(number, piece); });
  }
  void end() override {
    post([number = number_](Connection& connection) { connection.end(number); });
  }
  void on_taken(std::function<void()> callback) override {
    post([number = number_, callback = std::move(callback)](Connection& connection) mutable {
      connection.on_taken(number, std::move(callback));
    });
  }
  void on_gone(std::function<void()> callback) override {
    const std::lock_guard lock(door_->mutex);
    if (door_->core == nullptr) return;
    boost::asio::post(door_->core->io,
                      [connection = connection_, number = number_, callback = std::move(callback)]() mutable {
                        if (const auto alive = connection.lock()) {
                          alive->on_gone(number, std::move(callback));
                        } else {
                          callback();
                        }
                      });
  }
  bool is_over() const override { return share_->over; }
  void keep(std::shared_ptr<void> thing) override {
    post([number = number_, thing = std::move(thing)](Connection& connection) mutable {
      connection.keep(number, std::move(thing));
    });
  }

 private:
  template <typename Call>
  void post(Call call) {
    const std::lock_guard lock(door_->mutex);
    if (door_->core == nullptr) return;
    boost::asio::post(door_->core->io, [connection = connection_, call = std::move(call)]() mutable {
      if (const auto alive = connection.lock()) call(*alive);
    });
  }

  std::shared_ptr<ServerDoor> door_;
  std::weak_ptr<Connection> connection_;
  uint64_t number_;
  std::shared_ptr<const RequestShare> share_;
};

}  // namespace

std::shared_ptr<HttpReply> make_reply(std::shared_ptr<ServerDoor> door, std::weak_ptr<Connection> connection,
                                      uint64_t number, std::shared_ptr<const RequestShare> share) {
  return std::make_shared<Reply>(std::move(door), std::move(connection), number, std::move(share));
}

}  // namespace andiron
