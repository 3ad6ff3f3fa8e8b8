// andiron chat: a conversation in the terminal.
//
// The conversation is a list of messages, rendered anew by the model's template for every turn; the session computes
// only what differs from what it holds. Nothing is ever cut from it: a message that does not fit is refused with the
// numbers, and comes back for editing.
#include <cstdio>
#include <optional>

#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "text/chat_prompt.h"

namespace andiron {

namespace {

constexpr const char* kHelp =
    "/system [TEXT]  show or set the system message\n"
    "/save FILE      write the conversation as JSON\n"
    "/load FILE      go on with a conversation written by /save\n"
    "/regen          answer the last message again, differently\n"
    "/edit [TEXT]    change the last message (without TEXT it comes back on the line)\n"
    "/stats          speeds and memory\n"
    "/clear          begin anew; the system message stays\n"
    "/exit           leave (also Ctrl-D)\n"
    "A line that ends in \\ goes on in the next; \"\"\" begins and ends a message of several lines.\n"
    "Ctrl-C stops an answer and keeps the conversation. To send a message that begins with /, put a space before it.\n";

void say(const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); }

class Chat {
 public:
  Chat(const GlobalOptions& global, const ChatCommandOptions& options, const LoadedModel& loaded, ChatPrompt prompt,
       Session& session, DraftSource* draft, SamplerOptions sampling)
      : global_(global),
        options_(options),
        loaded_(loaded),
        prompt_(std::move(prompt)),
        session_(session),
        draft_(draft),
        sampling_(std::move(sampling)),
        system_(options.system),
        reader_(state_file("chat_history")),
        interrupt_(/*second_ends=*/false) {}

  Status load(const std::string& path);
  int loop();

 private:
  std::optional<std::string> read_message();
  bool obey(const std::string& line);
  void ask(const std::string& text);
  bool answer();
  void show_meter() const;
  void show_stats() const;
  void set_system(const std::string& text);
  Status save(const std::string& path) const;
  void regenerate();
  void edit(const std::string& text);
  std::optional<std::string> take_back();
  Json all_messages() const;

