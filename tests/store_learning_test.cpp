// What the store gives for training is what `learn` reads: each kind as its format, no row bad.
#include <gtest/gtest.h>

#include "base/test_folder.h"
#include "data/reader.h"
#include "store/store.h"

namespace andiron {
namespace {

// Adds a message and returns its id.
std::string say(Store& store, const std::string& parent, const std::string& role, const std::string& content,
                const std::string& edit_of = "") {
  Message message;
  message.conversation = "c";
  message.parent = parent;
  message.role = role;
  message.content = content;
  message.edit_of = edit_of;
  const auto added = store.add_message(message);
  EXPECT_TRUE(added.ok());
  return added.ok() ? added->id : "";
}

TEST(StoreLearning, EveryKindOfRowIsReadAsItsFormat) {
  const TestFolder folder;
  const auto store = Store::open(folder.file("chats/chats.db"), {.own_folder = true});
  ASSERT_TRUE(store.ok()) << store.error().message;
  Conversation conversation;
  conversation.id = "c";
  conversation.system = "Be brief.";
  conversation.for_training = true;
  ASSERT_TRUE((*store)->add_conversation(conversation).ok());
  const std::string q = say(**store, "", "user", "2 + 2?");
  const std::string bad = say(**store, q, "assistant", "5");
  const std::string good = say(**store, q, "assistant", "4", bad);
  const std::string next = say(**store, good, "user", "+ 1?");
  const std::string last = say(**store, next, "assistant", "5");
  ASSERT_TRUE((*store)->set_thumb(bad, -1).ok());
  ASSERT_TRUE((*store)->set_thumb(last, 1).ok());

  const std::pair<TrainingKind, int64_t> kinds[] = {
      {TrainingKind::kChat, 1}, {TrainingKind::kPreference, 1}, {TrainingKind::kLabelled, 2}};
  for (const auto& [kind, rows] : kinds) {
    const std::string name = training_kind_name(kind);
    std::string text;
    const auto made = (*store)->training_rows(kind, [&](TrainingRow&& row) {
      text += row.row.dump() + "\n";
      return Status();
    });
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->rows, rows);
    DataReport report;
    std::vector<Example> examples;
    DataReader reader(report, [&](Example&& example) {
      examples.push_back(std::move(example));
      return Status();
    });
    ASSERT_TRUE(reader.read({folder.write(name + ".jsonl", text)}, std::nullopt).ok());
    EXPECT_EQ(data_format_name(report.files.at(0).format), name);
    EXPECT_EQ(report.bad(), 0);
    ASSERT_EQ(static_cast<int64_t>(examples.size()), rows);
    if (kind == TrainingKind::kChat) {
      EXPECT_EQ(examples[0].trained, (std::vector<uint8_t>{0, 0, 1, 0, 1}));
    }
    if (kind == TrainingKind::kLabelled) {
      EXPECT_EQ(examples[0].desirable, false);
      EXPECT_EQ(examples[1].desirable, true);
    }
  }
}

}  // namespace
}  // namespace andiron
