#include "serve/chat_routes.h"

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "http/errors.h"
#include "serve/chat_requests.h"
#include "serve/piecewise.h"
#include "serve/workers.h"

namespace andiron {

namespace {

using Handle = ChatResult (*)(Store& store, const HttpRequest& request);

struct Row {
  std::string_view method, pattern;
  Handle handle;
  BodyKind body = BodyKind::kNone;
};

constexpr Row kRows[] = {
    {"GET", "/api/store/conversations", list_chats},
    {"POST", "/api/store/conversations", create_chat, BodyKind::kText},
    {"GET", "/api/store/conversations/{id}", read_chat},
    {"PATCH", "/api/store/conversations/{id}", change_chat, BodyKind::kText},
    {"DELETE", "/api/store/conversations/{id}", remove_chat},
    // A content of 4 MiB, which may take six times as much in JSON.
    {"POST", "/api/store/conversations/{id}/messages", add_chat_message, BodyKind::kImage},
    {"DELETE", "/api/store/messages/{id}", remove_chat_message},
    {"PUT", "/api/store/messages/{id}/thumb", put_thumb, BodyKind::kText},
    {"GET", "/api/store/search", search_chats},
    {"GET", "/api/store/settings", read_settings},
    {"PUT", "/api/store/settings/{name}", put_one_setting, BodyKind::kText},
    {"DELETE", "/api/store/settings/{name}", remove_one_setting},
    {"GET", "/api/store/export", export_chats},
    {"POST", "/api/store/import", import_chats, BodyKind::kImage},
};

HttpFault busy() {
  HttpFault fault{503, "the store has more to do than it can wait for; ask again in a moment", "", "store_busy"};
  fault.headers = {{"retry-after", "1"}};
  return fault;
}

HttpFault too_many_exports() {
  HttpFault fault{429,
                  format("{} exports are being taken already; ask again when one of them has come", kExportsAtOnce), "",
                  "too_many_exports"};
  fault.headers = {{"retry-after", "5"}};
  return fault;
}

// Each is taken as long as somebody holds what it points to. On the network's thread alone.
using ExportPlaces = std::array<std::weak_ptr<void>, kExportsAtOnce>;

// A free one, or null.
std::shared_ptr<void> take_place(ExportPlaces& places) {
  for (std::weak_ptr<void>& place : places) {
    if (!place.expired()) continue;
    std::shared_ptr<void> taken = std::make_shared<char>();
    place = taken;
    return taken;
  }
  return nullptr;
}

// On the network's thread: they are all there.
PieceSource source_of(std::deque<std::string> pieces) {
  PieceSource source;
  for (const std::string& piece : pieces) source.bytes += piece.size();
  source.next = [left = std::make_shared<std::deque<std::string>>(std::move(pieces))]() -> Result<std::string> {
    if (left->empty()) return make_error("there is no further piece");
    std::string piece = std::move(left->front());
    left->pop_front();
    return piece;
  };
  source.run = [](const std::function<void()>& task) { task(); };
  return source;
}

// Where `forget` or the store cannot, the store remembers that it is owed. Removals come one after another.
bool have_forgotten(Store& store, const Forget& forget, std::span<const std::string> runs) {
  return forget(runs) && store.forgotten().ok();
}

void answer(Store& store, Handle handle, const Forget& forget, const HttpRequest& request,
            const std::shared_ptr<HttpReply>& reply) {
  ChatResult result = handle(store, request);
  if (!result.ok()) return send_error(*reply, ErrorShape::kOpenAi, result.error());
  if (result->removal) {
    Store::Removal& removal = *result->removal;
    if (forget && !have_forgotten(store, forget, removal.runs)) removal.traces_gone = false;
    result->body = removal_json(removal).dump();
  }
  if (result->pieces.empty()) {
    return reply->send(result->status, result->content_type, std::move(result->body), std::move(result->headers));
  }
  send_pieces(reply, result->content_type, std::move(result->headers), source_of(std::move(result->pieces)));
}

}  // namespace

void finish_forgetting(Store& store, const Forget& forget) {
  const auto owes = store.owes_forgetting();
  if (owes.ok() && *owes) have_forgotten(store, forget, {});
}

std::vector<Route> chat_routes(Store& store, const Forget& forget) {
  auto thread = std::make_shared<Workers>(1, kStoreRequestsWaiting);
  std::vector<Route> routes;
  for (const Row& row : kRows) {
    Route route;
    route.method = row.method;
    route.pattern = row.pattern;
    route.body = row.body;
    std::shared_ptr<ExportPlaces> places;
    if (row.handle == export_chats) places = std::make_shared<ExportPlaces>();
    route.handler = [&store, thread, places, forget, handle = row.handle](HttpRequest request,
                                                                          const std::shared_ptr<HttpReply>& reply) {
      const std::shared_ptr<void> place = places ? take_place(*places) : nullptr;
      if (places && !place) return send_error(*reply, ErrorShape::kOpenAi, too_many_exports());
      if (place) reply->keep(place);
      // The task holds nothing of the thread: it would be the one that waits for its own end.
      const bool taken = thread->post([&store, handle, forget, place, request = std::move(request), reply] {
        if (request.method == "GET" && reply->is_over()) return;
        answer(store, handle, forget, request, reply);
      });
      if (!taken) send_error(*reply, ErrorShape::kOpenAi, busy());
    };
    routes.push_back(std::move(route));
  }
  return routes;
}

}  // namespace andiron
