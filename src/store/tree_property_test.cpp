// Random changes, each done to the store and to a plain model in memory; what the store says must be what the model
// says, now, after it was opened again, and after an export and an import.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"
#include "store/store_fixture.h"

namespace andiron {
namespace {

struct ModelMessage {
  std::string id, parent, edit_of, role, content;
  int thumb = 0;
};
struct ModelConversation {
  std::vector<ModelMessage> messages;  // in the order in which they came
  std::string shown;
};
using Model = std::map<std::string, ModelConversation>;

bool is_below(const ModelConversation& c, const std::string& id, const std::string& above) {
  for (std::string at = id; !at.empty();) {
    if (at == above) return true;
    at = std::find_if(c.messages.begin(), c.messages.end(), [&](const auto& m) { return m.id == at; })->parent;
  }
  return false;
}

void remove_from(ModelConversation& c, const std::string& id) {
  const std::string parent =
      std::find_if(c.messages.begin(), c.messages.end(), [&](const auto& m) { return m.id == id; })->parent;
  std::vector<ModelMessage> left;
  std::vector<std::string> gone;
  for (const auto& m : c.messages) {
    if (is_below(c, m.id, id)) {
      gone.push_back(m.id);
    } else {
      left.push_back(m);
    }
  }
  const auto is_gone = [&](const std::string& m) { return std::find(gone.begin(), gone.end(), m) != gone.end(); };
  for (auto& m : left) {
    if (is_gone(m.edit_of)) m.edit_of.clear();
  }
  c.messages = left;
  if (!is_gone(c.shown)) return;
  c.shown.clear();
  for (const auto& m : left) {
    if (parent.empty() || is_below(c, m.id, parent)) c.shown = m.id;
  }
}

class TreeProperty : public StoreTest, public testing::WithParamInterface<uint64_t> {
 protected:
  uint64_t draw(uint64_t below) { return random_.bits(counter_++) % below; }

  void compare(Store& store) {
    ASSERT_EQ(must(store.conversations(1000)).size(), model_.size());
    for (const auto& [id, expected] : model_) {
      const auto conversation = must(store.conversation(id));
      ASSERT_TRUE(conversation.has_value());
      EXPECT_EQ(conversation->shown, expected.shown);
      const auto messages = must(store.messages(id));
      ASSERT_EQ(messages.size(), expected.messages.size());
      for (size_t i = 0; i < messages.size(); ++i) {
        const ModelMessage& m = expected.messages[i];
        EXPECT_EQ(messages[i].id, m.id);
        EXPECT_EQ(messages[i].parent, m.parent);
        EXPECT_EQ(messages[i].edit_of, m.edit_of);
        EXPECT_EQ(messages[i].role, m.role);
        EXPECT_EQ(messages[i].content, m.content);
        EXPECT_EQ(messages[i].thumb, m.thumb);
      }
      if (!expected.shown.empty()) compare_path(store, expected);
    }
    must(store.check());
  }

  static void compare_path(Store& store, const ModelConversation& expected) {
    std::vector<std::string> up;
    for (const auto& m : must(store.path(expected.shown))) up.push_back(m.id);
    std::vector<std::string> model;
    for (const auto& m : expected.messages) {
      if (is_below(expected, expected.shown, m.id)) model.push_back(m.id);
    }
    EXPECT_EQ(up, model);
  }

  void step() {
    const uint64_t kind = draw(20);
    if (model_.empty() || kind == 0) {
      model_[converse()] = {};
      return;
    }
    const auto chosen = std::next(model_.begin(), static_cast<std::ptrdiff_t>(draw(model_.size())));
    auto& [id, c] = *chosen;
    if (c.messages.empty() || kind < 11) return add(id, c);
    const ModelMessage picked = c.messages[draw(c.messages.size())];
    if (kind < 14) return add_edit(id, c, picked);
    if (kind < 16) {
      const int thumb = static_cast<int>(draw(3)) - 1;
      must(store_->set_thumb(picked.id, thumb));
      for (auto& m : c.messages) m.thumb = m.id == picked.id ? thumb : m.thumb;
    } else if (kind < 18) {
      ConversationChange change;
      change.shown = picked.id;
      must(store_->change_conversation(id, change));
      c.shown = picked.id;
    } else if (kind < 19) {
      must(store_->remove_message(picked.id));
      remove_from(c, picked.id);
    } else if (draw(4) == 0) {
      must(store_->remove_conversations({id}));
      model_.erase(chosen);
    }
  }

  void add(const std::string& id, ModelConversation& c) {
    ModelMessage m;
    const uint64_t parent = draw(c.messages.size() + 1);
    if (parent < c.messages.size()) m.parent = c.messages[parent].id;
    m.role = draw(2) == 0 ? "user" : "assistant";
    m.content = "text " + std::to_string(counter_);
    m.id = say(id, m.parent, m.role, m.content);
    c.messages.push_back(m);
    c.shown = m.id;
  }

  void add_edit(const std::string& id, ModelConversation& c, const ModelMessage& original) {
    ModelMessage m{"", original.parent, original.id, original.role, "edit " + std::to_string(counter_)};
    m.id = say(id, m.parent, m.role, m.content, m.edit_of);
    c.messages.push_back(m);
    c.shown = m.id;
  }

  RandomStream random_{GetParam()};
  uint64_t counter_ = 0;
  Model model_;
};

TEST_P(TreeProperty, TheStoreSaysWhatTheModelSays) {
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 40; ++i) step();
    compare(*store_);
    if (HasFatalFailure()) return;
    reopen();
    compare(*store_);
  }
  StoreOptions other_options = options();
  const auto other = must(Store::open(folder_.file("other/chats.db"), other_options));
  must(other->import(exported(), true));
  compare(*other);
  EXPECT_EQ(exported(*other), exported());
}

INSTANTIATE_TEST_SUITE_P(Seeds, TreeProperty, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace andiron
