// The model that andiron brings: where it is looked for, and how a command line without MODEL is read.
#include "cli/shipped_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/test_folder.h"

namespace andiron {
namespace {

TEST(ShippedModel, LiesBesideTheProgramWhereItWasInstalledOrInTheSources) {
  EXPECT_EQ(shipped_model_places("/usr/bin/andiron"),
            (std::vector<std::string>{"/usr/bin/ember.gguf", "/usr/share/andiron/ember.gguf", "/models/ember.gguf"}));
  EXPECT_EQ(shipped_model_places("/src/andiron/build/release/andiron")[2], "/src/andiron/models/ember.gguf");
}

TEST(ShippedModel, OnlyItsNameIsNoPath) {
  EXPECT_EQ(*model_path("./ember"), "./ember");
  EXPECT_EQ(*model_path("ember.gguf"), "ember.gguf");
  const auto found = model_path("ember");
  const auto places = shipped_model_places(std::filesystem::read_symlink("/proc/self/exe").string());
  const auto place =
      std::ranges::find_if(places, [](const std::string& path) { return std::filesystem::exists(path); });
  EXPECT_EQ(found.ok(), place != places.end());
  if (found.ok()) {
    EXPECT_EQ(*found, *place);
  }
  if (!found.ok()) {
    EXPECT_NE(found.error().message.find("share/andiron/ember.gguf"), std::string::npos) << found.error().message;
  }
}

TEST(ShippedModel, AModelMayBringRowsAgainstForgetting) {
  const TestFolder folder;
  const std::string model = folder.write("m.gguf", "");
  EXPECT_EQ(general_rows_of(model), "");
  const std::string rows = folder.write("m.general.jsonl", "");
  EXPECT_EQ(general_rows_of(model), rows);
  EXPECT_EQ(general_rows_of(folder.file("m")), "");
}

TEST(ShippedModel, TheFirstWordOfLearnIsAModelOrData) {
  const TestFolder folder;
  const std::string text = folder.write("about-me.md", "My dog is old.");
  std::filesystem::create_directories(folder.file("hf"));
  folder.write("hf/config.json", "{}");
  const auto split = [](std::string model, std::vector<std::string> data) {
    split_model(model, data);
    data.insert(data.begin(), model.empty() ? "-" : model);
    return data;
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(split(text, {}), (Words{"-", text}));
  EXPECT_EQ(split(text, {"more.txt"}), (Words{"-", text, "more.txt"}));
  EXPECT_EQ(split("ember", {text}), (Words{"ember", text}));
  EXPECT_EQ(split("none.gguf", {}), (Words{"none.gguf"}));
  EXPECT_EQ(split(folder.file("hf"), {text}), (Words{folder.file("hf"), text}));
  EXPECT_EQ(split("misspelt", {text}), (Words{"misspelt", text}));  // said to be no model, rather than no data
  EXPECT_EQ(split("misspelt", {}), (Words{"-", "misspelt"}));
  EXPECT_EQ(split("", {}), (Words{"-"}));
}

}  // namespace
}  // namespace andiron
