// What each request under /api/store/ does. Internal to chat_routes.cpp, whose header says what they are; each of these
// waits for the disk.
#pragma once

#include <cstddef>
#include <deque>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "http/http.h"
#include "serve/api_error.h"
#include "store/store.h"

namespace andiron {

struct ChatAnswer {
  std::string body;  // or `pieces`
  int status = 200;
  std::string_view content_type = "application/json";
  HttpFields headers = {};
  std::optional<Store::Removal> removal = {};  // of which no body tells yet: others are to forget it first
  std::deque<std::string> pieces = {};         // of a body; the status is 200 then
};
using ChatResult = ApiResult<ChatAnswer>;

ChatResult list_chats(Store& store, const HttpRequest& request);
ChatResult create_chat(Store& store, const HttpRequest& request);
ChatResult read_chat(Store& store, const HttpRequest& request);
ChatResult change_chat(Store& store, const HttpRequest& request);
ChatResult remove_chat(Store& store, const HttpRequest& request);
ChatResult add_chat_message(Store& store, const HttpRequest& request);
ChatResult remove_chat_message(Store& store, const HttpRequest& request);
ChatResult put_thumb(Store& store, const HttpRequest& request);
ChatResult search_chats(Store& store, const HttpRequest& request);
ChatResult read_settings(Store& store, const HttpRequest& request);
ChatResult put_one_setting(Store& store, const HttpRequest& request);
ChatResult remove_one_setting(Store& store, const HttpRequest& request);
ChatResult export_chats(Store& store, const HttpRequest& request);
ChatResult import_chats(Store& store, const HttpRequest& request);

// An export is made in memory, as the store must not be read at the pace of a slow client. What is larger is asked for
// a few conversations at a time.
inline constexpr size_t kExportBytes = size_t{256} << 20;
// It is never there twice, as one text that grows would be: it is made of pieces of so many bytes, or of one line that
// is longer, each of which goes when its client has taken it.
inline constexpr size_t kExportPieceBytes = size_t{1} << 20;
// No more than these at a time, each from its request until its last byte has been taken.
inline constexpr size_t kExportsAtOnce = 2;

// What is answered of a removal once all have forgotten it.
Json removal_json(const Store::Removal& removal);

// What two files of these share.

// The whole answer.
ChatAnswer chat_answer(const Json& body, int status = 200);
// What the store could not do with a request that has been looked at: 507 where the disk is full, 404 and 409 where
// what it names has gone or come since, else 500.
ApiError store_failed(const Error& error);
// A 400 about the whole request.
ApiError bad_record(const Error& error, std::string param = "");
// Of a request that only the store can judge: `refusal`, unless it was the machine that failed.
ApiError store_refused(const Error& error, ApiError refusal);
// The first parameter of the query that is not one of these is refused.
std::optional<ApiError> check_query(const HttpRequest& request, std::initializer_list<std::string_view> known);
// A whole number of the query; `value` where there is none.
std::optional<ApiError> read_query(const HttpRequest& request, std::string_view name, int64_t min, int64_t max,
                                   int64_t& value);

}  // namespace andiron
