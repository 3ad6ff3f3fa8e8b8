// For tests only: requests as text, and what an API makes of them.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string_view>

#include "serve/api_ask.h"
#include "serve/api_error.h"

namespace andiron {

inline Json json(std::string_view text) {
  auto parsed = parse_json(text, "test");
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : Json();
}

// What an API makes of a request: nothing, or its refusal.
using Parse = std::function<std::optional<ApiError>(const Json&)>;

template <typename Parser>
Parse parser(Parser parse) {
  return [parse](const Json& body) -> std::optional<ApiError> {
    auto ask = parse(body);
    if (ask.ok()) return std::nullopt;
    return ask.error();
  };
}
inline const ApiDefaults kDefaults;

}  // namespace andiron
