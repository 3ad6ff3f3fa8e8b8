// andiron adapters diff: one prompt answered with two stacks of adapters.
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"
#include "cli/answering.h"
#include "cli/app.h"
#include "cli/columns.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

struct Side {
  std::string name;  // as it was typed
  std::vector<StackEntry> entries;
  std::shared_ptr<const AdapterStack> stack;
  WholeAnswer answer;
};

Json side_json(const Side& side) {
  Json adapters = Json::array();
  for (const StackEntry& entry : side.entries) {
    Json one = Json::object();
    one.set("path", entry.path).set("strength", static_cast<double>(entry.strength));
    adapters.push(std::move(one));
  }
  Json ids = Json::array();
  for (const int32_t id : side.answer.ids) ids.push(int64_t{id});
  Json json = Json::object();
  json.set("stack", side.name).set("adapters", std::move(adapters)).set("text", side.answer.text);
  json.set("ids", std::move(ids)).set("finish_reason", finish_reason_name(side.answer.reason));
  return json;
}

// How many tokens both answers begin with.
size_t common_tokens(const std::array<Side, 2>& sides) {
  const auto& a = sides[0].answer.ids;
  const auto& b = sides[1].answer.ids;
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

void print_sides(const std::array<Side, 2>& sides) {
  if (is_terminal(stdout)) {
    const auto columns = static_cast<size_t>(terminal_columns(stdout));
    const std::string divider = writes_utf8() ? " \u2502 " : " | ";
    const auto show = [&](const std::string& left, const std::string& right) {
      std::fputs(side_by_side(printable(left), printable(right), columns, divider).c_str(), stdout);
    };
    show(sides[0].name, sides[1].name);
    show("", "");
    show(sides[0].answer.text, sides[1].answer.text);
    return;
  }
  for (const Side& side : sides) {
    std::fprintf(stdout, "%s== %s ==\n", &side == sides.data() ? "" : "\n", side.name.c_str());
    write_untrusted(stdout, side.answer.text);
    std::fputc('\n', stdout);
  }
}

}  // namespace

Result<int> diff_adapters_command(const GlobalOptions& global, const AdapterDiffOptions& options) {
  const RunOptions& run = options.run;
  std::array<Side, 2> sides;
  for (size_t i = 0; i < 2; ++i) {
    sides[i].name = i == 0 ? options.a : options.b;
    TRY_ASSIGN(sides[i].entries, parse_stack(sides[i].name));
  }
  TRY_ASSIGN(const std::string prompt,
             run.prompt_file.empty() ? Result<std::string>(run.prompt) : read_input(run.prompt_file));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, run.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source(), run.chat_template));
  for (Side& side : sides) {
    TRY_ASSIGN(side.stack, load_stack(global, side.entries, machine, *loaded.model));
  }
  const bool adapted = may_have_chatted(sides[0].entries) || may_have_chatted(sides[1].entries);
  TRY_ASSIGN(const auto tokens, prompt_tokens(run, prompt, *tokenizer, adapted));
  TRY_ASSIGN(auto session, Session::create(loaded.model, *tokenizer, *machine.kernels, *machine.team,
                                           session_options(global, machine, tokens.size())));
  GenerateOptions generate;
  TRY_ASSIGN(generate.sampling, resolve_sampling(run.answer, *tokenizer));
  generate.tokens_max = run.answer.tokens_max;
  generate.strip_first_space = prompt.empty() || run.chat;
  const InterruptGuard interrupt(/*second_ends=*/true);
  generate.cancel = interrupt.flag();
  for (Side& side : sides) {
    Progress progress(format("answering with {}", side.name), Progress::Unit::kTokens, global.quiet);
    session->wear(side.stack);
    TRY_ASSIGN(side.answer, answer_whole(*session, tokens, generate, [&](std::string_view) {
                 const auto count = static_cast<uint64_t>(std::max<int64_t>(1, run.answer.tokens_max));
                 progress.update(session->tokens().size() - tokens.size(), count);
                 return true;
               }));
    if (interrupt.interrupted()) return kExitInterrupted;
  }
  if (!run.json) {
    print_sides(sides);
    return 0;
  }
  Json json = Json::object();
  json.set("prompt", prompt).set("seed", generate.sampling.seed);
  json.set("answers", Json(Json::Array{side_json(sides[0]), side_json(sides[1])}));
  json.set("same", sides[0].answer.ids == sides[1].answer.ids);
  json.set("common_tokens", static_cast<int64_t>(common_tokens(sides)));
  print_json(json);
  return 0;
}

}  // namespace andiron
