#include "text/unicode.h"

#include <gtest/gtest.h>

namespace andiron {
namespace {

TEST(Unicode, NormalizesCanonically) {
  struct Case {
    const char* text;
    const char* composed;
    const char* decomposed;
  };
  // From the Unicode Character Database's NormalizationTest.txt and The Unicode Standard, section 3.11.
  const Case cases[] = {
      {"plain", "plain", "plain"},
      {"\u00e9", "\u00e9", "e\u0301"},
      {"e\u0301", "\u00e9", "e\u0301"},
      {"\u1e69", "\u1e69", "s\u0323\u0307"},
      {"s\u0307\u0323", "\u1e69", "s\u0323\u0307"},  // marks are put into order first
      {"\u0344", "\u0308\u0301", "\u0308\u0301"},    // excluded from composition
      {"\u2126", "\u03a9", "\u03a9"},                // a singleton
      {"\uac01", "\uac01", "\u1100\u1161\u11a8"},    // Hangul, by arithmetic
      {"\u1100\u1161\u11a8", "\uac01", "\u1100\u1161\u11a8"},
      {"a\u0315\u0300\u05ae\u0300b", "\u00e0\u05ae\u0300\u0315b", "a\u05ae\u0300\u0300\u0315b"},
      {"\xff"
       "e\u0301\xc3",
       "\xff\u00e9\xc3",
       "\xff"
       "e\u0301\xc3"},  // bytes that are not UTF-8 stay
  };
  for (const Case& c : cases) {
    EXPECT_EQ(to_nfc(c.text), c.composed) << c.text;
    EXPECT_EQ(to_nfd(c.text), c.decomposed) << c.text;
  }
}

TEST(Unicode, KnowsCategories) {
  EXPECT_EQ(category_of('A'), Category::kLu);
  EXPECT_EQ(category_of(0), Category::kCc);
  EXPECT_EQ(category_of(0x2160), Category::kNl);
  EXPECT_EQ(category_of(0x4e2d), Category::kLo);
  EXPECT_EQ(category_of(0x1f600), Category::kSo);
  EXPECT_EQ(category_of(0xe000), Category::kCo);
  EXPECT_EQ(category_of(0x10ffff), Category::kCn);
  EXPECT_EQ(category_of(0x110000), Category::kCn);
  EXPECT_EQ(category_name(Category::kPc), "Pc");
  EXPECT_TRUE(is_punctuation(0x3002));
  EXPECT_FALSE(is_punctuation('$'));
}

TEST(Unicode, WhiteSpaceIsTheProperty) {
  int count = 0;
  for (uint32_t c = 0; c <= 0x10ffff; ++c) count += is_white_space(c) ? 1 : 0;
  EXPECT_EQ(count, 25);  // PropList.txt: "Total code points: 25"
  EXPECT_TRUE(is_white_space(0x85));
  EXPECT_FALSE(is_white_space(0x200b));
}

TEST(Unicode, LowersCaseAndStripsMarks) {
  EXPECT_EQ(to_lowercase("ÀÉß ΣΩ Ж \xfe"), "àéß σω ж \xfe");
  EXPECT_EQ(to_lowercase("\u0130"), "i\u0307");
  EXPECT_EQ(without_nonspacing_marks(to_nfd("Café Ångström")), "Cafe Angstrom");
}

}  // namespace
}  // namespace andiron
