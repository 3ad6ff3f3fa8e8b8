#include "http/errors.h"

#include <algorithm>

#include "base/json.h"

namespace andiron {

namespace {

// Both APIs call these by the same names; what differs stands where each is made.
std::string_view error_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default: return "";
  }
}

std::string_view openai_type(int status) {
  if (const auto type = error_type(status); !type.empty()) return type;
  if (status == 409) return "conflict_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

std::string_view anthropic_type(int status) {
  if (const auto type = error_type(status); !type.empty()) return type;
  if (status == 413) return "request_too_large";
  if (status == 503) return "overloaded_error";
  return status >= 500 ? "api_error" : "invalid_request_error";
}

}  // namespace

HttpFault beyond(Limit limit, std::string message) {
  HttpFault fault{limit_row(limit).status, std::move(message)};
  fault.code = limit_row(limit).name;
  fault.limit = limit;
  if (fault.status == 429 || fault.status == 503) fault.headers = {{"retry-after", "1"}};
  return fault;
}

std::string error_body(ErrorShape shape, const HttpFault& fault) {
  Json body = Json::object();
  Json inner = Json::object();
  switch (shape) {
    case ErrorShape::kOpenAi:
      inner.set("message", fault.message);
      inner.set("type", openai_type(fault.status));
      inner.set("param", text_or_null(fault.param));
      inner.set("code", text_or_null(fault.code));
      body.set("error", std::move(inner));
      break;
    case ErrorShape::kAnthropic:
      inner.set("type", anthropic_type(fault.status));
      inner.set("message", fault.message);
      body.set("type", "error");
      body.set("error", std::move(inner));
      break;
    case ErrorShape::kOllama: body.set("error", fault.message); break;
  }
  return body.dump();
}

void send_error(HttpReply& reply, ErrorShape shape, const HttpFault& fault) {
  reply.send(fault.status, "application/json", error_body(shape, fault), fault.headers);
}

std::string error_event(ErrorShape shape, std::string_view content_type, const HttpFault& fault) {
  const std::string body = error_body(shape, fault);
  if (!content_type.starts_with("text/event-stream")) return body + "\n";
  return sse_event(shape == ErrorShape::kAnthropic ? "error" : "", body);
}

std::string sse_event(std::string_view name, std::string_view data) {
  std::string out;
  if (!name.empty()) out.append("event: ").append(name).append("\n");
  for (size_t at = 0; at <= data.size();) {
    const size_t end = std::min(data.find_first_of("\r\n", at), data.size());
    out.append("data: ").append(data.substr(at, end - at)).append("\n");
    at = data.substr(end).starts_with("\r\n") ? end + 2 : end + 1;
  }
  return out.append("\n");
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "";
  }
}

}  // namespace andiron
