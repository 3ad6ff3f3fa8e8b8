// Requests: any JSON as a request of any API. What is taken is planned and answered; what is refused says why.
#include <cstdlib>
#include <string_view>

#include "base/strings.h"
#include "serve/api_answer.h"
#include "serve/api_anthropic.h"
#include "serve/api_grammar.h"
#include "serve/api_ollama.h"
#include "serve/api_openai.h"

namespace {

using namespace andiron;

template <typename T>
T* taken(ApiResult<T>& ask) {
  if (ask.ok()) return &*ask;
  const ApiError& error = ask.error();
  if (error.status != 400 || error.message.empty() || error.code.empty() || !is_valid_utf8(error.message)) std::abort();
  return nullptr;
}

void answer(const ChatAsk& ask) {
  const AnswerStyle style = find_answer_style("<think></think><tool_call><function=<parameter=", true);
  auto plan = plan_answer(ask, style, "<think>\n", [](std::string_view) { return false; });
  if (!plan.ok()) {
    if (plan.error().message.empty()) std::abort();
    return;
  }
  const auto writer = make_answer_writer(ask.answer, {"id", 0, ask.answer.model.asked, "fp"}, ask.echo);
  AnswerChoice choice;
  choice.add(std::vector<AnswerPart>{{AnswerPart::Kind::kText, "text", ""}});
  const std::string whole = writer->whole({&choice, 1}, {}).dump();
  if (!parse_json(whole, "answer", {.depth = 96}).ok()) std::abort();
}

void chat(ApiResult<ChatAsk> ask) {
  if (const ChatAsk* chat = taken(ask)) answer(*chat);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto body =
      parse_json({reinterpret_cast<const char*>(data) + 1, size - 1}, "request", {.depth = 64, .values = 100'000});
  if (!body.ok()) return 0;
  const ApiDefaults defaults;
  switch (data[0] % 10) {
    case 0: chat(parse_openai_chat(*body, defaults)); break;
    case 1: chat(parse_openai_response(*body, defaults)); break;
    case 2: chat(parse_anthropic(*body, defaults)); break;
    case 3: chat(parse_ollama_chat(*body, defaults)); break;
    case 4: {
      auto ask = parse_ollama_generate(*body, defaults);
      if (const GenerateAsk* generate = taken(ask)) answer(generate->chat);
      break;
    }
    case 5: {
      auto ask = parse_openai_completion(*body, defaults);
      taken(ask);
      break;
    }
    case 6: {
      auto ask = parse_openai_embeddings(*body);
      taken(ask);
      break;
    }
    case 7: {
      auto ask = parse_tokenize(*body);
      taken(ask);
      break;
    }
    case 8: {
      auto ask = parse_ollama_show(*body);
      taken(ask);
      break;
    }
    case 9: chat(parse_anthropic_count(*body)); break;
  }
  return 0;
}
