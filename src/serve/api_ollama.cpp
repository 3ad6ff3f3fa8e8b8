#include "serve/api_ollama.h"

#include <limits>
#include <utility>

#include "serve/api_parts.h"

namespace andiron {

namespace {

constexpr auto kIgnored = FieldUse::kIgnored;
constexpr auto kRefused = FieldUse::kRefused;
constexpr std::string_view kFixed = "memory and threads are set when the server starts";
constexpr std::string_view kLoaded = "the model stays as long as the server runs";
constexpr std::string_view kNoImages = "models here write text only";
constexpr std::string_view kShown = "what is shown is the model as it is";

const ApiTable kMessage = {
    "a message", {{"role"}, {"content"}, {"thinking"}, {"tool_calls"}, {"tool_name"}, {"tool_call_id"}, {"images"}}};
const ApiTable kCall = {"a tool call", {{"id"}, {"function"}, {"type", kIgnored, "calls are of functions"}}};
const ApiTable kCalledFunction = {"a called function",
                                  {{"name"},
                                   {"arguments"},
                                   {"index", kIgnored, "calls stand in order"},
                                   {"description", kIgnored, "the tool has one"}}};
const ApiTable kTool = {"a tool", {{"type"}, {"function"}, {"items", kIgnored, "no template shows it"}}};
const ApiTable kFunction = {"a function",
                            {{"name"},
                             {"description"},
                             {"parameters"},
                             {"type", kIgnored, "tools are functions"},
                             {"strict", kIgnored, "calls are always held to the schema where one is forced"}}};

// An empty list of images is what clients send that have none.
void refuse_images(FieldReader& in) {
  const Json* images = in.find("images");
  if (images == nullptr || (images->is_array() && images->items().empty())) return;
  in.fail(refuse(in.place("images"), "unsupported_parameter", "\"{}\" is not supported: models here read text only",
                 in.place("images")));
}

// {"name", "arguments": object}; templates take the arguments as text or object, as the others have them: text.
Json read_call(const Json& given, const std::string& place, std::optional<ApiError>& error) {
  FieldReader in(given, kCall, error, place);
  std::string id, name;
  in.text("id", id);
  Json arguments = Json::object();
  if (const Json* function = in.need("function")) {
    FieldReader inner(*function, kCalledFunction, error, place + ".function");
    if (inner.need("name") != nullptr) inner.text("name", name);
    if (const Json* found = inner.find("arguments")) {
      if (!found->is_object()) inner.wrong("arguments", "an object");
      arguments = *found;
    }
  }
  Json function = Json::object();
  function.set("name", std::move(name)).set("arguments", arguments.dump());
  Json call = Json::object();
  call.set("id", std::move(id)).set("type", "function").set("function", std::move(function));
  return call;
}

void read_message(const Json& given, const std::string& place, ChatAsk& ask, std::optional<ApiError>& error) {
  static constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool"};
  FieldReader in(given, kMessage, error, place);
  if (in.need("role") == nullptr) return;
  const auto role = in.word("role", kRoles);
  if (!role) return;
  std::string content, thinking, tool, id;
  in.text("content", content);
  in.text("thinking", thinking);
  in.text("tool_name", tool);
  in.text("tool_call_id", id);
  refuse_images(in);
  Json message = chat_message(kRoles[*role], std::move(content));
  if (!thinking.empty()) message.set("reasoning_content", std::move(thinking));
  if (!tool.empty()) message.set("name", std::move(tool));
  if (!id.empty()) message.set("tool_call_id", std::move(id));
  if (const Json* calls = in.find("tool_calls")) {
    if (!calls->is_array()) return in.wrong("tool_calls", "a list");
    Json list = Json::array();
    for (size_t i = 0; i < calls->items().size(); ++i) {
      list.push(read_call(calls->items()[i], format("{}.tool_calls[{}]", place, i), error));
    }
    if (!list.items().empty()) message.set("tool_calls", std::move(list));
  }
  ask.messages.push(std::move(message));
}

void read_messages(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  const Json* messages = in.find("messages");
  if (messages == nullptr) return;  // Ollama's way to load a model: nothing is to be said
  if (!messages->is_array() || messages->items().size() > kMessagesMax) {
    return in.wrong("messages", format("a list of at most {} messages", kMessagesMax));
  }
  for (size_t i = 0; i < messages->items().size() && !error; ++i) {
    read_message(messages->items()[i], format("messages[{}]", i), ask, error);
  }
}

void read_tools(FieldReader& in, ChatAsk& ask, std::optional<ApiError>& error) {
  each_tool(in, error, [&](const Json& tool, const std::string& place) {
    FieldReader reader(tool, kTool, error, place);
    const Json* function = reader.need("function");
    if (function != nullptr) read_function(*function, kFunction, place + ".function", "parameters", ask, error);
  });
}

// Some names and some neutral values differ from those of the other APIs.
void read_options(FieldReader& in, AnswerAsk& ask, std::optional<ApiError>& error) {
  constexpr double kExtreme = SamplerOptions::kExtreme;
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  const Json* options = in.find("options");
  if (options == nullptr) return;
  FieldReader inner(*options, ollama_options_fields(), error, in.place("options"));
  SamplerOptions& s = ask.sampling;
  inner.whole("top_k", s.top_k, 0, kMost);
  inner.number("top_p", s.top_p, 0, 1);
  inner.number("min_p", s.min_p, 0, 1);
  inner.number("typical_p", s.typical_p, 1e-6, 1);
  inner.whole("repeat_last_n", s.penalty_last_n, -1, SamplerOptions::kWindowMax);
  inner.number("temperature", s.temperature, 0, kExtreme);
  inner.number("repeat_penalty", s.repetition_penalty, 1e-6, kExtreme);
  inner.number("presence_penalty", s.presence_penalty, -2, 2);
  inner.number("frequency_penalty", s.frequency_penalty, -2, 2);
  int32_t mirostat = 0;
  inner.whole("mirostat", mirostat, 0, 2);
  if (mirostat == 1) inner.wrong("mirostat", "0 or 2: version 1 is not built");
  s.mirostat = mirostat == 2;
  inner.number("mirostat_tau", s.mirostat_tau, 0, kExtreme);
  inner.number("mirostat_eta", s.mirostat_eta, 0, 1);
  inner.texts("stop", ask.stop, kStopsMax);
  read_seed(inner, ask);
  inner.whole("num_predict", ask.tokens_max, -2, kAnswerTokensMax);
  if (ask.tokens_max == -2) ask.tokens_max = -1;  // "until the context is full", which -1 is too
}

// "json", or a schema.
void read_format(FieldReader& in, AnswerAsk& ask) {
  const Json* wanted = in.find("format");
  if (wanted == nullptr || wanted->text_or("?").empty()) return;
  if (wanted->is_object()) {
    ask.format.kind = AnswerFormat::Kind::kJsonSchema;
    ask.format.schema = *wanted;
  } else if (wanted->text_or("") == "json") {
    ask.format.kind = AnswerFormat::Kind::kJsonObject;
  } else {
    in.wrong("format", "\"json\" or a JSON schema");
  }
}

void read_think(FieldReader& in, ChatAsk& ask) {
  static constexpr std::string_view kEfforts[] = {"low", "medium", "high"};
  const Json* think = in.find("think");
  if (think == nullptr) return;
  if (think->is_bool()) {
    ask.think = think->as_bool();
  } else if (const auto effort = in.word("think", kEfforts)) {
    ask.think = true;
    ask.variables.set("reasoning_effort", kEfforts[*effort]);
  }
}

// What a chat and a generate request have in common: the fields, and reading them.
ApiTable answer_table(std::string_view name, std::vector<ApiField> own) {
  static const std::vector<ApiField> kCommon = {
      {"model"},
      {"adapters"},
      {"format"},
      {"options"},
      {"stream"},
      {"think"},
      {"logprobs"},
      {"top_logprobs"},
      {"keep_alive", kIgnored, kLoaded},
      {"truncate", kIgnored, "a prompt that does not fit is always refused, with the numbers"},
      {"shift", kIgnored, "a context is never shifted; an answer ends where it is full"}};
  own.insert(own.begin(), kCommon.begin(), kCommon.end());
  return {name, std::move(own)};
}

void read_answer(FieldReader& in, Api api, const ApiDefaults& defaults, ChatAsk& ask, std::optional<ApiError>& error) {
  AnswerAsk& answer = ask.answer;
  answer.api = api;
  answer.sampling = defaults.sampling;
  answer.stream = true;
  read_model(in, answer.model);
  in.flag("stream", answer.stream);
  read_format(in, answer);
  read_options(in, answer, error);
  bool logprobs = false;
  int32_t top = 0;
  in.flag("logprobs", logprobs);
  in.whole("top_logprobs", top, 0, kLogprobsMax);
  if (logprobs) answer.logprobs_top = top;
  read_think(in, ask);
}

// An embedding's options that change nothing, and Ollama's silent cut, which is not made.
constexpr std::string_view kTruncate = "an input that does not fit is always refused, with the numbers";

}  // namespace

const std::vector<const ApiTable*>& ollama_tables() {
  static const std::vector<const ApiTable*> kTables = {&kMessage, &kCall, &kCalledFunction, &kTool, &kFunction};
  return kTables;
}

const ApiTable& ollama_options_fields() {
  static const ApiTable kTable = {"options",
                                  {{"seed"},
                                   {"num_predict"},
                                   {"top_k"},
                                   {"top_p"},
                                   {"min_p"},
                                   {"typical_p"},
                                   {"repeat_last_n"},
                                   {"temperature"},
                                   {"repeat_penalty"},
                                   {"presence_penalty"},
                                   {"frequency_penalty"},
                                   {"mirostat"},
                                   {"mirostat_tau"},
                                   {"mirostat_eta"},
                                   {"stop"},
                                   {"num_ctx", kIgnored, kFixed},
                                   {"num_batch", kIgnored, kFixed},
                                   {"num_gpu", kIgnored, kFixed},
                                   {"main_gpu", kIgnored, kFixed},
                                   {"low_vram", kIgnored, kFixed},
                                   {"f16_kv", kIgnored, kFixed},
                                   {"num_thread", kIgnored, kFixed},
                                   {"numa", kIgnored, kFixed},
                                   {"use_mmap", kIgnored, kFixed},
                                   {"use_mlock", kIgnored, kFixed},
                                   {"vocab_only", kIgnored, kFixed},
                                   {"logits_all", kIgnored, kFixed},
                                   {"embedding_only", kIgnored, kFixed},
                                   {"num_keep", kIgnored, "a prompt is never cut, so nothing has to be kept"},
                                   {"penalize_newline", kIgnored, "Ollama itself no longer reads it"},
                                   {"tfs_z", kIgnored, "Ollama itself no longer reads it"}}};
  return kTable;
}

const ApiTable& ollama_chat_fields() {
  static const ApiTable kTable = answer_table("a chat", {{"messages"}, {"tools"}});
  return kTable;
}

ApiResult<ChatAsk> parse_ollama_chat(const Json& body, const ApiDefaults& defaults) {
  std::optional<ApiError> error;
  FieldReader in(body, ollama_chat_fields(), error);
  ChatAsk ask;
  read_answer(in, Api::kOllamaChat, defaults, ask, error);
  read_messages(in, ask, error);
  read_tools(in, ask, error);
  return finished(std::move(ask), error);
}

const ApiTable& ollama_generate_fields() {
  static const ApiTable kTable =
      answer_table("a generate request",
                   {{"prompt"},
                    {"system"},
                    {"raw"},
                    {"images"},
                    {"suffix", kRefused, "models here write on from the prompt's end; they fill no gaps"},
                    {"template", kRefused, "the model's own template is used; send the whole text with \"raw\""},
                    {"context", kRefused, "use /api/chat, which took its place"},
                    {"width", kRefused, kNoImages},
                    {"height", kRefused, kNoImages},
                    {"steps", kRefused, kNoImages}});
  return kTable;
}

ApiResult<GenerateAsk> parse_ollama_generate(const Json& body, const ApiDefaults& defaults) {
  std::optional<ApiError> error;
  FieldReader in(body, ollama_generate_fields(), error);
  GenerateAsk ask;
  read_answer(in, Api::kOllamaGenerate, defaults, ask.chat, error);
  refuse_images(in);
  std::string prompt, system;
  bool raw = false;
  in.text("prompt", prompt);
  in.text("system", system);
  in.flag("raw", raw);
  if (raw && !system.empty()) in.wrong("system", "left away where \"raw\" is true: the prompt is all the model sees");
  if (!system.empty()) ask.chat.messages.push(chat_message("system", std::move(system)));
  if (!prompt.empty()) ask.chat.messages.push(chat_message("user", prompt));
  ask.is_chat = !raw;
  ask.text.answer = ask.chat.answer;
  ask.text.raw = raw;
  ask.text.prompts.emplace_back(std::move(prompt));
  return finished(std::move(ask), error);
}

const ApiTable& ollama_show_fields() {
  static const ApiTable kTable = {"a show request",
                                  {{"model"},
                                   {"name"},
                                   {"verbose"},
                                   {"adapters"},
                                   {"system", kIgnored, kShown},
                                   {"template", kIgnored, kShown},
                                   {"options", kIgnored, kShown}}};
  return kTable;
}

ApiResult<ShowAsk> parse_ollama_show(const Json& body) {
  std::optional<ApiError> error;
  FieldReader in(body, ollama_show_fields(), error);
  ShowAsk ask;
  in.flag("verbose", ask.verbose);
  const Json* name = in.find("name");  // the older name of "model"
  if (name != nullptr && in.find("model") == nullptr) {
    Json renamed = Json::object();
    renamed.set("model", *name);
    FieldReader inner(renamed, ollama_show_fields(), error);
    read_model(inner, ask.model);
  } else {
    read_model(in, ask.model);
  }
  return finished(std::move(ask), error);
}

const ApiTable& ollama_embed_fields() {
  static const ApiTable kTable = {
      "an embed request",
      {{"model"},
       {"adapters"},
       {"input"},
       {"truncate", kIgnored, kTruncate},
       {"keep_alive", kIgnored, kLoaded},
       {"options", kIgnored, "none of them changes a vector"},
       {"dimensions", kRefused, "a model's vectors have the length that it was made with"}}};
  return kTable;
}

ApiResult<EmbeddingsAsk> parse_ollama_embed(const Json& body) {
  std::optional<ApiError> error;
  FieldReader in(body, ollama_embed_fields(), error);
  EmbeddingsAsk ask;
  read_model(in, ask.model);
  read_prompts(in, "input", ask.inputs);
  return finished(std::move(ask), error);
}

}  // namespace andiron
