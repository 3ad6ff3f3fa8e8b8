// What the files that describe the command line share. CLI11 takes ten seconds to compile: only they include it.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/strings.h"
#include "cli/command_line.h"
#include "cli/terminal.h"

namespace andiron {

inline constexpr int64_t kTokensLimit = int64_t{1} << 31;

inline void add_examples(CLI::App* app, std::initializer_list<const char*> lines) {
  std::string text = "Examples:";
  for (const char* line : lines) text += std::string("\n  ") + line;
  app->footer(text);
}

// Throws what parse_command_line() reports as wrong usage.
inline void require(const Status& status) {
  if (!status.ok()) throw CLI::ValidationError(printable(status.error().message));
}
template <typename T>
void require(const Result<T>& result) {
  if (!result.ok()) throw CLI::ValidationError(printable(result.error().message));
}

// A whole number in decimal. CLI11 alone would take 010 for 8, and wrap what is below the least negative number.
inline CLI::Validator whole(int64_t low, int64_t high) {
  const auto check = [=](std::string& text) -> std::string {
    const auto value = parse_int(text, "");
    if (!value.ok() || *value < low || *value > high) {
      return format("expected a whole number from {} to {}, got \"{}\"", low, high, andiron::in_quotes(text));
    }
    text = std::to_string(*value);
    return "";
  };
  return CLI::Validator(check, format("INT in [{} - {}]", low, high));
}

template <typename T>
void add_number(CLI::App* app, const char* name, T& value, const char* help) {
  app->add_option(name, value, help)->capture_default_str();
}

inline void add_model(CLI::App* app, std::string& model) {
  app->add_option("MODEL", model, ".gguf file or Hugging Face folder")->required();
}

// Where it may be left out: ember then.
inline void add_model_or_ember(CLI::App* app, std::string& model) {
  app->add_option("MODEL", model, ".gguf file or Hugging Face folder")->capture_default_str();
}

// The names of an enumeration's values from 0 to `last`, as add_choice() takes them.
template <typename E>
std::string choices(E last, std::string_view (*name)(E)) {
  std::string out;
  for (int i = 0; i <= static_cast<int>(last); ++i) out += format("{}{}", i == 0 ? "" : "|", name(static_cast<E>(i)));
  return out;
}

// A value that is one of a few: "a|b|c", which help shows and completion offers. Who uses it checks it.
inline CLI::Option* add_choice(CLI::App* app, const char* name, std::string& value, const std::string& among,
                               const char* help) {
  return app->add_option(name, value, help)->type_name(among);
}

// What is offered where an adapter is expected: command_line_completion.cpp knows options by it.
inline constexpr const char* kAdapterType = "ADAPTER";
inline constexpr const char* kQuantType = "TYPE";  // likewise

inline CLI::Option* add_chat_template(CLI::App* app, std::string& file) {
  return app->add_option("--template", file, "Jinja file with a chat template, instead of the model's own");
}

// `check` tells what can be told of the options without the model: a function that throws, or none.
template <typename Options, typename Command, typename Check>
void on_parsed(CLI::App* app, CommandLine& line, std::shared_ptr<Options> options, Command command, Check check) {
  app->callback([&line, options, command, check] {
    check(*options);
    line.action = [&line, options, command] { return command(line.global, *options); };
  });
}

// command_line_completion.cpp: prints what the last of the words of a command line, the program's name left out, may
// be, one a line; nothing where a file is as good as anything.
void print_completions(const CLI::App& app, const std::vector<std::string>& words);

// command_line_learning.cpp
void add_pretrain(CLI::App& app, CommandLine& line);
void add_eval(CLI::App& app, CommandLine& line);
void add_adapters(CLI::App& app, CommandLine& line);
void add_tokenizer(CLI::App& app, CommandLine& line);

// command_line_serving.cpp
void add_serve(CLI::App& app, CommandLine& line);

}  // namespace andiron