  const GlobalOptions& global_;
  const ChatCommandOptions& options_;
  const LoadedModel& loaded_;
  ChatPrompt prompt_;
  Session& session_;
  DraftSource* draft_;
  SamplerOptions sampling_;
  std::string system_;
  Json messages_ = Json::array();  // without the system message
  LineReader reader_;
  InterruptGuard interrupt_;
  std::string preset_;  // to be on the next line
  PrefillReport prefill_;
  GenerateReport report_;
};

Json Chat::all_messages() const {
  Json all = Json::array();
  if (!system_.empty()) all.push(chat_message("system", system_));
  for (const Json& message : messages_.items()) all.push(Json(message));
  return all;
}

// A whole message, or nothing at the end of the input. Ctrl-C drops what was typed.
std::optional<std::string> Chat::read_message() {
  std::string text;
  bool quoted_block = false;
  for (bool first = true;;) {
    const InputLine line = reader_.read(first ? "> " : ". ", first ? std::exchange(preset_, "") : "");
    if (line.end == InputEnd::kEnd) return first ? std::nullopt : std::optional(text);
    if (line.end == InputEnd::kInterrupt) {
      interrupt_.clear();
      if (first) say("To leave, type /exit or press Ctrl-D.");
      text.clear();
      quoted_block = false;
      first = true;
      continue;
    }
    std::string part = line.text;
    if (first && part.starts_with("\"\"\"")) {
      quoted_block = true;
      part.erase(0, 3);
      if (part.empty()) {
        first = false;
        continue;
      }
    }
    const bool closes = quoted_block && part.ends_with("\"\"\"");
    const bool continues = !quoted_block && part.ends_with("\\");
    if (closes) part.resize(part.size() - 3);
    if (continues) part.back() = '\n';
    text += part;
    first = false;
    if (closes || (!quoted_block && !continues)) return text;
    if (quoted_block) text += '\n';
  }
}

void Chat::show_meter() const {
  if (global_.quiet) return;
  const auto used = static_cast<int64_t>(session_.tokens().size());
  std::string text =
      format("[{} of {} tokens, {:.0f}%; {:.1f} tokens/s", human_count(used), human_count(session_.context()),
             100.0 * static_cast<double>(used) / static_cast<double>(session_.context()), report_.tokens_per_s());
  if (report_.reason == FinishReason::kContext)
    text += "; the context is full: /clear, /edit, or start with a larger --ctx";
  if (report_.reason == FinishReason::kCancelled) text += "; stopped";
  say(text + "]");
}

// Answers the last message. On failure says why and returns false; the messages are as they were.
bool Chat::answer() {
  const auto rendered = prompt_.render(all_messages());
  if (!rendered.ok()) {
    say("error: " + rendered.error().message);
    return false;
  }
  interrupt_.clear();
  Progress progress("reading", Progress::Unit::kTokens, global_.quiet);
  const auto prefill =
      session_.prefill(prompt_.tokens(*rendered),
                       {interrupt_.flag(), [&](int64_t done, int64_t total) { progress.update(done, total); }});
  progress.clear();
  if (!prefill.ok() || prefill->cancelled) {
    say(prefill.ok() ? "[stopped]" : "error: " + prefill.error().message);
    return false;
  }
  prefill_ = *prefill;
  GenerateOptions generate;
  generate.sampling = sampling_;
  generate.tokens_max = options_.answer.tokens_max;
  generate.stop = options_.answer.stop;
  generate.strip_first_space = true;
  generate.draft = draft_;
  generate.cancel = interrupt_.flag();
  std::string text;
  const auto report = session_.generate(generate, [&](const TokenEvent& event) {
    text += event.text;
    write_untrusted(stdout, event.text);
    if (!event.text.empty()) std::fflush(stdout);
    return true;
  });
  std::fputc('\n', stdout);
  std::fflush(stdout);
  interrupt_.clear();
  if (!report.ok()) {
    say("error: " + report.error().message);
    return false;
  }
  report_ = *report;
  messages_.push(chat_message("assistant", text));
  show_meter();
  return true;
}

void Chat::ask(const std::string& text) {
  messages_.push(chat_message("user", text));
  if (answer()) return;
  messages_.items().pop_back();
  if (reader_.interactive() && text.find('\n') == std::string::npos) preset_ = text;
}

// Removes the last user message and what followed it; returns its text.
std::optional<std::string> Chat::take_back() {
  Json::Array& list = messages_.items();
  for (size_t i = list.size(); i > 0; --i) {
    const Json* role = list[i - 1].find("role");
    if (role == nullptr || !role->is_string() || role->as_string() != "user") continue;
    const Json* content = list[i - 1].find("content");
    std::string text = content != nullptr && content->is_string() ? content->as_string() : "";
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(i) - 1, list.end());
    return text;
  }
  say("There is no message yet.");
  return std::nullopt;
}

void Chat::regenerate() {
  const Json before = messages_;
  const auto text = take_back();
  if (!text) return;
  ++sampling_.seed;
  messages_.push(chat_message("user", *text));
  if (!answer()) messages_ = before;
}

void Chat::edit(const std::string& text) {
  if (text.empty() && !reader_.interactive()) {
    say("/edit needs the new text here, because this is not a terminal.");
    return;
  }
  const Json before = messages_;
  const auto old = take_back();
  if (!old) return;
  if (!text.empty()) {
    ask(text);
  } else if (old->find('\n') == std::string::npos) {
    preset_ = *old;
  } else {  // the line editor holds one line
    messages_ = before;
    say("The last message has several lines. Give the new text after /edit (a \\ at the end of a line goes on):");
    write_untrusted(stderr, *old + "\n");
  }
}

void Chat::set_system(const std::string& text) {
  if (!text.empty()) system_ = text;
  say(system_.empty() ? "There is no system message." : "system: " + system_);
}

Status Chat::save(const std::string& path) const {
  if (path.empty()) return make_error("/save needs a file name");
  Json json = Json::object();
  json.set("model", loaded_.model->source().path());
  json.set("messages", all_messages());
  TRY(write_text_file(path, json.dump(2) + "\n", /*private_to_user=*/true));
  say(format("{} messages written to {}", all_messages().items().size(), path));
  return {};
}

