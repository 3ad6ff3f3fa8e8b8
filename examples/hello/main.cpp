// hello MODEL TEXT: answers a question, or goes on with a text when the model is no chat model.
//
// Build it against an installed andiron:
//   cmake --preset release && cmake --build build/release && cmake --install build/release --prefix ~/andiron
//   cmake -S examples/hello -B build/hello -DCMAKE_PREFIX_PATH=~/andiron && cmake --build build/hello
#include <andiron/chat.h>
#include <andiron/model.h>
#include <andiron/session.h>

#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

namespace {

int fail(const andiron::Error& error) {
  std::cerr << "hello: " << error.message << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: hello MODEL TEXT\n";
    return 2;
  }
  const auto model = andiron::Model::open(argv[1]);
  if (!model.ok()) return fail(model.error());
  auto session = andiron::Session::create(*model);
  if (!session.ok()) return fail(session.error());

  andiron::GenerateOptions options;
  options.sampling.temperature = 0;
  options.tokens_max = 200;
  std::vector<int32_t> tokens = model->tokenizer().encode(argv[2]);
  options.begins_text = std::string(argv[2]).empty();
  if (const auto chat = andiron::ChatTemplate::create(*model); chat.ok()) {
    auto prompt = chat->render({{"user", argv[2]}});
    if (!prompt.ok()) return fail(prompt.error());
    tokens = prompt->tokens;
    options.begins_text = true;
  }
  const auto report = session->set_prompt(tokens);
  if (!report.ok()) return fail(report.error());
  const auto answer = session->generate(options, [](const andiron::Token& token) {
    std::cout << token.text << std::flush;
    return true;
  });
  if (!answer.ok()) return fail(answer.error());
  std::cout << '\n';
}
