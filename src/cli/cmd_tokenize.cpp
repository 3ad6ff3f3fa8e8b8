// andiron tokenize, andiron detokenize: text to ids and back.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/id_list.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

// What was given as an option, in a file or on standard input. A program that waits for a terminal without a word looks
// broken, so that must be asked for.
Result<std::string> given_text(const std::optional<std::string>& text, const std::string& file, std::string_view how) {
  if (text) return *text;
  if (file.empty() && is_terminal(stdin)) {
    return make_error("nothing to read: give {}, --file FILE, or pipe it in (--file - reads the terminal)", how);
  }
  return read_input(file.empty() ? "-" : file);
}

void print_text(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// Written as they come: ten million ids as a tree of JSON values would take a gigabyte.
void print_ids_json(const std::vector<int32_t>& ids, const Tokenizer& tokenizer) {
  print_text("{\"ids\": [");
  for (size_t i = 0; i < ids.size(); ++i) print_text((i > 0 ? ", " : "") + std::to_string(ids[i]));
  print_text("], \"pieces\": [");
  for (size_t i = 0; i < ids.size(); ++i) print_text((i > 0 ? ", " : "") + json_quote(tokenizer.piece(ids[i])));
  print_text("]}\n");
}

}  // namespace

Result<int> tokenize_command(const GlobalOptions&, const TokenizeOptions& options) {
  TRY_ASSIGN(const std::string text, given_text(options.text, options.file, "the text with -p"));
  TRY_ASSIGN(const auto tokenizer, open_tokenizer(options.model));
  const EncodeOptions encode = {.add_special = !options.no_special, .parse_special = !options.no_special};
  const std::vector<int32_t> ids = tokenizer->encode(text, encode);
  if (options.json) {
    print_ids_json(ids, *tokenizer);
    return 0;
  }
  for (const int32_t id : ids) {
    std::fprintf(stdout, "%8d  \"%s\"\n", id, in_quotes(tokenizer->piece(id), SIZE_MAX).c_str());
  }
  return 0;
}

Result<int> detokenize_command(const GlobalOptions&, const DetokenizeOptions& options) {
  TRY_ASSIGN(const std::string given, given_text(options.ids, options.file, "the ids with --tokens"));
  TRY_ASSIGN(const auto tokenizer, open_tokenizer(options.model));
  const bool from_file = !options.file.empty() && options.file != "-";
  const std::string what = options.ids ? "--tokens" : from_file ? options.file : "standard input";
  TRY_ASSIGN(const auto ids, parse_ids(given, tokenizer->vocab_size(), what));
  const std::string text = tokenizer->decode(ids, options.show_special);
  if (options.json) {
    print_json(Json(Json::Object{{"text", Json(text)}}));
    return 0;
  }
  write_untrusted(stdout, text);
  if (is_terminal(stdout)) std::fputc('\n', stdout);
  return 0;
}

}  // namespace andiron
