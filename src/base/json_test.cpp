#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/strings.h"

namespace andiron {
namespace {

// The value written out again on one line, or the error.
std::string round_trip(std::string_view text) {
  const auto value = parse_json(text, "toy");
  return value.ok() ? value->dump() : value.error().message;
}

TEST(Json, ReadsEveryKindOfValue) {
  const std::pair<const char*, const char*> cases[] = {
      {"null", "null"},
      {" true ", "true"},
      {"false\n", "false"},
      {"0", "0"},
      {"-0", "0"},
      {"-12", "-12"},
      {"9223372036854775807", "9223372036854775807"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"9223372036854775808", "9.223372036854776e+18"},
      {"0.1", "0.1"},
      {"1e2", "100.0"},
      {"-1.5E-3", "-0.0015"},
      {"[]", "[]"},
      {"[ 1 , [2] ]", "[1, [2]]"},
      {"{}", "{}"},
      {R"({"b": 1, "a": {"c": []}})", R"({"b": 1, "a": {"c": []}})"},
      {R"("")", R"("")"},
      {R"("\"\\\/\b\f\n\r\t")", R"("\"\\/\u0008\u000c\n\r\t")"},
      {R"("\u0041\u00e9\u20AC\ud83d\ude00")", "\"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"\"\x7f\"", R"("\u007f")"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(round_trip(text), expected) << text;
}

TEST(Json, RefusesWhatRfc8259DoesNotAllow) {
  const std::string_view cases[] = {
      "",
      " ",
      "nul",
      "True",
      "nan",
      "Infinity",
      "-",
      "+1",
      "01",
      "-01",
      "1.",
      ".5",
      "1e",
      "1e+",
      "0x1",
      "1 2",
      "[",
      "]",
      "[1",
      "[1,",
      "[1,]",
      "[,1]",
      "[1 2]",
      "{",
      "{\"a\"",
      "{\"a\":",
      "{\"a\":1",
      "{\"a\":1,",
      "{\"a\":1,}",
      "{a:1}",
      "{1:2}",
      "{\"a\" 1}",
      "\"",
      "\"a",
      "\"\\",
      "\"\\x\"",
      "\"\\u12\"",
      "\"\\u12g4\"",
      "'a'",
      "\"a\nb\"",
      "\"\t\"",
      "[1]x",
      "/**/1",
      "1//",
      "\xef\xbb\xbf"
      "1",
      "\"\\u-123\"",
      "\"\\ud800\"",
      "\"\\udc00\"",
      "\"\\ud800\\u0041\"",  // lone surrogates
      "\"\xff\"",
      "\"\xc0\xaf\"",
      "\"\xed\xa0\x80\"",
      "\"\xf4\x90\x80\x80\"",  // not UTF-8
      "1e400",
      "-1e400",
  };
  for (const auto text : cases) {
    const auto value = parse_json(text, "toy");
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_TRUE(value.error().message.starts_with("toy: not valid JSON: ")) << value.error().message;
  }
  EXPECT_FALSE(parse_json(std::string_view("1\0", 2), "toy").ok());
}

TEST(Json, RefusesTheSameNameTwice) {
  EXPECT_NE(round_trip(R"({"a": 1, "b": 2, "a": 3})").find("\"a\" appears twice"), std::string::npos);
  EXPECT_NE(round_trip(R"({"a": 1, "\u0061": 3})").find("appears twice"), std::string::npos) << "however it is spelt";
}

TEST(Json, LimitsDepthAndCount) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_TRUE(parse_json(nested(65), "toy").ok());
  EXPECT_FALSE(parse_json(nested(66), "toy").ok());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '['), "toy").ok()) << "and the stack is not asked for";
  EXPECT_TRUE(parse_json("[1,2,3]", "toy", {.depth = 1, .values = 4}).ok());
  EXPECT_FALSE(parse_json("[1,2,3]", "toy", {.depth = 1, .values = 3}).ok());
}

TEST(Json, ErrorsSayWhere) {
  const auto value = parse_json("{\n \"a\": 1,\n \"b\" 2}", "config.json");
  ASSERT_FALSE(value.ok());
  EXPECT_EQ(value.error().message,
            "config.json: not valid JSON: ':' is expected after a member name (line 3, byte 16)");
}

TEST(Json, WhatIsWrittenIsReadBackTheSame) {
  Json object = Json::object();
  object.set("numbers", Json::array().push(0.1).push(1e300).push(int64_t{-5}).push(5e-324));
  object.set("text", "line\n\"quoted\" \x01 \xe2\x82\xac").set("none", Json()).set("yes", true);
  for (const int indent : {0, 2}) {
    const auto again = parse_json(object.dump(indent), "toy");
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again->dump(), object.dump());
  }
  EXPECT_EQ(object.find("numbers")->items()[1].as_double(), 1e300);
  EXPECT_EQ(object.find("absent"), nullptr);
  EXPECT_EQ(Json(1).find("a"), nullptr);
}

TEST(Json, UnsignedNumbersNeverTurnNegative) {
  EXPECT_EQ(Json(uint64_t{9223372036854775807u}).dump(), "9223372036854775807");
  EXPECT_EQ(Json(uint64_t{9223372036854775808u}).dump(), "9.223372036854776e+18");
  EXPECT_EQ(Json(std::numeric_limits<uint64_t>::max()).dump(), "1.8446744073709552e+19");
}

TEST(Json, WritesIndented) {
  Json object = Json::object();
  object.set("a", Json::array().push(1).push(Json::object())).set("b", Json::array());
  EXPECT_EQ(object.dump(2), "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Json, WritesOnlyWhatIsJson) {
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(-std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json("a\xff"
                 "b\xe2\x82")
                .dump(),
            "\"a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(json_quote("\x1b[31m"), "\"\\u001b[31m\"");
}

TEST(Json, GivesMembersAndValuesOrWhatStandsInForThem) {
  Json object =
      parse_json(R"({"yes": true, "half": 0.5, "two": 2, "text": "a", "list": [1, 2], "in": {"text": "b"}})", "toy")
          .value();
  EXPECT_EQ(object.member("in").member("text").text_or("none"), "b");
  EXPECT_TRUE(object.member("missing").member("text").is_null());
  EXPECT_TRUE(object.member("text").member("text").is_null()) << "a text has no members";
  EXPECT_TRUE(object.member("yes").bool_or(false));
  EXPECT_TRUE(object.member("text").bool_or(true));
  EXPECT_EQ(object.member("half").number_or(7), 0.5);
  EXPECT_EQ(object.member("two").number_or(7), 2);
  EXPECT_EQ(object.member("text").number_or(7), 7);
  EXPECT_EQ(object.member("two").text_or("none"), "none");
  EXPECT_EQ(object.member("list").items_or_none().size(), 2U);
  EXPECT_TRUE(object.member("text").items_or_none().empty());
  *object.find("two") = Json("changed");
  EXPECT_EQ(object.member("two").text_or("none"), "changed");
}

TEST(Json, CopiesAreDeep) {
  Json original = Json::object();
  original.set("list", Json::array().push(1));
  Json copy = original;
  copy.members()[0].second.push(2);
  EXPECT_EQ(original.dump(), R"({"list": [1]})");
  EXPECT_EQ(copy.dump(), R"({"list": [1, 2]})");
  copy = copy.members()[0].second.items()[0];
  EXPECT_EQ(copy.dump(), "1") << "a part of itself may be assigned to a value";
}

}  // namespace
}  // namespace andiron
