// andiron chat: a conversation in the terminal.
//
// The conversation is a list of messages, rendered anew by the model's template for every turn; the session computes
// only what differs from what it holds. Nothing is ever cut from it unasked: a message that does not fit is refused
// with the numbers and with the /drop that makes room, and comes back for editing. A base model, which has no template,
// continues the text that the messages make; wearing an adapter, it is asked the way it was trained.
#include <algorithm>
#include <cstdio>
#include <optional>
#include <sstream>

#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/chat_history.h"
#include "cli/commands.h"
#include "cli/line_reader.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "text/chat_prompt.h"

namespace andiron {

namespace {

// A base model seldom ends by itself: so much at a time, then Enter goes on.
constexpr int64_t kContinuedTokens = 256;

constexpr const char* kHelp =
    "/system [TEXT]  show or set the system message\n"
    "/save FILE      write the conversation as JSON\n"
    "/load FILE      go on with a conversation written by /save\n"
    "/regen          answer the last message again, differently\n"
    "/edit [TEXT]    change the last message (without TEXT it comes back on the line)\n"
    "/adapter [A..]  wear these adapters (me, work:0.5), or none; without a name, say which are worn\n"
    "/drop [N]       forget the oldest N questions and answers (default 1), to make room\n"
    "/stats          speeds and memory\n"
    "/clear          begin anew; the system message stays\n"
    "/exit           leave (also Ctrl-D)\n"
    "A line that ends in \\ goes on in the next; \"\"\" begins and ends a message of several lines.\n"
    "Ctrl-C stops an answer and keeps the conversation. To send a message that begins with /, put a space before it.\n";

constexpr const char* kContinues =
    "This model has no chat template: it continues text. What you type is the text's next line; Enter alone goes on.";

void say(const std::string& text) { std::fprintf(stderr, "%s\n", printable(text).c_str()); }

// How a model is asked: with its template, or without one (see above).
struct Asking {
  ChatPrompt prompt;
  bool continues;
};

Result<Asking> choose_asking(const Tokenizer& tokenizer, const ChatCommandOptions& options, bool adapted) {
  const bool continues = !adapted && !ChatPrompt::can_chat(tokenizer);
  TRY_ASSIGN(auto prompt, continues ? ChatPrompt::create_for_continuing(tokenizer)
                                    : make_chat_prompt(tokenizer, options.model, options.chat_template, adapted));
  return Asking{std::move(prompt), continues};
}

class Chat {
 public:
  Chat(const GlobalOptions& global, const ChatCommandOptions& options, const Machine& machine,
       const LoadedModel& loaded, Asking asking, Session& session, DraftSource* draft, SamplerOptions sampling,
       std::shared_ptr<const TokenGrammar> grammar)
      : global_(global),
        options_(options),
        machine_(machine),
        loaded_(loaded),
        asking_(std::move(asking)),
        session_(session),
        draft_(draft),
        sampling_(std::move(sampling)),
        grammar_(std::move(grammar)),
        conversation_(options.system),
        reader_(state_file("chat_history")),
        interrupt_(/*second_ends=*/false) {
    for (const std::string& adapter : options.answer.adapters) worn_ += (worn_.empty() ? "" : " ") + adapter;
  }

  Status load(const std::string& path);
  int loop();

 private:
  std::optional<std::string> read_message();
  bool obey(const std::string& line);
  void ask(const std::string& text);
  void offer(const std::string& line);
  Result<PrefillReport> read_prompt();
  bool answer();
  std::string room_advice() const;
  void show_meter() const;
  void show_stats() const;
  void set_system(const std::string& text);
  Status save(const std::string& path) const;
  void regenerate();
  void edit(const std::string& text);
  void drop(const std::string& count);
  Status wear(const std::string& texts);

