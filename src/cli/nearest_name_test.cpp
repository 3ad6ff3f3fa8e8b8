#include "cli/nearest_name.h"

#include <gtest/gtest.h>

#include <vector>

namespace andiron {
namespace {

TEST(NearestName, CountsLettersAndNeighboursChangedRound) {
  const std::vector<std::string> names = {"run", "chat", "eval", "learn", "quantize", "cache"};
  for (const auto& [word, expected] : {std::pair("run", "run"),
                                       {"rnu", "run"},
                                       {"chta", "chat"},
                                       {"lern", "learn"},
                                       {"quantise", "quantize"},
                                       {"train", ""},
                                       {"caches", "cache"},
                                       {"serve", ""},
                                       {"zzz", ""},
                                       {"x", ""},
                                       {"", ""}}) {
    EXPECT_EQ(nearest_name(word, names), expected) << word;
  }
  EXPECT_EQ(nearest_name(std::string(100'000, 'r'), names), "");
  EXPECT_EQ(nearest_name("run", {}), "");
}

}  // namespace
}  // namespace andiron
