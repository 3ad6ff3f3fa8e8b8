// andiron tokenize, andiron detokenize: text to ids and back.
#include <cstdio>

#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/id_list.h"
#include "cli/terminal.h"

namespace andiron {

namespace {

int print_ids(const std::vector<int32_t>& ids, const Tokenizer& tokenizer, bool as_json) {
  if (as_json) {
    Json list = Json::array(), pieces = Json::array();
    for (const int32_t id : ids) {
      list.push(int64_t{id});
      pieces.push(tokenizer.piece(id));
    }
    print_json(Json(Json::Object{{"ids", std::move(list)}, {"pieces", std::move(pieces)}}));
    return 0;
  }
  for (const int32_t id : ids) {
    std::fprintf(stdout, "%8d  \"%s\"\n", id, quoted(tokenizer.piece(id), SIZE_MAX).c_str());
  }
  return 0;
}

int print_text(const std::string& text, bool as_json) {
  if (!as_json) {
    write_untrusted(stdout, text);
    if (is_terminal(stdout)) std::fputc('\n', stdout);
    return 0;
  }
  print_json(Json(Json::Object{{"text", Json(text)}}));
  return 0;
}

}  // namespace

Result<int> tokenize_command(const GlobalOptions&, const TokenizeOptions& options) {
  const std::string file = options.file.empty() ? "-" : options.file;
  TRY_ASSIGN(const std::string text, options.has_text ? Result<std::string>(options.text) : read_input(file));
  TRY_ASSIGN(const auto source, open_model_source(options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(*source));
  if (!options.decode) {
    const EncodeOptions encode = {.add_special = !options.no_special, .parse_special = !options.no_special};
    return print_ids(tokenizer->encode(text, encode), *tokenizer, options.json);
  }
  TRY_ASSIGN(const auto ids, parse_ids(text, tokenizer->vocab_size(), options.has_text ? "--ids" : file));
  return print_text(tokenizer->decode(ids, !options.no_special), options.json);
}

}  // namespace andiron
