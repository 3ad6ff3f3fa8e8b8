// Errors as the clients of each API expect them, and the events of a stream.
#pragma once

#include <string>
#include <string_view>

#include "http/http.h"

namespace andiron {

// The answer to what goes beyond a limit; the status is the table's.
HttpFault beyond(Limit limit, std::string message);

// JSON.
std::string error_body(ErrorShape shape, const HttpFault& fault);
void send_error(HttpReply& reply, ErrorShape shape, const HttpFault& fault);

// One event of a stream of `content_type` ("text/event-stream", or lines of JSON) that tells of a failure.
std::string error_event(ErrorShape shape, std::string_view content_type, const HttpFault& fault);

// A server-sent event (WHATWG HTML, 9.2): "event: NAME" unless it is "", and `data`, line by line.
std::string sse_event(std::string_view name, std::string_view data);

// A member of an answer: null where there is nothing to say.
inline Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

// "Not Found"; "" for a status that is not used here.
std::string_view reason_phrase(int status);

}  // namespace andiron
