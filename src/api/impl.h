// What stands behind the handles of include/andiron/. Compiled with ANDIRON_V1 as plain `v1` (src/CMakeLists.txt), so
// that andiron::v1::Model is the public class here and andiron::Model the one of model/model.h.
#pragma once

#include <memory>

#include "andiron/chat.h"
#include "andiron/model.h"
#include "andiron/session.h"
#include "andiron/tokenizer.h"
#include "base/thread_team.h"
#include "engine/session.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace andiron::v1 {

struct Tokenizer::Impl {
  andiron::Tokenizer tokenizer;
};

struct Model::Impl {
  std::shared_ptr<const andiron::Model> model;
  const KernelTable* kernels;
  Tokenizer tokenizer;
  ModelInfo info;
};

struct ChatTemplate::Impl {
  Result<Prompt> render(const Json& messages, const Json& tools, const ChatOptions& options) const;

  Model model;  // the prompt refers to its tokenizer
  ChatPrompt chat;
};

struct Session::Impl {
  Model model;
  std::unique_ptr<ThreadTeam> team;
  std::unique_ptr<andiron::Session> session;
};

// 0 becomes one for each processor; numbers that no machine has are an Error.
Result<int> resolve_threads(int threads);

}  // namespace andiron::v1
