// andiron template: a chat exactly as the model will see it.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/terminal.h"
#include "text/chat_prompt.h"

namespace andiron {

namespace {

Result<Json> read_json(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_input(path));
  return parse_json(text, path);
}

Json prompt_json(const RenderedPrompt& prompt, const std::vector<int32_t>& ids) {
  Json segments = Json::array();
  for (const Segment& segment : prompt.segments) {
    segments.push(Json(Json::Object{{"text", Json(segment.text)}, {"trusted", Json(segment.trusted)}}));
  }
  Json list = Json::array();
  for (const int32_t id : ids) list.push(int64_t{id});
  return Json(Json::Object{{"text", Json(prompt.text)}, {"segments", std::move(segments)}, {"ids", std::move(list)}});
}

}  // namespace

Result<int> template_command(const GlobalOptions&, const TemplateOptions& options) {
  if (options.messages == "-" && options.tools == "-") {
    return make_error("--messages and --tools cannot both be standard input");
  }
  TRY_ASSIGN(Json messages, read_json(options.messages));
  // A file that /save wrote, or the body of a request, holds the list under this name.
  if (const Json* inner = messages.find("messages")) messages = Json(*inner);
  Json tools;
  if (!options.tools.empty()) {
    TRY_ASSIGN(tools, read_json(options.tools));
  }
  TRY_ASSIGN(const auto tokenizer, open_tokenizer(options.model, options.chat_template));
  TRY_ASSIGN(const auto chat, make_chat_prompt(*tokenizer, options.model, options.chat_template, /*adapted=*/false));
  ChatOptions chat_options;
  chat_options.add_generation_prompt = !options.no_generation_prompt;
  TRY_ASSIGN(const RenderedPrompt prompt, chat.render(messages, tools, std::move(chat_options)));
  if (options.json) {
    print_json(prompt_json(prompt, chat.tokens(prompt)));
  } else {
    write_untrusted(stdout, prompt.text);
    if (is_terminal(stdout)) std::fputc('\n', stdout);
  }
  return 0;
}

}  // namespace andiron
