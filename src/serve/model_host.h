// ModelHost: the model that a server offers, how one chats with it, and the adapters that requests may name.
//
// Adapters are looked up anew for every request, so that one which has come, changed or gone since the last is found
// so. Loaded ones are shared between stacks, and kept while stacks that wear them are: the latest few, and those that
// answers still use. Any thread; only loading waits for loading.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapter/adapter_base.h"
#include "base/result.h"
#include "base/thread_team.h"
#include "kernels/kernel_table.h"
#include "model/adapter_stack.h"
#include "model/model.h"
#include "model/packed_key.h"
#include "serve/answer_splitter.h"
#include "serve/api_ask.h"
#include "serve/api_error.h"
#include "serve/api_models.h"
#include "text/chat_prompt.h"
#include "text/tokenizer.h"

namespace andiron {

// Where adapters come from. Each is called for every request, on the thread that asks.
struct AdapterSource {
  // The names of those that are offered, sorted.
  std::function<std::vector<std::string>()> names;
  // The folder or file of that name, "" where there is none.
  std::function<std::string(const std::string& name)> path_of;
  // Whether a base model, which has no chat template, has learned to chat with it.
  std::function<bool(const std::string& path)> has_chatted;
};

// How a conversation becomes a prompt, and how what answers it is read.
struct ChatForm {
  ChatPrompt prompt;
  AnswerStyle style;
  // Marks of that style which are control tokens: their text has to be shown to the splitter.
  bool reasoning_is_control = false, calls_are_control = false;
};

// What a request's model turned out to be.
struct Worn {
  std::shared_ptr<const AdapterStack> stack;  // null: no adapters
  std::string key;                            // the same for the same stack, of whatever names; "" for none
  const ChatForm* chat = nullptr;             // null: a base model, which only goes on with text
};

class ModelHost {
 public:
  struct Options {
    std::string name;  // that requests know the model by; see model_name_of()
    AdapterSource adapters;
    std::vector<std::string> files_beside = {};  // that change its answers too, such as a chat template's
  };

  // `kernels` must outlive it.
  static Result<std::unique_ptr<ModelHost>> create(std::shared_ptr<const Model> model,
                                                   std::shared_ptr<const Tokenizer> tokenizer,
                                                   const KernelTable& kernels, Options options);
  ModelHost(const ModelHost&) = delete;
  ModelHost& operator=(const ModelHost&) = delete;

  const std::shared_ptr<const Model>& model() const { return model_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::string& name() const { return options_.name; }
  // What names the model's weights in a cache that outlives the process.
  const std::string& weights_key() const { return weights_key_; }
  // Texts of the tokens that end an answer.
  std::span<const std::string> end_texts() const { return end_texts_; }
  // Whether a token that no grammar lets through is written in this text.
  bool has_control(std::string_view text) const;
  // The tokens where DRY's repetitions end.
  const std::vector<std::vector<int32_t>>& dry_breakers() const { return dry_breakers_; }

  // Loads what is not loaded. 404 for a model or an adapter that is not there, naming those that are; 400 for an
  // adapter that cannot be worn by this model.
  ApiResult<Worn> wear(const ModelChoice& choice);

  // The model alone, and with each of the adapters that are offered. `context`: that the server was started with.
  std::vector<ModelCard> cards(int64_t context);
  ApiResult<ModelCard> card(const ModelChoice& choice, int64_t context);
  // The same with the file's metadata, vocabulary and all.
  ApiResult<ModelCard> whole_card(const ModelChoice& choice, int64_t context);

 private:
  struct Known {  // of an adapter's files as they were last seen
    std::vector<FileStamp> stamps;
    std::string hash;
    std::weak_ptr<const AdapterWeights> weights;
  };
  struct Kept {
    std::string key;
    std::vector<std::string> hashes;
    std::shared_ptr<const AdapterStack> stack;
  };
  struct Layer {
    std::string path;
    float strength = 1;
    std::vector<FileStamp> stamps;
  };

  ModelHost(std::shared_ptr<const Model> model, std::shared_ptr<const Tokenizer> tokenizer, const KernelTable& kernels,
            AdapterBase base, ChatPrompt chat, Options options);
  Status find_facts();
  std::optional<ApiError> check_model(const ModelChoice& choice) const;
  ApiResult<std::vector<Layer>> find_layers(const ModelChoice& choice) const;
  std::shared_ptr<const AdapterStack> find_kept(std::span<const Layer> layers, std::string& key);
  Result<std::shared_ptr<const AdapterStack>> find_stack(std::span<const Layer> layers, std::string& key);
  Result<std::shared_ptr<const AdapterWeights>> load(const Layer& layer, std::string& hash);
  void keep(Kept kept);
  void forget(const std::string& hash);
  bool is_known(const Layer& layer) const;
  ModelCard base_card(int64_t context) const;

  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  const KernelTable& kernels_;
  AdapterBase base_;
  ChatForm chat_;
  bool can_chat_;  // without an adapter
  Options options_;
  std::string weights_key_;
  std::vector<std::string> end_texts_, control_texts_;
  std::vector<std::vector<int32_t>> dry_breakers_;
  ModelCard facts_;  // but for the context

  std::mutex loading_;  // before mutex_
  ThreadTeam team_{1};  // of who is loading
  mutable std::mutex mutex_;
  std::map<std::string, Known> known_;  // by path
  std::vector<Kept> kept_;              // the latest used last
};

// A name for a model's file or folder, as requests can say it: its last part without ".gguf", of letters, digits, and
// ".", "_", "-"; other characters become "-".
std::string model_name_of(std::string_view path);

}  // namespace andiron
