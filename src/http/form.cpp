#include "http/form.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"
#include "http/head.h"

namespace andiron {

namespace {

constexpr size_t kBoundaryMax = 70;

bool has_controls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// "value; name=token; name=\"quoted\"": the value, and the parameters with their names in lower case.
struct Parameters {
  std::string value;
  std::vector<std::pair<std::string, std::string>> list;

  // None where there is none of this name, or more than one.
  std::optional<std::string> only(std::string_view name) const {
    std::optional<std::string> found;
    for (const auto& [key, text] : list) {
      if (key != name) continue;
      if (found) return std::nullopt;
      found = text;
    }
    return found;
  }
  bool has(std::string_view name) const {
    return std::any_of(list.begin(), list.end(), [&](const auto& one) { return one.first == name; });
  }
};

// A quoted text at the front of `rest`, which is left behind it. Only a quotation mark is escaped by a backslash: paths
// of Windows come as they are. False where it has no end.
bool take_quoted(std::string_view& rest, std::string& out) {
  for (size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return true;
    }
    if (rest[i] == '\\' && i + 1 < rest.size() && rest[i + 1] == '"') ++i;
    out += rest[i];
  }
  return false;
}

std::optional<Parameters> parse_parameters(std::string_view text) {
  Parameters out;
  const size_t first = std::min(text.find(';'), text.size());
  out.value = lowered(without_blanks(text.substr(0, first)));
  std::string_view rest = text.substr(first);
  while (!rest.empty()) {
    if (rest.front() != ';') return std::nullopt;
    rest = without_blanks(rest.substr(1));
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos || !is_token(rest.substr(0, equals))) return std::nullopt;
    auto& [name, value] = out.list.emplace_back(lowered(rest.substr(0, equals)), "");
    rest.remove_prefix(equals + 1);
    if (rest.starts_with('"')) {
      if (!take_quoted(rest, value)) return std::nullopt;
    } else {
      const size_t end = std::min(rest.find(';'), rest.size());
      value = without_blanks(rest.substr(0, end));
      if (value.empty() || value.find_first_of("\" \t") != std::string::npos) return std::nullopt;
      rest.remove_prefix(end);
    }
    rest = without_blanks(rest);
  }
  return out;
}

// WHATWG HTML, "multipart/form-data encoding algorithm": a quotation mark in a name is written so.
std::string decoded_name(std::string text) {
  for (size_t at = 0; (at = text.find("%22", at)) != std::string::npos; ++at) text.replace(at, 3, "\"");
  return text;
}

class FormReader {
 public:
  FormReader(std::string_view body, std::string_view boundary, const Limits& limits)
      : rest_(body), delimiter_("\r\n--"), limits_(limits) {
    delimiter_ += boundary;
  }

  std::variant<std::vector<FormPart>, HttpFault> read() {
    // The first delimiter has no line in front of it.
    if (!rest_.starts_with(std::string_view(delimiter_).substr(2))) {
      return HttpFault{400, "the form does not begin with its boundary"};
    }
    rest_.remove_prefix(delimiter_.size() - 2);
    while (true) {
      if (rest_ == "--" || rest_ == "--\r\n") return std::move(parts_);
      if (!rest_.starts_with("\r\n")) {
        return fault(rest_.starts_with("--") ? "there is something behind the form's end"
                                             : "a boundary is followed by something else than a line end");
      }
      rest_.remove_prefix(2);
      if (auto wrong = read_part()) return std::move(*wrong);
    }
  }

 private:
  HttpFault fault(std::string_view what) const {
    return {400, format("part {} of the form: {}", parts_.size() + 1, what)};
  }

  std::optional<HttpFault> read_part() {
    if (parts_.size() >= limits_.bytes(Limit::kFormParts)) {
      return beyond(Limit::kFormParts, format("the form has more than {} parts", limits_[Limit::kFormParts]));
    }
    FormPart part;
    if (auto wrong = read_head(part)) return wrong;
    const size_t end = rest_.find(delimiter_);
    if (end == std::string_view::npos) return fault("it has no end");
    part.value = rest_.substr(0, end);
    rest_.remove_prefix(end + delimiter_.size());
    parts_.push_back(std::move(part));
    return std::nullopt;
  }

  std::optional<HttpFault> read_head(FormPart& part) {
    const size_t most = static_cast<size_t>(limits_.bytes(Limit::kFormHeadBytes));
    const std::string_view window = rest_.substr(0, most);
    bool named = false, typed = false;
    for (size_t at = 0;;) {
      const size_t end = window.find("\r\n", at);
      if (end == std::string_view::npos) {
        if (rest_.size() <= most) return fault("its headers have no end");
        return beyond(Limit::kFormHeadBytes,
                      format("the headers of part {} of the form have more than {} bytes", parts_.size() + 1, most));
      }
      const std::string_view line = window.substr(at, end - at);
      at = end + 2;
      if (line.empty()) {
        rest_.remove_prefix(at);
        if (named) return std::nullopt;
        return fault("it has no content-disposition");
      }
      if (auto wrong = read_header(line, part, named, typed)) return wrong;
    }
  }

  std::optional<HttpFault> read_header(std::string_view line, FormPart& part, bool& named, bool& typed) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return fault("a header has no name");
    const std::string name = lowered(line.substr(0, colon));
    const std::string_view value = without_blanks(line.substr(colon + 1));
    if (has_controls(value) || !is_valid_utf8(value)) return fault("a header has characters that none may have");
    if (name == "content-disposition") {
      if (std::exchange(named, true)) return fault("it has two content-dispositions");
      return read_disposition(value, part);
    }
    if (name == "content-type") {
      if (std::exchange(typed, true)) return fault("it has two content-types");
      part.content_type = value;
    }
    if (name == "content-transfer-encoding") {
      const std::string coding = lowered(value);
      if (coding != "7bit" && coding != "8bit" && coding != "binary") {
        return fault(format("the content-transfer-encoding \"{}\" is not taken; send it as it is", in_quotes(value)));
      }
    }
    return std::nullopt;
  }

  std::optional<HttpFault> read_disposition(std::string_view value, FormPart& part) const {
    const auto parameters = parse_parameters(value);
    if (!parameters || parameters->value != "form-data") return fault("its content-disposition is no form-data");
    const auto name = parameters->only("name");
    if (!name || name->empty()) return fault("its content-disposition must have one name");
    part.name = decoded_name(*name);
    part.is_file = parameters->has("filename") || parameters->has("filename*");
    if (!parameters->has("filename")) return std::nullopt;
    const auto file_name = parameters->only("filename");
    if (!file_name) return fault("its content-disposition has two filenames");
    part.file_name = decoded_name(*file_name);
    return std::nullopt;
  }

  std::string_view rest_;
  std::string delimiter_;
  const Limits& limits_;
  std::vector<FormPart> parts_;
};

}  // namespace

std::optional<std::string> form_boundary(std::string_view content_type) {
  const auto parameters = parse_parameters(content_type);
  if (!parameters || parameters->value != "multipart/form-data") return std::nullopt;
  auto boundary = parameters->only("boundary");
  if (!boundary || boundary->empty() || boundary->size() > kBoundaryMax || boundary->back() == ' ') return std::nullopt;
  const bool allowed = std::all_of(boundary->begin(), boundary->end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
  });
  if (!allowed) return std::nullopt;
  return boundary;
}

std::variant<std::vector<FormPart>, HttpFault> parse_form(std::string_view body, std::string_view boundary,
                                                          const Limits& limits) {
  return FormReader(body, boundary, limits).read();
}

}  // namespace andiron