  const GlobalOptions& global_;
  const ChatCommandOptions& options_;
  const Machine& machine_;
  const LoadedModel& loaded_;
  Asking asking_;
  Session& session_;
  DraftSource* draft_;
  SamplerOptions sampling_;
  std::shared_ptr<const TokenGrammar> grammar_;
  ChatHistory conversation_;
  LineReader reader_;
  InterruptGuard interrupt_;
  std::string worn_;    // adapters, as they were typed
  std::string preset_;  // to be on the next line
  PrefillReport prefill_;
  GenerateReport report_;
};

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

// How to make room for an answer in the context, with the numbers.
std::string Chat::room_advice() const {
  const int64_t enough = session_.context() - session_.context() / 4;  // a quarter for the answer
  const size_t exchanges = conversation_.exchanges();
  for (size_t count = 1; count < exchanges; ++count) {
    ChatHistory shorter = conversation_;
    shorter.drop_oldest(count);
    const auto rendered = asking_.prompt.render(shorter.all());
    if (!rendered.ok()) break;
    const auto tokens = static_cast<int64_t>(asking_.prompt.tokens(*rendered).size());
    if (tokens > enough) continue;
    return format("/drop {} forgets the oldest {} of {} exchanges, which leaves {} of {} tokens", count, count,
                  exchanges, human_count(tokens), human_count(session_.context()));
  }
  return "/clear begins anew; start with a larger --ctx to hold more";
}

void Chat::show_meter() const {
  if (global_.quiet) return;
  const auto used = static_cast<int64_t>(session_.tokens().size());
  std::string text =
      format("[{} of {} tokens, {:.0f}%; {:.1f} tokens/s", human_count(used), human_count(session_.context()),
             100.0 * static_cast<double>(used) / static_cast<double>(session_.context()), report_.tokens_per_s());
  if (report_.reason == FinishReason::kContext) text += "; the context is full: " + room_advice();
  if (report_.reason == FinishReason::kCancelled) text += "; stopped";
  if (asking_.continues && report_.reason == FinishReason::kLength) text += "; Enter goes on";
  say(text + "]");
}

// Brings the session to the end of the conversation.
Result<PrefillReport> Chat::read_prompt() {
  TRY_ASSIGN(const auto rendered, asking_.prompt.render(conversation_.all()));
  const auto tokens = asking_.prompt.tokens(rendered);
  if (static_cast<int64_t>(tokens.size()) >= session_.context() && conversation_.exchanges() > 1) {
    return make_error("the conversation has {} tokens and does not fit: the context holds {}. {}",
                      human_count(std::ssize(tokens)), human_count(session_.context()), room_advice());
  }
  Progress progress("reading", Progress::Unit::kTokens, global_.quiet);
  auto report =
      session_.prefill(tokens, {interrupt_.flag(), [&](int64_t done, int64_t total) { progress.update(done, total); }});
  progress.clear();
  return report;
}

// Answers the last message. On failure says why and returns false; the messages are as they were.
bool Chat::answer() {
  interrupt_.clear();
  const auto prefill = read_prompt();
  if (!prefill.ok() || prefill->cancelled) {
    say(prefill.ok() ? "[stopped]" : "error: " + prefill.error().message);
    return false;
  }
  prefill_ = *prefill;
  GenerateOptions generate;
  generate.sampling = sampling_;
  generate.tokens_max = options_.answer.tokens_max;
  if (asking_.continues && generate.tokens_max < 0) generate.tokens_max = kContinuedTokens;
  generate.stop = options_.answer.stop;
  generate.strip_first_space = grammar_ == nullptr && !asking_.continues;
  generate.grammar = grammar_;
  generate.draft = draft_;
  generate.cancel = interrupt_.flag();
  std::string text;
  const auto report = session_.generate(generate, [&](const TokenEvent& event) {
    text += event.text;
    write_untrusted(stdout, event.text);
    if (!event.text.empty()) std::fflush(stdout);
    return std::ferror(stdout) == 0;
  });
  std::fputc('\n', stdout);
  std::fflush(stdout);
  interrupt_.clear();
  if (!report.ok()) {
    say("error: " + report.error().message);
    return false;
  }
  report_ = *report;
  conversation_.add("assistant", text);
  show_meter();
  return true;
}

void Chat::ask(const std::string& text) {
  conversation_.add("user", text);
  if (answer()) return;
  conversation_.pop();
  offer(text);
}

// Puts a line back for editing, where the line editor can hold it.
void Chat::offer(const std::string& line) {
  if (reader_.interactive() && line.find('\n') == std::string::npos) preset_ = line;
}

void Chat::regenerate() {
  const ChatHistory before = conversation_;
  if (!conversation_.rewind_to_question()) {
    say("There is no message yet.");
    return;
  }
  ++sampling_.seed;
  if (!answer()) conversation_ = before;
}

void Chat::edit(const std::string& text) {
  const ChatHistory before = conversation_;
  if (!conversation_.rewind_to_question()) {
    say("There is no message yet.");
    return;
  }
  if (!text.empty()) {
    conversation_.set_last_text(text);
    if (answer()) return;
    offer("/edit " + text);
  } else if (const std::string old = conversation_.last_text(); !reader_.interactive()) {
    say("/edit needs the new text here, because this is not a terminal.");
  } else if (old.find('\n') == std::string::npos) {
    offer("/edit " + old);
  } else {
    say("The last message has several lines. Give the new text after /edit (a \\ at the end of a line goes on):");
    write_untrusted(stderr, old + "\n");
  }
  conversation_ = before;
}

void Chat::drop(const std::string& count) {
  const auto wanted = count.empty() ? Result<int64_t>(1) : parse_int(count, "/drop");
  if (!wanted.ok() || *wanted < 1) {
    say(format("/drop {}: expected how many exchanges to forget, such as /drop 2", in_quotes(count)));
    return;
  }
  const size_t exchanges = conversation_.exchanges();
  const size_t dropped = std::min(exchanges, static_cast<size_t>(*wanted));
  conversation_.drop_oldest(static_cast<size_t>(*wanted));
  say(format("[{} of {} forgotten]", dropped, counted(static_cast<int64_t>(exchanges), "exchange")));
}

void Chat::set_system(const std::string& text) {
  if (!text.empty()) conversation_.set_system(text);
  say(conversation_.system().empty() ? "There is no system message." : "system: " + conversation_.system());
}

Status Chat::save(const std::string& path) const {
  if (path.empty()) return make_error("/save needs a file name");
  const Json messages = conversation_.all();
  Json json = Json::object();
  json.set("model", loaded_.model->source().path());
  json.set("messages", messages);
  TRY(write_text_file(path, json.dump(2) + "\n", /*private_to_user=*/true));
  say(format("{} written to {}", counted(std::ssize(messages.items()), "message"), path));
  return {};
}

Status Chat::load(const std::string& path) {
  if (path.empty()) return make_error("/load needs a file name");
  TRY_ASSIGN(const std::string text, read_text_file(path));
  TRY_ASSIGN(const Json json, parse_json(text, path));
  TRY_ASSIGN(conversation_, ChatHistory::from_json(json, path));
  say(format("{} read from {}", counted(std::ssize(conversation_.all().items()), "message"), path));
  return {};
}

void Chat::show_stats() const {
  const double computed = static_cast<double>(prefill_.tokens - prefill_.reused);
  say(format("model       {} ({}), loaded in {:.0f} ms", loaded_.model->config().name,
             human_bytes(loaded_.model->weight_bytes()), loaded_.load_ms));
  say(format("prompt      {}, {} of them remembered; the rest at {:.1f} tokens/s", counted(prefill_.tokens, "token"),
             prefill_.reused, prefill_.ms > 0 ? 1000 * computed / prefill_.ms : 0));
  say(format("answer      {} at {:.1f} tokens/s, the first after {:.0f} ms; ended by \"{}\"",
             counted(report_.tokens, "token"), report_.tokens_per_s(), report_.first_token_ms,
             finish_reason_name(report_.reason)));
  if (report_.drafted > 0) say(format("guesses     {} of {} right", report_.draft_accepted, report_.drafted));
  say(format("context     {} of {} tokens", human_count(std::ssize(session_.tokens())),
             human_count(session_.context())));
  say(format("memory      {} at most so far", human_bytes(peak_memory_bytes())));
  say(format("seed        {}", sampling_.seed));
}

// "/adapter me work:0.5": from now on these; "/adapter none": none; "/adapter": which there are.
Status Chat::wear(const std::string& texts) {
  std::istringstream words(texts);
  std::vector<std::string> asked;
  for (std::string word; words >> word;) asked.push_back(word);
  if (asked.empty()) {
    say(worn_.empty() ? "No adapter is worn." : "Worn: " + worn_);
    return {};
  }
  const bool none = asked.size() == 1 && asked[0] == "none";
  if (none) asked.clear();
  TRY_ASSIGN(const auto entries, parse_adapters(asked));
  TRY_ASSIGN(auto stack, load_stack(global_, entries, machine_, *loaded_.model));
  TRY_ASSIGN(asking_, choose_asking(session_.tokenizer(), options_, may_have_chatted(entries)));
  session_.wear(std::move(stack));
  worn_ = none ? "" : texts;
  if (asking_.continues && !global_.quiet) say(kContinues);
  return {};
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
  } else if (name == "/drop") {
    drop(rest);
  } else if (name == "/stats") {
    show_stats();
  } else if (name == "/adapter") {
    report(wear(rest));
  } else if (name == "/clear") {
    conversation_.clear();
  } else {
    say(format("{} is not a command; /help lists them.", in_quotes(name)));
  }
  return true;
}

int Chat::loop() {
  if (asking_.continues && !global_.quiet) say(kContinues);
  if (reader_.interactive()) say("Type a message, or /help.");
  while (const auto message = read_message()) {
    if (is_blank(*message)) {
      if (asking_.continues && !conversation_.empty()) answer();
      continue;
    }
    reader_.remember(*message);
    if (message->front() == '/') {
      if (!obey(*message)) break;
    } else {
      ask(*message);
    }
    if (std::ferror(stdout) != 0) break;  // nobody can read the answers; main() reports it
  }
  return 0;
}

}  // namespace

Result<int> chat_command(const GlobalOptions& global, const ChatCommandOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source(), options.chat_template));
  TRY_ASSIGN(const auto worn, parse_adapters(options.answer.adapters));
  TRY_ASSIGN(auto asking, choose_asking(*tokenizer, options, may_have_chatted(worn)));
  constexpr size_t kAnyPrompt = SIZE_MAX >> 1;
  TRY_ASSIGN(auto session, Session::create(loaded.model, *tokenizer, *machine.kernels, *machine.team,
                                           session_options(global, machine, kAnyPrompt)));
  TRY_ASSIGN(const auto draft, make_draft_source(global, options.answer, machine, *tokenizer, session->context()));
  TRY_ASSIGN(auto sampling, resolve_sampling(options.answer, *tokenizer));
  TRY_ASSIGN(auto grammar, load_grammar(options.answer, *tokenizer));
  TRY_ASSIGN(auto adapters, load_stack(global, worn, machine, *loaded.model));
  session->wear(std::move(adapters));
  Chat chat(global, options, machine, loaded, std::move(asking), *session, draft.get(), std::move(sampling),
            std::move(grammar));
  if (!options.load.empty()) TRY(chat.load(options.load));
  return chat.loop();
}

}  // namespace andiron
