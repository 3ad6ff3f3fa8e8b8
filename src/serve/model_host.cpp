#include "serve/model_host.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "adapter/adapter_files.h"
#include "base/atomic_file.h"
#include "base/content_hash.h"
#include "base/strings.h"
#include "model/quant_mix.h"
#include "sample/dry_breakers.h"
#include "serve/tool_calls_prompt.h"

namespace andiron {

namespace {

// Stacks that no answer uses. Each costs its adapters' numbers, unless others share them.
constexpr size_t kStacksKept = 16;

// The files that make an adapter what it is.
std::vector<std::string> files_of(const std::string& path) {
  if (!is_folder(path)) return {path};
  return {format("{}/{}", path, kPeftConfig), format("{}/{}", path, kPeftWeights)};
}

// With the form in which adapters are worn: keys and values on disk that were computed in another are other ones.
std::string key_part(const std::string& hash, float strength) { return format("{}:{}:f16;", hash, strength); }

std::vector<std::string> control_texts_of(const Tokenizer& tokenizer) {
  std::vector<std::string> out;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_control(id) && !tokenizer.is_end_of_generation(id)) continue;
    if (const auto text = tokenizer.piece(id); !text.empty()) out.emplace_back(text);
  }
  return out;
}

Json metadata_json(const MetaValue& value) {
  return std::visit(
      [](const auto& held) -> Json {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
                      std::is_same_v<T, std::string_view>) {
          return Json(held);
        } else {
          Json list = Json::array();
          for (const auto& item : held) list.push(Json(static_cast<typename T::value_type>(item)));
          return list;
        }
      },
      value.value);
}

// "5.5M", "135M", "1.1B"
std::string short_count(uint64_t count) {
  const bool billions = count >= 1'000'000'000;
  const double value = static_cast<double>(count) / (billions ? 1e9 : 1e6);
  return value < 99.95 ? format("{:.1f}{}", value, billions ? 'B' : 'M')
                       : format("{:.0f}{}", value, billions ? 'B' : 'M');
}

// "\"a\", \"b\" and \"c\""
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kMost = 20;
  std::string out;
  const size_t shown = std::min(names.size(), kMost);
  for (size_t i = 0; i < shown; ++i) {
    const bool last = i + 1 == names.size();
    out += format("{}\"{}\"", i == 0 ? "" : last ? " and " : ", ", in_quotes(names[i]));
  }
  return shown < names.size() ? format("{} and {} more", out, names.size() - shown) : out;
}

ApiError not_found(std::string message) { return {404, std::move(message), "model", "model_not_found", {}}; }

}  // namespace

std::string model_name_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  std::string name(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  for (char& c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!plain) c = '-';
  }
  return name.empty() || name == "." || name == ".." ? "model" : name;
}

Result<std::unique_ptr<ModelHost>> ModelHost::create(std::shared_ptr<const Model> model,
                                                     std::shared_ptr<const Tokenizer> tokenizer,
                                                     const KernelTable& kernels, Options options) {
  TRY_ASSIGN(AdapterBase base, describe_base(model->source()));
  TRY_ASSIGN(ChatPrompt chat, ChatPrompt::create_or_plain(*tokenizer, model->source().path()));
  std::unique_ptr<ModelHost> host(new ModelHost(std::move(model), std::move(tokenizer), kernels, std::move(base),
                                                std::move(chat), std::move(options)));
  TRY(host->find_facts());
  return host;
}

ModelHost::ModelHost(std::shared_ptr<const Model> model, std::shared_ptr<const Tokenizer> tokenizer,
                     const KernelTable& kernels, AdapterBase base, ChatPrompt chat, Options options)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      kernels_(kernels),
      base_(std::move(base)),
      chat_{std::move(chat), {}},
      can_chat_(ChatPrompt::can_chat(*tokenizer_)),
      options_(std::move(options)),
      control_texts_(control_texts_of(*tokenizer_)),
      dry_breakers_(andiron::dry_breakers(*tokenizer_)) {
  for (int32_t id = 0; id < tokenizer_->vocab_size(); ++id) {
    if (tokenizer_->is_end_of_generation(id)) end_texts_.emplace_back(tokenizer_->piece(id));
  }
  const ChatCapabilities& can = chat_.prompt.chat_template().capabilities();
  const std::string& text = chat_.prompt.chat_template().source();
  chat_.style = find_answer_style(text, can.tools || can.tool_calls || takes_tools_in_system(text));
  const ReasoningStyle& reasoning = chat_.style.reasoning;
  chat_.reasoning_is_control = has_control(reasoning.open) || has_control(reasoning.close);
  const CallStyle& calls = chat_.style.calls;
  for (const std::string* mark : {&calls.section_open, &calls.section_close, &calls.open, &calls.close, &calls.name_end,
                                  &calls.key_open, &calls.key_end, &calls.value_open, &calls.value_end}) {
    chat_.calls_are_control = chat_.calls_are_control || has_control(*mark);
  }
}

