#include "base/name_index.h"

#include <gtest/gtest.h>

#include <string>

namespace andiron {
namespace {

TEST(NameIndex, FindsEveryNameAndNoOther) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("blk." + std::to_string(i * 7919 % 1000) + ".weight");
  const NameIndex index(std::vector<std::string_view>(names.begin(), names.end()));
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(index.find(names[i]), i);
  for (const char* name : {"", "blk", "blk.1000.weight", "blk.1.weight ", "zzz"})
    EXPECT_EQ(index.find(name), std::nullopt);
  EXPECT_EQ(index.duplicate(), std::nullopt);
  EXPECT_EQ(NameIndex().find("a"), std::nullopt);
}

TEST(NameIndex, TellsOfNamesThatAreThereTwice) {
  const NameIndex index({"b", "a", "c", "a", ""});
  EXPECT_EQ(index.duplicate(), "a");
  EXPECT_EQ(index.find("a"), 1u) << "the first of them";
  EXPECT_EQ(index.find(""), 4u);
  EXPECT_EQ(NameIndex({"", ""}).duplicate(), "");
}

}  // namespace
}  // namespace andiron
