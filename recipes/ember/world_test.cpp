// How what is true of a world is told.
#include "world.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "test_rows.h"

namespace andiron::ember {
namespace {

// "I heard that Odo owns the lamp." and "I heard that the owner of the lamp is Odo.": a sentence that goes inside
// another loses the capital letter of its start, but for names.
TEST(World, ValuesAtTheStartOfASentenceKeepTheirCapitalLetter) {
  const World world{Kind::kThing, {named_subject("the lamp", Gender::kNone)}, {{"thing.owner", 0, "", "Odo"}}};
  int value_first = 0, other_first = 0;
  for (uint64_t i = 0; i < 12000; ++i) {
    Dice dice(1, i);
    const std::string told = tell_each(Writer(tables(), Part::kTrain, dice), world).front();
    EXPECT_NE(told.find("Odo"), std::string::npos) << told;
    EXPECT_EQ(told.find("odo"), std::string::npos) << told;
    EXPECT_EQ(told.find(" The owner of the lamp is Odo"), std::string::npos) << told;
    value_first += told.find(" Odo owns the lamp") != std::string::npos ? 1 : 0;
    other_first += told.find(" the owner of the lamp is Odo") != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(value_first, 10);
  EXPECT_GT(other_first, 10);
}

}  // namespace
}  // namespace andiron::ember
