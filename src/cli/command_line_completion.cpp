// What a shell offers when Tab is pressed (completions/andiron.bash): from the commands and options themselves, so that
// there is no second list of them.
#include <algorithm>
#include <cstdio>
#include <iterator>

#include "cli/adapter_store.h"
#include "cli/command_line_parts.h"
#include "model/quant_mix.h"
#include "model/synth.h"

namespace andiron {

namespace {

using Words = std::vector<std::string>;

void append(Words& to, const Words& more) { to.insert(to.end(), more.begin(), more.end()); }

Words parts_of(std::string_view text, char divider) {
  Words parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(divider, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

Words command_names(const CLI::App& app) {
  Words names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(sub->get_name());
  }
  return names;
}

// Of a command and of all above it.
Words option_names(const CLI::App* app) {
  Words names;
  for (; app != nullptr; app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

const CLI::Option* find_option(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  }
  return nullptr;
}

// Empty where it may be anything, or a file.
Words values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type == kAdapterType) {
    const auto names = stored_adapters();
    return names.ok() ? *names : Words();
  }
  if (type.find('|') != std::string::npos) return parts_of(type, '|');
  Words values;
  if (type == kQuantType) {
    for (const QuantType& quant : all_quant_types()) values.emplace_back(quant.name);
  }
  if (option.get_name() == "SHAPE") {
    for (const std::string_view shape : synthetic_shapes()) values.emplace_back(shape);
  }
  return values;
}

}  // namespace

void print_completions(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* topic = &app;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const Words names = command_names(*topic);
    if (words[i] == "help") continue;  // what follows it are commands
    if (std::find(names.begin(), names.end(), words[i]) != names.end()) topic = topic->get_subcommand(words[i]);
  }
  const std::string last = words.empty() ? "" : words.back(), before = words.size() < 2 ? "" : words[words.size() - 2];
  const CLI::Option* option = before.starts_with('-') ? find_option(topic, before) : nullptr;
  Words offered;
  if (option != nullptr && option->get_items_expected_max() > 0) {
    offered = values_of(*option);
  } else if (last.starts_with('-')) {
    offered = option_names(topic);
  } else {
    offered = command_names(*topic);
    for (const CLI::Option* one : topic->get_options()) {
      if (one->get_positional()) append(offered, values_of(*one));
    }
  }
  for (const std::string& word : offered) std::printf("%s\n", word.c_str());
}

}  // namespace andiron
