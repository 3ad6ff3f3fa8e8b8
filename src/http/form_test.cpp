#include "http/form.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/strings.h"

namespace andiron {
namespace {

// The parts on a line each, or the status and message of the refusal.
std::string read(std::string_view body, std::string_view boundary = "x", const Limits& limits = {}) {
  auto parts = parse_form(body, boundary, limits);
  if (const auto* fault = std::get_if<HttpFault>(&parts)) return format("{} {}", fault->status, fault->message);
  std::string out;
  for (const FormPart& part : std::get<std::vector<FormPart>>(parts)) {
    out += format("{}={}{}{}\n", part.name, andiron::in_quotes(part.value),
                  part.is_file ? format(" file \"{}\"", part.file_name) : "",
                  part.content_type.empty() ? "" : " " + part.content_type);
  }
  return out;
}

std::string part(std::string_view head, std::string_view value) {
  return format("--x\r\n{}\r\n\r\n{}\r\n", head, value);
}
std::string form(std::string_view head, std::string_view value = "v") { return part(head, value) + "--x--\r\n"; }
std::string disposition(std::string_view parameters) {
  return format("Content-Disposition: form-data; {}", parameters);
}

TEST(Form, BoundariesOfContentTypes) {
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(form_boundary("Multipart/Form-Data ;charset=utf-8;Boundary=\"a b:c\" "), "a b:c");
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=----formdata-undici-042"), "----formdata-undici-042");
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=" + std::string(70, 'b')), std::string(70, 'b'));
  for (const char* none :
       {"", "multipart/form-data", "multipart/form-data;", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"a", "multipart/form-data; boundary=a b",
        "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a; boundary=a",
        "multipart/form-data; boundary=a@b", "multipart/form-data; boundary=\"a\\\"b\"",
        "multipart/form-data boundary=a", "multipart/mixed; boundary=a", "application/json; boundary=a",
        "application/x-www-form-urlencoded", "text/plain, multipart/form-data; boundary=a"}) {
    EXPECT_EQ(form_boundary(none), std::nullopt) << none;
  }
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=" + std::string(71, 'b')), std::nullopt);
}

TEST(Form, PartsInOrder) {
  EXPECT_EQ(read("--x--"), "");
  EXPECT_EQ(read("--x--\r\n"), "");
  // As Node's fetch, curl and .NET write them.
  EXPECT_EQ(
      read(part(disposition("name=\"purpose\""), "fine-tune") +
           form(disposition("name=\"file\"; filename=\"a.jsonl\"") + "\r\nContent-Type: application/json", "{}\n")),
      "purpose=fine-tune\nfile={}\\x0a file \"a.jsonl\" application/json\n");
  EXPECT_EQ(read(form("content-disposition:form-data;name=file;filename=a.txt;filename*=utf-8''a.txt")),
            "file=v file \"a.txt\"\n");
  EXPECT_EQ(read(form("CONTENT-LENGTH: 1\r\n" + disposition("name=\"a\"") + "\r\nContent-Transfer-Encoding: binary")),
            "a=v\n");
  EXPECT_EQ(read(form(disposition("name=a"), "")), "a=\n");
  EXPECT_EQ(read(form(disposition("name=a"), "\r\n--\r\n-x--\r\n\r\n")),
            "a=\\x0d\\x0a--\\x0d\\x0a-x--\\x0d\\x0a\\x0d\\x0a\n");
  EXPECT_EQ(read(form(disposition("name=a; filename=\"\""))), "a=v file \"\"\n");
}

TEST(Form, NamesInQuotationMarks) {
  EXPECT_EQ(read(form(disposition("name=\"a%22b\\\"c\""))), "a\"b\"c=v\n");
  EXPECT_EQ(read(form(disposition("name=\"f\"; filename=\"C:\\notes\\ä;=.txt\""))),
            "f=v file \"C:\\notes\\ä;=.txt\"\n");
}

TEST(Form, AnythingElseIsRefused) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "begin with its boundary"},
      {"x", "begin with its boundary"},
      {"\r\n" + form(disposition("name=a")), "begin with its boundary"},
      {"preamble\r\n" + form(disposition("name=a")), "begin with its boundary"},
      {"--x", "followed by something else"},
      {"--x-", "followed by something else"},
      {"--x \r\n" + form(disposition("name=a")).substr(5), "followed by something else"},
      {"--x\n" + form(disposition("name=a")).substr(5), "followed by something else"},
      {"--xy\r\n" + form(disposition("name=a")).substr(5), "followed by something else"},
      {"--x--\r\n\r\n", "behind the form's end"},
      {"--x--epilogue", "behind the form's end"},
      {form(disposition("name=a")) + "--x--\r\n", "behind the form's end"},
      {"--x\r\n", "no end"},
      {"--x\r\n\r\nv\r\n--x--", "no content-disposition"},
      {"--x\r\n" + disposition("name=a"), "no end"},
      {part(disposition("name=a"), "v"), "no end"},
      {part(disposition("name=a"), "v") + "-", "no end"},
      {"--x\r\n" + disposition("name=a") + "\r\n\r\nv--x--", "no end"},
      {form(disposition("name=a"), "1\r\n--xy\r\n2"), "followed by something else"},
      {form("Content-Type: text/plain"), "no content-disposition"},
      {form("Content-Disposition: attachment; name=a"), "no form-data"},
      {form("Content-Disposition: form-data"), "must have one name"},
      {form(disposition("name=\"\"")), "must have one name"},
      {form(disposition("name=a; name=b")), "must have one name"},
      {form(disposition("name=a; Name=a")), "must have one name"},
      {form(disposition("name=a; filename=b; filename=c")), "two filenames"},
      {form(disposition("name=\"a")), "no form-data"},
      {form(disposition("name=a b")), "no form-data"},
      {form(disposition("name=a\"")), "no form-data"},
      {form(disposition("name=\"a\"b")), "no form-data"},
      {form(disposition("name")), "no form-data"},
      {form(disposition("name=a\tb")), "characters that none may have"},
      {form(disposition("name=\"\xff\"")), "characters that none may have"},
      {form(disposition("name=a") + "\r\n" + disposition("name=b")), "two content-dispositions"},
      {form(disposition("name=a") + "\r\nContent-Type: a\r\nContent-Type: a"), "two content-types"},
      {form(disposition("name=a") + "\r\nContent-Transfer-Encoding: base64"), "\"base64\" is not taken"},
      {form(disposition("name=a;\r\n filename=b")), "no form-data"},
      {form(disposition("name=a") + "\r\n filename=b"), "header has no name"},
      {form("Content-Disposition : form-data; name=a"), "header has no name"},
      {form(": form-data; name=a"), "header has no name"},
      {form("nonsense"), "header has no name"},
      {form(disposition("name=a") + "\r\nX: a\nContent-Type: b"), "characters that none may have"}};
  for (const auto& [body, says] : cases) {
    const std::string said = read(body);
    EXPECT_TRUE(said.starts_with("400 ")) << in_quotes(body) << ": " << said;
    EXPECT_NE(said.find(says), std::string::npos) << in_quotes(body) << ": " << said;
  }
}

