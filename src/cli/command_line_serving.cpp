// The command line of serve.
#include <memory>

#include "cli/command_line_parts.h"
#include "cli/commands.h"

namespace andiron {

void add_serve(CLI::App& app, CommandLine& line) {
  auto* sub = app.add_subcommand("serve", "Answer other programs: the APIs of OpenAI, Anthropic and Ollama");
  add_examples(sub, {"andiron serve", "andiron serve model.gguf --ctx 8192 --sequences 4",
                     "andiron serve model.gguf --host 192.168.1.7 --api-key-file key",
                     "curl http://127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\",
                     "     -d '{\"model\": \"ember\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'"});
  auto o = std::make_shared<ServeCommandOptions>();
  add_model_or_ember(sub, o->model);
  sub->add_option("--name", o->name, "By which requests know the model (default: that of its file)");
  sub->add_option("--host", o->hosts, "Address to listen at, in numbers (may be repeated)")
      ->allow_extra_args(false)
      ->capture_default_str();
  sub->add_option("--port", o->port, "Port; 0: one that is free")->transform(whole(0, 65535))->capture_default_str();
  sub->add_option("--api-key-file", o->api_key_file,
                  "File with the key that requests must bring; needed where other machines can reach the address");
  sub->add_option("--own-name", o->own_names, "A name that the server is reached by through a proxy (may be repeated)")
      ->allow_extra_args(false);
  sub->add_option("--sequences", o->sequences, "Answers at work at once; each may fill a context")
      ->transform(whole(1, 1024))
      ->capture_default_str();
  sub->add_option("--adapter", o->adapters,
                  "NAME, FOLDER or FILE: offer these only (may be repeated; default: all that have a name)")
      ->type_name(kAdapterType)
      ->allow_extra_args(false);
  add_chat_template(sub, o->chat_template);
  sub->add_flag("--no-prefix-cache", o->no_prefix_cache, "Do not keep what was computed of prompts");
  auto* no_store = sub->add_flag("--no-store", o->no_store, "Keep no chats");
  sub->add_option("--store", o->store, "File that chats are kept in (default: ~/.local/share/andiron/chats.db)")
      ->excludes(no_store);
  sub->add_flag("--no-page", o->no_page, "Serve the APIs alone, without the page");
  sub->add_flag("--no-learn", o->no_learn, "Teach nothing: no files, no fine-tuning jobs");
  sub->add_flag("--metrics", o->metrics, "GET /metrics: numbers for Prometheus");
  sub->add_flag("--systemd", o->systemd, "Print a systemd unit that serves with these options");
  on_parsed(sub, line, o, serve_command, [](const ServeCommandOptions& options) {
    for (const std::string& host : options.hosts) {
      if (host.empty()) throw CLI::ValidationError("--host: expected an address, got an empty one");
    }
    if (options.name.find('+') != std::string::npos || options.name.size() > 200) {
      throw CLI::ValidationError("--name: expected at most 200 bytes without a +, which stands before adapters");
    }
  });
}

}  // namespace andiron
