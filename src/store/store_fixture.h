// For tests only: a store in a folder of its own, quick (it does not wait for the disk) and with a clock that counts.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/test_folder.h"
#include "store/faulty_vfs.h"
#include "store/store.h"

namespace andiron {

// The value, or a failed test and a default one.
template <typename T>
T must(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  ADD_FAILURE() << result.error().message;
  return T();
}
inline void must(const Status& status) { EXPECT_TRUE(status.ok()) << status.error().message; }

// The message of the Error that there must be.
template <typename T>
std::string error_of(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? "" : result.error().message;
}

template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.ok());
  return result.ok() ? ErrorKind::kOther : result.error().kind;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() { open(); }

  StoreOptions options() {
    StoreOptions out;
    out.now_ms = [this] { return ++now_ms_; };
    out.vfs = vfs_.name();
    out.busy_ms = 0;
    return out;
  }
  void open() { store_ = must(Store::open(path_, options())); }
  void reopen() {
    store_.reset();
    open();
  }

  // A new conversation's id, a new message's id.
  std::string converse(const Conversation& conversation = {}) {
    return must(store_->add_conversation(conversation)).id;
  }
  std::string say(const std::string& conversation, const std::string& parent, const std::string& role,
                  const std::string& content, const std::string& edit_of = "") {
    Message message;
    message.conversation = conversation;
    message.parent = parent;
    message.role = role;
    message.content = content;
    message.edit_of = edit_of;
    return must(store_->add_message(std::move(message))).id;
  }

  std::string exported() { return exported(*store_); }
  static std::string exported(Store& store) {
    std::string text;
    must(store.export_all([&](std::string_view line) {
      text += line;
      return Status();
    }));
    return text;
  }

  TestFolder folder_;
  std::string path_ = folder_.file("chats/chats.db");
  FaultyVfs vfs_{"quick"};
  int64_t now_ms_ = 1'000'000;
  std::unique_ptr<Store> store_;
};

}  // namespace andiron