// What is told of the model, and what tells its weights from others': eight rows of each matrix, and the files' sizes
// and times, for a matrix may change elsewhere.
Status ModelHost::find_facts() {
  const ModelSource& source = model_->source();
  std::vector<std::string> files(source.files().begin(), source.files().end());
  files.insert(files.end(), options_.files_beside.begin(), options_.files_beside.end());
  TRY_ASSIGN(const auto stamps, stamp_files(files));
  ContentHash key;
  key.add_text(base_.hash);
  for (const FileStamp& stamp : stamps) {
    key.add(stamp.bytes);
    key.add(static_cast<uint64_t>(stamp.modified_ns));
    facts_.created = std::max(facts_.created, stamp.modified_ns / 1'000'000'000);
  }
  weights_key_ = key.digits();

  facts_.name = options_.name;
  facts_.family = model_->config().architecture;
  facts_.parameters = short_count(model_->parameters());
  facts_.quantization = file_type_name(source);
  facts_.digest = base_.hash;
  for (const TensorInfo& tensor : source.tensors()) facts_.bytes += tensor.bytes;
  facts_.context_trained = model_->config().context;
  facts_.tools = can_chat_;  // a template that knows none is told of them
  facts_.thinking = can_chat_ && !chat_.style.reasoning.none();
  facts_.chat_template = can_chat_ ? chat_.prompt.chat_template().source() : "";
  if (const auto license = source.meta_text("general.license", ""); license.ok()) facts_.license = *license;
  return {};
}

bool ModelHost::has_control(std::string_view text) const {
  return std::any_of(control_texts_.begin(), control_texts_.end(),
                     [&](const std::string& control) { return text.find(control) != std::string_view::npos; });
}

std::optional<ApiError> ModelHost::check_model(const ModelChoice& choice) const {
  // Ollama's clients put a tag behind names that have none.
  if (choice.model == options_.name || choice.model == options_.name + ":latest") return std::nullopt;
  const auto names = options_.adapters.names();
  const std::string adapters =
      names.empty() ? "" : format("; it can wear {}, as in \"{}+{}\"", listed(names), options_.name, names.front());
  return not_found(
      format("there is no model \"{}\" here; there is \"{}\"{}", in_quotes(choice.model), options_.name, adapters));
}

// The adapters and their files as they are now; those of strength 0 are not worn.
ApiResult<std::vector<ModelHost::Layer>> ModelHost::find_layers(const ModelChoice& choice) const {
  std::vector<Layer> layers;
  for (const AdapterChoice& adapter : choice.adapters) {
    Layer layer;
    layer.path = options_.adapters.path_of(adapter.name);
    auto stamps = layer.path.empty() ? Result<std::vector<FileStamp>>(Error{}) : stamp_files(files_of(layer.path));
    if (!stamps.ok()) {
      const auto names = options_.adapters.names();
      const std::string there = names.empty() ? "none" : listed(names);
      return not_found(format("there is no adapter \"{}\" here; there {} {}", in_quotes(adapter.name),
                              names.size() == 1 ? "is" : "are", there));
    }
    layer.stamps = std::move(*stamps);
    layer.strength = static_cast<float>(adapter.strength);
    if (layer.strength != 0) layers.push_back(std::move(layer));
  }
  return layers;
}

bool ModelHost::is_known(const Layer& layer) const {
  const auto known = known_.find(layer.path);
  return known != known_.end() && known->second.stamps == layer.stamps;
}

// Null where one of them has to be loaded, or the stack made.
std::shared_ptr<const AdapterStack> ModelHost::find_kept(std::span<const Layer> layers, std::string& key) {
  const std::lock_guard lock(mutex_);
  key.clear();
  for (const Layer& layer : layers) {
    if (!is_known(layer)) return nullptr;
    key += key_part(known_.at(layer.path).hash, layer.strength);
  }
  const auto kept = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) { return one.key == key; });
  if (kept == kept_.end()) return nullptr;
  std::rotate(kept, kept + 1, kept_.end());
  return kept_.back().stack;
}

// Under loading_. An Error where the files change while they are read.
Result<std::shared_ptr<const AdapterWeights>> ModelHost::load(const Layer& layer, std::string& hash) {
  {
    const std::lock_guard lock(mutex_);
    if (is_known(layer)) {
      const Known& known = known_.at(layer.path);
      hash = known.hash;
      if (auto weights = known.weights.lock()) return weights;
    }
  }
  TRY_ASSIGN(auto hasher, FileHasher::create(layer.stamps));
  TRY_ASSIGN(hash, hasher.finish());
  std::shared_ptr<const AdapterWeights> weights;
  {
    const std::lock_guard lock(mutex_);  // under another name it may be loaded already
    for (const auto& [path, known] : known_) {
      if (known.hash == hash && weights == nullptr) weights = known.weights.lock();
    }
  }
  std::vector<std::string> notes;  // of other weights of the same shapes: whoever names an adapter wants it
  if (weights == nullptr) {
    TRY_ASSIGN(weights, load_adapter(layer.path, base_, *model_, kernels_, team_, notes));
  }
  TRY_ASSIGN(const auto stamps, stamp_files(files_of(layer.path)));
  if (stamps != layer.stamps) return make_error("{}: it changed while it was being read", layer.path);
  const std::lock_guard lock(mutex_);
  const auto known = known_.find(layer.path);
  if (known != known_.end() && known->second.hash != hash) forget(known->second.hash);
  known_[layer.path] = {layer.stamps, hash, weights};
  return weights;
}