TEST(Form, EveryCutIsRefused) {
  const std::string whole = part(disposition("name=a"), "1\r\n2") + form(disposition("name=b; filename=c"), "--x");
  ASSERT_EQ(read(whole), "a=1\\x0d\\x0a2\nb=--x file \"c\"\n");
  for (size_t size = 0; size < whole.size() - 2; ++size) {  // but for the last line end, which may be missing
    if (whole.substr(0, size).ends_with("--x--")) continue;
    EXPECT_TRUE(read(whole.substr(0, size)).starts_with("400 ")) << size;
  }
}

TEST(Form, HasLimits) {
  Limits limits;
  limits.set(Limit::kFormParts, 2);
  const std::string one = part(disposition("name=a"), "v");
  EXPECT_EQ(read(one + one + "--x--", "x", limits), "a=v\na=v\n");
  EXPECT_EQ(read(one + one + one + "--x--", "x", limits), "400 the form has more than 2 parts");
  limits.set(Limit::kFormHeadBytes, 60);
  const std::string head = disposition("name=" + std::string(60 - 4 - 37, 'n'));
  EXPECT_TRUE(read(form(head), "x", limits).starts_with("n"));
  EXPECT_EQ(read(form(head + "n"), "x", limits), "400 the headers of part 1 of the form have more than 60 bytes");
}

}  // namespace
}  // namespace andiron
