// A connection's bytes, cut at places that the input chooses: heads and bodies, one after another, through everything
// that looks at them before a handler does. However they are cut, the same requests come out.
#include <cstdlib>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/strings.h"
#include "http/body.h"
#include "http/errors.h"
#include "http/form.h"
#include "http/head.h"
#include "http/router.h"
#include "http/security.h"

namespace {

using namespace andiron;

[[noreturn]] void wrong() { std::abort(); }

const Router& router() {
  static const Router all([] {
    std::vector<Route> routes;
    routes.push_back({"GET", "/", {}});
    routes.back().page = true;
    routes.push_back({"GET", "/assets/{file*}", {}});
    routes.push_back({"GET", "/v1/models/{id}", {}});
    routes.push_back({"POST", "/v1/messages", {}, ErrorShape::kAnthropic, BodyKind::kText});
    routes.push_back({"POST", "/v1/files", {}, ErrorShape::kOpenAi, BodyKind::kForm});
    routes.push_back({"POST", "/api/chat", {}, ErrorShape::kOllama, BodyKind::kImage});
    return routes;
  }());
  return all;
}

Limits small_limits() {
  Limits limits;
  limits.set(Limit::kHeadBytes, 2048);
  limits.set(Limit::kTextBodyBytes, 4096);
  limits.set(Limit::kFormParts, 8);
  limits.set(Limit::kFormHeadBytes, 512);
  return limits;
}

// What holds for every head that is let through.
void check_head(const RequestHead& head) {
  if (head.chunked && head.content_length != 0) wrong();
  if (head.header("host").empty() || !is_valid_utf8(head.path) || head.segments.empty()) wrong();
  for (const auto& [name, value] : head.headers) {
    if (!is_token(name) || value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) wrong();
  }
}

// What holds for every form that is read: it can be written so that the same is read again.
std::string read_form(const std::string& body, const std::string& boundary, const Limits& limits) {
  auto read = parse_form(body, boundary, limits);
  if (const auto* fault = std::get_if<HttpFault>(&read)) {
    if (reason_phrase(fault->status).empty() || !is_valid_utf8(fault->message)) wrong();
    return format("{}\n", fault->message);
  }
  std::string said, again;
  const auto& parts = std::get<std::vector<FormPart>>(read);
  for (const FormPart& part : parts) {
    if (part.name.empty() || part.value.find(format("\r\n--{}", boundary)) != std::string::npos) wrong();
    for (const std::string* text : {&part.name, &part.file_name, &part.content_type}) {
      if (!is_valid_utf8(*text) || text->find_first_of("\r\n") != std::string::npos) wrong();
    }
    again += format("--{}\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n{}\r\n", boundary, part.value);
    said += format("{} {}\n", part.name, part.value.size());
  }
  again += format("--{}--\r\n", boundary);
  auto second = parse_form(again, boundary, limits);
  const auto* same = std::get_if<std::vector<FormPart>>(&second);
  if (same == nullptr || same->size() != parts.size()) wrong();
  for (size_t i = 0; i < parts.size(); ++i) {
    if ((*same)[i].value != parts[i].value) wrong();
  }
  return said;
}

// A line for each request, and for the refusal that ended the connection.
std::string read_all(std::string_view bytes, size_t step) {
  static const Limits limits = small_limits();
  static const SecurityPolicy policy{"a key of some length", {"ai.example"}};
  std::string said, in;
  size_t scanned = 0;
  const auto refused = [&](const HttpFault& fault) {
    if (reason_phrase(fault.status).empty()) wrong();
    for (const auto shape : {ErrorShape::kOpenAi, ErrorShape::kAnthropic, ErrorShape::kOllama}) {
      if (!parse_json(error_body(shape, fault), "error").ok()) wrong();
    }
    said += format("refused {} {}\n", fault.status, fault.message);
    return said;
  };
  std::optional<BodyReader> body;
  std::optional<std::string> boundary;
  for (size_t at = 0; at < bytes.size() || !in.empty();) {
    const size_t before = in.size();
    in += bytes.substr(at, step);
    at = std::min(at + step, bytes.size());
    if (!body) {
      auto end = find_head_end(in, scanned, limits);
      if (const auto* fault = std::get_if<HttpFault>(&end)) return refused(*fault);
      const auto size = std::get<std::optional<size_t>>(end);
      if (!size) {
        scanned = in.size();
        if (at == bytes.size() && in.size() == before) return said + "more";
        continue;
      }
      auto parsed = parse_head(std::string_view(in).substr(0, *size), limits);
      if (const auto* fault = std::get_if<HttpFault>(&parsed)) return refused(*fault);
      const auto& head = std::get<RequestHead>(parsed);
      check_head(head);
      for (const auto& fault : {check_sender(head, policy, {"127.0.0.1", 80}), check_site(head, nullptr),
                                check_key(head, policy, nullptr)}) {
        if (fault) said += format("{} ", fault->status);
      }
      const RouteMatch match = router().find(head.method, head.segments);
      if (match.route != nullptr && check_content(head, *match.route)) said += "content ";
      said += format("{} {} {}\n", head.method, head.path, match.route == nullptr ? "none" : match.route->pattern);
      const bool is_form = match.route != nullptr && match.route->body == BodyKind::kForm;
      boundary = is_form ? form_boundary(head.header("content-type")) : std::nullopt;
      body.emplace(head, Limit::kTextBodyBytes, limits);
      in.erase(0, *size);
      scanned = 0;
    }
    auto taken = body->read(in);
    if (const auto* fault = std::get_if<HttpFault>(&taken)) return refused(*fault);
    if (std::get<size_t>(taken) > in.size()) wrong();
    in.erase(0, std::get<size_t>(taken));
    if (body->done()) {
      const std::string text = body->take();
      if (text.size() > limits.bytes(Limit::kTextBodyBytes)) wrong();
      if (boundary) said += read_form(text, *boundary, limits);
      const auto json = parse_json(text, "body", {static_cast<int>(limits[Limit::kJsonDepth]), 1000});
      said += format("body {} {}\n", text.size(), json.ok());
      body.reset();
    } else if (!in.empty()) {
      wrong();  // a body that is not whole takes all there is
    }
  }
  return said;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read_all(bytes, bytes.size() + 1);
  if (read_all(bytes, data[0] + 1U) != whole || read_all(bytes, 1) != whole) wrong();
  return 0;
}