// Under mutex_.
void ModelHost::keep(Kept kept) {
  std::erase_if(kept_, [&](const Kept& one) { return one.key == kept.key; });
  kept_.push_back(std::move(kept));
  for (auto one = kept_.begin(); kept_.size() > kStacksKept && one != kept_.end();) {
    one = one->stack.use_count() == 1 ? kept_.erase(one) : one + 1;
  }
}

// Under mutex_.
void ModelHost::forget(const std::string& hash) {
  std::erase_if(kept_, [&](const Kept& one) {
    return std::find(one.hashes.begin(), one.hashes.end(), hash) != one.hashes.end();
  });
}

// One that is kept, or a new one, for which adapters are loaded.
Result<std::shared_ptr<const AdapterStack>> ModelHost::find_stack(std::span<const Layer> layers, std::string& key) {
  if (auto kept = find_kept(layers, key)) return kept;
  const std::lock_guard loading(loading_);
  if (auto kept = find_kept(layers, key)) return kept;
  Kept made;
  std::vector<AdapterStack::Layer> stack;
  for (const Layer& layer : layers) {
    std::string hash;
    TRY_ASSIGN(auto weights, load(layer, hash));
    stack.push_back({std::move(weights), layer.strength});
    made.key += key_part(hash, layer.strength);
    made.hashes.push_back(std::move(hash));
  }
  key = made.key;
  made.stack = std::make_shared<const AdapterStack>(std::move(stack));
  const std::lock_guard lock(mutex_);
  keep(made);
  return made.stack;
}

ApiResult<Worn> ModelHost::wear(const ModelChoice& choice) {
  if (auto error = check_model(choice)) return std::move(*error);
  for (bool again = false;; again = true) {
    auto layers = find_layers(choice);
    if (!layers.ok()) return layers.error();
    Worn worn;
    const bool chats = can_chat_ || std::any_of(layers->begin(), layers->end(), [&](const Layer& layer) {
                         return options_.adapters.has_chatted(layer.path);
                       });
    worn.chat = chats ? &chat_ : nullptr;
    if (layers->empty()) return worn;
    auto stack = find_stack(*layers, worn.key);
    if (stack.ok()) {
      worn.stack = std::move(*stack);
      return worn;
    }
    // It may have been replaced just now; as it is now it may do.
    if (again) return refuse("model", "invalid_adapter", "the adapter cannot be used: {}", stack.error().message);
  }
}

ModelCard ModelHost::base_card(int64_t context) const {
  ModelCard card = facts_;
  card.context = context;
  return card;
}

std::vector<ModelCard> ModelHost::cards(int64_t context) {
  std::vector<ModelCard> out = {base_card(context)};
  const std::vector<std::string> names = options_.adapters.names();
  for (const std::string& name : names) {
    ModelChoice choice = {format("{}+{}", options_.name, name), options_.name, {{name, 1}}};
    if (auto one = card(choice, context); one.ok()) out.push_back(std::move(*one));
  }
  // What is no longer there need not be kept.
  const std::lock_guard lock(mutex_);
  std::erase_if(known_, [&](const auto& entry) {
    if (file_exists(entry.first)) return false;
    forget(entry.second.hash);
    return true;
  });
  return out;
}

ApiResult<ModelCard> ModelHost::card(const ModelChoice& choice, int64_t context) {
  if (auto error = check_model(choice)) return std::move(*error);
  auto layers = find_layers(choice);
  if (!layers.ok()) return layers.error();
  ModelCard card = base_card(context);
  if (choice.adapters.empty()) return card;
  card.name = choice.asked;
  ContentHash digest;
  digest.add_text(base_.hash);
  for (const Layer& layer : *layers) {
    card.bytes += total_bytes(layer.stamps);
    for (const FileStamp& stamp : layer.stamps) {
      card.created = std::max(card.created, stamp.modified_ns / 1'000'000'000);
      digest.add_text(stamp.path);
      digest.add(stamp.bytes);
      digest.add(static_cast<uint64_t>(stamp.modified_ns));
    }
    digest.add_text(format("{}", layer.strength));
  }
  card.digest = digest.digits();
  return card;
}

ApiResult<ModelCard> ModelHost::whole_card(const ModelChoice& choice, int64_t context) {
  auto out = card(choice, context);
  if (!out.ok()) return out;
  for (const MetaEntry& entry : model_->source().metadata()) out->metadata.set(entry.key, metadata_json(entry.value));
  return out;
}

}  // namespace andiron
