#include "http/security.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "http/form.h"
#include "http/head.h"

namespace andiron {

namespace {

struct HostAndPort {
  std::string host;  // in lower case; of an IPv6 address in its brackets
  std::string port;  // "": none
};

// "name", "name:port", "[::1]:port".
std::optional<HostAndPort> split_host(std::string_view text) {
  HostAndPort out;
  size_t end = text.find(':');
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    end = close + 1 == text.size() ? std::string_view::npos : close + 1;
  }
  out.host = lowered(text.substr(0, end));
  if (end == std::string_view::npos) return out;
  if (text[end] != ':') return std::nullopt;
  out.port = text.substr(end + 1);
  const bool digits = std::all_of(out.port.begin(), out.port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (out.port.empty() || out.port.size() > 5 || !digits) return std::nullopt;
  return out;
}

std::string in_brackets(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

bool is_own_name(const std::string& host, const SecurityPolicy& policy) {
  return std::any_of(policy.own_names.begin(), policy.own_names.end(),
                     [&](const std::string& name) { return lowered(name) == host; });
}

bool is_own_host(const HostAndPort& host, const SecurityPolicy& policy, const LocalAddress& local) {
  if (is_own_name(host.host, policy)) return true;
  const std::string port = host.port.empty() ? "80" : host.port;
  if (port != std::to_string(local.port)) return false;
  if (is_loopback(local.text)) return host.host == "localhost" || host.host == "127.0.0.1" || host.host == "[::1]";
  return host.host == in_brackets(local.text);
}

// The page's origin is where the browser found it: the request's own Host.
bool is_own_origin(std::string_view origin, std::string_view host, const SecurityPolicy& policy) {
  if (lowered(origin) == "http://" + lowered(host)) return true;
  const std::string text = lowered(origin);
  if (!text.starts_with("https://")) return false;
  // A proxy speaks TLS for a name that it was given.
  const auto split = split_host(std::string_view(text).substr(8));
  return split && is_own_name(split->host, policy) && text.substr(8) == lowered(host);
}

std::string_view presented_key(const RequestHead& head) {
  const std::string_view bearer = head.header("authorization");
  if (lowered(bearer.substr(0, 7)) == "bearer ") return bearer.substr(7);
  return head.header("x-api-key");
}

bool is_json(std::string_view content_type) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  std::string name = lowered(type);
  while (name.ends_with(' ') || name.ends_with('\t')) name.pop_back();
  return name == "application/json";
}

}  // namespace

std::optional<HttpFault> check_sender(const RequestHead& head, const SecurityPolicy& policy,
                                      const LocalAddress& local) {
  const std::string_view name = head.header("host");
  const auto host = split_host(name);
  if (!host || !is_own_host(*host, policy, local)) {
    return HttpFault{
        403,
        format("the Host header names \"{}\", which is not this server; where it is behind a proxy, start it "
               "with --own-name NAME",
               in_quotes(name)),
        "", "wrong_host"};
  }
  const std::string_view origin = head.header("origin");
  const bool has_origin =
      std::any_of(head.headers.begin(), head.headers.end(), [](const auto& field) { return field.first == "origin"; });
  if (has_origin && !is_own_origin(origin, name, policy)) {
    return HttpFault{403, format("requests from the site \"{}\" are not answered", in_quotes(origin)), "",
                     "wrong_origin"};
  }
  return std::nullopt;
}

std::optional<HttpFault> check_site(const RequestHead& head, const Route* route) {
  const std::string_view site = head.header("sec-fetch-site");
  if (site.empty() || site == "same-origin" || site == "none") return std::nullopt;
  if (route != nullptr && route->page && head.header("sec-fetch-mode") == "navigate") return std::nullopt;
  return HttpFault{403, "requests from other sites are not answered", "", "wrong_origin"};
}

std::optional<HttpFault> check_key(const RequestHead& head, const SecurityPolicy& policy, const Route* route) {
  if (policy.api_key.empty() || (route != nullptr && (route->page || route->open))) return std::nullopt;
  if (equal_in_constant_time(presented_key(head), policy.api_key)) return std::nullopt;
  return HttpFault{401,
                   "this server wants its API key: Authorization: Bearer KEY, or x-api-key: KEY",
                   "",
                   "invalid_api_key",
                   {{"www-authenticate", "Bearer"}}};
}

std::optional<HttpFault> check_content(const RequestHead& head, const Route& route) {
  if (route.body == BodyKind::kNone) {
    if (!head.has_body) return std::nullopt;
    return HttpFault{400, format("{} {} takes no body", route.method, route.pattern)};
  }
  const std::string_view type = head.header("content-type");
  const std::string_view coding = head.header("content-encoding");
  if (!coding.empty() && lowered(coding) != "identity") {
    return HttpFault{415,
                     format("a body in the content-encoding \"{}\" is not taken; send it as it is", in_quotes(coding))};
  }
  if (is_json(type) || (type.empty() && !head.has_body)) return std::nullopt;
  if (route.body == BodyKind::kForm) {
    if (form_boundary(type)) return std::nullopt;
    return HttpFault{415, format("the body must be a form and say so: content-type: multipart/form-data; boundary=..., "
                                 "or JSON: application/json, not \"{}\"",
                                 in_quotes(type))};
  }
  return HttpFault{
      415, format("the body must be JSON and say so: content-type: application/json, not \"{}\"", in_quotes(type))};
}

bool is_loopback(std::string_view address) {
  if (address == "localhost" || address == "::1") return true;
  // All of 127.0.0.0/8, in its four numbers; other spellings of it are strangers.
  return address.starts_with("127.") && std::count(address.begin(), address.end(), '.') == 3 &&
         address.find_first_not_of("0123456789.") == std::string_view::npos;
}

Status check_may_listen(const std::string& address, const SecurityPolicy& policy) {
  if (!policy.api_key.empty() || is_loopback(address)) return {};
  return make_error(
      "other machines could reach {}, and without an API key anyone there could use this server: write a key of your "
      "own into a file that only you can read (umask 077; openssl rand -hex 32 > FILE) and start with --api-key-file "
      "FILE, or listen at 127.0.0.1",
      in_quotes(address));
}

namespace {

// What systemd hands over (systemd.exec(5), "Credentials"): in a folder for this process alone, where the right of a
// user of its own to read a file may look like its group's.
bool is_credential(std::string_view path) {
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  return folder != nullptr && folder[0] == '/' && path.starts_with(std::string(folder) + "/") &&
         path.find("/..") == std::string_view::npos;
}

}  // namespace

Result<std::string> read_api_key(const std::string& path) {
  TRY_ASSIGN(std::string text, read_text_file(path, 4096));
  struct stat facts {};
  const mode_t others = is_credential(path) ? 007 : 077;
  if (::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & others) != 0) {
    return make_error("{}: others can read this API key; chmod 600 it, and change it if they may have",
                      in_quotes(path));
  }
  const std::string key(trimmed(text));
  const bool visible = std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (key.size() < 16 || key.size() > 512 || !visible) {
    return make_error("{}: an API key is one line of 16 to 512 visible characters, without spaces", in_quotes(path));
  }
  return key;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  // The loop depends on b, the key, alone: a wrong length takes as long as a right one.
  volatile size_t different = a.size() ^ b.size();
  for (size_t i = 0; i < b.size(); ++i) {
    const char other = a.empty() ? '\0' : a[i % a.size()];
    different = different | static_cast<size_t>(static_cast<uint8_t>(other ^ b[i]));
  }
  return different == 0;
}

const HttpFields& usual_headers() {
  static const HttpFields fields = {
      {"content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
      {"x-content-type-options", "nosniff"},
      {"x-frame-options", "DENY"},
      {"referrer-policy", "no-referrer"},
      {"cross-origin-resource-policy", "same-origin"},
      {"cross-origin-opener-policy", "same-origin"},
      {"cache-control", "no-store"}};
  return fields;
}

}  // namespace andiron