Status Chat::load(const std::string& path) {
  if (path.empty()) return make_error("/load needs a file name");
  TRY_ASSIGN(const std::string text, read_text_file(path));
  TRY_ASSIGN(const Json json, parse_json(text, path));
  const Json* list = json.is_array() ? &json : json.find("messages");
  if (list == nullptr || !list->is_array()) {
    return make_error("{}: expected a list of messages, or an object with \"messages\"", path);
  }
  Json messages = Json::array();
  std::string system;
  for (const Json& message : list->items()) {
    const Json* role = message.find("role");
    const Json* content = message.find("content");
    if (role == nullptr || !role->is_string()) return make_error("{}: a message has no \"role\"", path);
    if (role->as_string() == "system" && messages.items().empty() && content != nullptr && content->is_string()) {
      system = content->as_string();
    } else {
      messages.push(Json(message));
    }
  }
  messages_ = std::move(messages);
  system_ = std::move(system);
  say(format("{} messages read from {}", list->items().size(), path));
  return {};
}

void Chat::show_stats() const {
  const double computed = static_cast<double>(prefill_.tokens - prefill_.reused);
  say(format("model       {} ({}), loaded in {:.0f} ms", loaded_.model->config().name,
             human_bytes(loaded_.model->weight_bytes()), loaded_.load_ms));
  say(format("prompt      {} tokens, {} of them remembered; the rest at {:.1f} tokens/s", prefill_.tokens,
             prefill_.reused, prefill_.ms > 0 ? 1000 * computed / prefill_.ms : 0));
  say(format("answer      {} tokens at {:.1f} tokens/s, the first after {:.0f} ms; ended by \"{}\"", report_.tokens,
             report_.tokens_per_s(), report_.first_token_ms, finish_reason_name(report_.reason)));
  if (report_.drafted > 0) say(format("guesses     {} of {} right", report_.draft_accepted, report_.drafted));
  say(format("context     {} of {} tokens", session_.tokens().size(), session_.context()));
  say(format("memory      {} at most so far", human_bytes(peak_memory_bytes())));
  say(format("seed        {}", sampling_.seed));
}

// Carries out a line that begins with '/'. False: leave.
bool Chat::obey(const std::string& line) {
  const size_t space = line.find(' ');
  const std::string name = line.substr(0, space);
  const size_t begin = space == std::string::npos ? space : line.find_first_not_of(' ', space);
  const std::string rest = begin == std::string::npos ? "" : line.substr(begin);
  const auto report = [](const Status& status) {
    if (!status.ok()) say("error: " + status.error().message);
  };
  if (name == "/exit" || name == "/quit" || name == "/bye") return false;
  if (name == "/help") {
    std::fputs(kHelp, stderr);
  } else if (name == "/system") {
    set_system(rest);
  } else if (name == "/save") {
    report(save(rest));
  } else if (name == "/load") {
    report(load(rest));
  } else if (name == "/regen") {
    regenerate();
  } else if (name == "/edit") {
    edit(rest);
  } else if (name == "/stats") {
    show_stats();
  } else if (name == "/clear") {
    messages_ = Json::array();
  } else {
    say(format("{} is not a command; /help lists them.", quoted(name)));
  }
  return true;
}

int Chat::loop() {
  if (reader_.interactive()) say("Type a message, or /help.");
  while (const auto message = read_message()) {
    if (message->find_first_not_of(" \t\n") == std::string::npos) continue;
    reader_.remember(*message);
    if (message->front() == '/') {
      if (!obey(*message)) break;
    } else {
      ask(*message);
    }
  }
  return 0;
}

}  // namespace

Result<int> chat_command(const GlobalOptions& global, const ChatCommandOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source()));
  TRY_ASSIGN(auto prompt, ChatPrompt::create(*tokenizer, options.model));
  constexpr size_t kAnyPrompt = SIZE_MAX >> 1;
  TRY_ASSIGN(auto session, Session::create(loaded.model, *tokenizer, *machine.kernels, *machine.team,
                                           session_options(global, machine, kAnyPrompt)));
  TRY_ASSIGN(const auto draft, make_draft_source(global, options.answer, machine, *tokenizer, session->context()));
  TRY_ASSIGN(auto sampling, resolve_sampling(options.answer, *tokenizer));
  Chat chat(global, options, loaded, std::move(prompt), *session, draft.get(), std::move(sampling));
  if (!options.load.empty()) TRY(chat.load(options.load));
  return chat.loop();
}

}  // namespace andiron
