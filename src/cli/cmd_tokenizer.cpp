// andiron tokenizer: learns vocabularies from texts, and shows them.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/machine_limits.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "data/corpus.h"
#include "model/tokenizer_source.h"
#include "text/chat_template.h"
#include "text/tokenizer_json_write.h"

namespace andiron {

namespace {

// What GPT-2 ends its documents with.
constexpr const char* kDefaultSpecial = "<|endoftext|>";
constexpr std::string_view kFileName = "tokenizer.json";

BpeTrainOptions train_options(const TokenizerTrainOptions& o) {
  BpeTrainOptions out;
  out.vocab_size = o.vocab;
  out.pre = o.pre;
  out.special_tokens = o.special;
  if (out.special_tokens.empty()) out.special_tokens.emplace_back(kDefaultSpecial);
  return out;
}

// The id of a special token by its role.
Result<int32_t> role_id(const std::vector<std::string>& special, const std::string& token, std::string_view option) {
  if (token.empty()) return kNoToken;
  const auto found = std::find(special.begin(), special.end(), token);
  if (found != special.end()) return static_cast<int32_t>(found - special.begin());
  return make_error("{} {}: it is none of the special tokens; say --special too", option, in_quotes(token));
}

Status set_roles(const TokenizerTrainOptions& o, const std::vector<std::string>& special, TokenizerSpec& spec) {
  TRY_ASSIGN(spec.bos, role_id(special, o.bos, "--bos"));
  TRY_ASSIGN(spec.eos, role_id(special, o.eos, "--eos"));
  TRY_ASSIGN(spec.pad, role_id(special, o.pad, "--pad"));
  if (o.eos.empty()) {
    const auto found = std::find(special.begin(), special.end(), kDefaultSpecial);
    if (found != special.end()) spec.eos = static_cast<int32_t>(found - special.begin());
  }
  spec.add_bos = spec.bos != kNoToken;
  return {};
}

// Both files, so that a folder that is not there or not ours to write is known before the work.
struct OutFiles {
  std::string path, config_path;
  AtomicFile file, config;
  Existing existing;

  static Result<OutFiles> create(const std::string& out, bool force) {
    const std::string path = is_folder(out) ? format("{}/{}", out, kFileName) : out;
    if (!path.ends_with(kFileName)) {
      return make_error("--out {}: expected a folder that is there, or a file's name that ends in {}",
                        in_quotes(out, 200), kFileName);
    }
    const std::string config_path = path.substr(0, path.size() - kFileName.size()) + "tokenizer_config.json";
    for (const std::string& name : {path, config_path}) {
      if (!force && file_exists(name)) return make_error("{}: it is there already; --force replaces it", name);
    }
    TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
    TRY_ASSIGN(AtomicFile config, AtomicFile::create(config_path));
    return OutFiles{path, config_path, std::move(file), std::move(config),
                    force ? Existing::kReplaced : Existing::kKept};
  }

  // tokenizer.json appears last: where it is, all is there.
  Status write(const TokenizerFiles& files) {
    TRY(file.write(files.tokenizer_json));
    TRY(config.write(files.config_json));
    TRY(config.commit(existing));
    return file.commit(existing);
  }
};

struct Learned {
  int64_t asked = 0;
  size_t special = 0;
  int64_t pre_tokens = 0, tokens = 0;
  double count_seconds = 0, merge_seconds = 0;

  double bytes_per_token(const Corpus& corpus) const {
    return static_cast<double>(corpus.text_bytes) / static_cast<double>(std::max<int64_t>(tokens, 1));
  }
};

void print_report(const Corpus& corpus, const BpeTrainer& trainer, const Learned& l) {
  const auto say = [](const std::string& line) { std::fprintf(stderr, "%s\n", printable(line).c_str()); };
  for (const std::string& line : describe_files(corpus.report)) say(line);
  say(format("{} of {} read: {} of text, {} words, {} different", counted(corpus.rows, "row"),
             human_count(corpus.report.rows_read()), human_bytes(corpus.text_bytes), human_count(l.pre_tokens),
             human_count(static_cast<int64_t>(corpus.counts.texts.size()))));
  say(format("{}: {}, 256 bytes and {}", counted(trainer.vocab_size(), "token"),
             counted(static_cast<int64_t>(l.special), "special one"), counted(trainer.merges(), "merge")));
  if (trainer.vocab_size() < l.asked) {
    say(format("fewer than the {} asked for: no other pair of neighbours occurs twice", human_count(l.asked)));
  } else if (trainer.merges() > 0) {
    say(format("the pair of the last merge occurred {}", counted(trainer.last_count(), "time")));
  }
  say(format("{:.3f} bytes a token, {:.3f} tokens a word", l.bytes_per_token(corpus),
             static_cast<double>(l.tokens) / static_cast<double>(std::max<int64_t>(l.pre_tokens, 1))));
  say(format("read and counted in {:.2f} s, merged in {:.2f} s", l.count_seconds, l.merge_seconds));
}

Json report_json(const Corpus& corpus, const BpeTrainer& trainer, const Learned& l, const std::string& path) {
  Json files = Json::array();
  for (const DataFile& file : corpus.report.files) files.push(file.path);
  Json json = Json::object();
  json.set("out", path).set("vocab", trainer.vocab_size()).set("asked", l.asked).set("merges", trainer.merges());
  json.set("special", static_cast<int64_t>(l.special)).set("last_count", trainer.last_count());
  json.set("files", std::move(files)).set("rows", corpus.rows).set("rows_read", corpus.report.rows_read());
  json.set("bad", corpus.report.bad()).set("duplicates", corpus.report.duplicates());
  json.set("skipped", corpus.report.skipped.count).set("text_bytes", corpus.text_bytes);
  json.set("words", l.pre_tokens).set("different_words", static_cast<int64_t>(corpus.counts.texts.size()));
  json.set("tokens", l.tokens).set("bytes_per_token", l.bytes_per_token(corpus));
  json.set("count_seconds", l.count_seconds).set("merge_seconds", l.merge_seconds);
  return json;
}

Result<Corpus> read_corpus(const GlobalOptions& global, const TokenizerTrainOptions& options,
                           const BpeTrainOptions& train, ThreadTeam& team) {
  std::optional<DataFormat> format;
  if (!options.format.empty()) {
    TRY_ASSIGN(format, parse_data_format(options.format));
  }
  Progress progress("counting words", Progress::Unit::kBytes, global.quiet);
  return count_corpus(options.data, format, train, team,
                      [&](uint64_t done, uint64_t total) { progress.update(done, total); });
}

}  // namespace

Status check_tokenizer_options(const TokenizerTrainOptions& options) {
  const BpeTrainOptions train = train_options(options);
  TRY(validate(train));
  TokenizerSpec spec;
  TRY(set_roles(options, train.special_tokens, spec));
  if (!options.format.empty()) TRY(parse_data_format(options.format));
  return {};
}

Result<int> train_tokenizer_command(const GlobalOptions& global, const TokenizerTrainOptions& options) {
  const BpeTrainOptions train = train_options(options);
  std::string chat_template;
  if (!options.chat_template.empty()) {
    TRY_ASSIGN(chat_template, read_chat_template(options.chat_template));
    TRY(ChatTemplate::create(chat_template, options.chat_template));
  }
  TRY_ASSIGN(OutFiles out, OutFiles::create(options.out, options.force));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  Learned learned;
  learned.asked = train.vocab_size;
  learned.special = train.special_tokens.size();
  auto begin = std::chrono::steady_clock::now();
  TRY_ASSIGN(const Corpus corpus, read_corpus(global, options, train, *machine.team));
  learned.count_seconds = seconds_since(begin);
  learned.pre_tokens = std::accumulate(corpus.counts.counts.begin(), corpus.counts.counts.end(), int64_t{0});
  begin = std::chrono::steady_clock::now();
  TRY_ASSIGN(BpeTrainer trainer, BpeTrainer::create(corpus.counts, train));
  Progress progress("merging", Progress::Unit::kTokens, global.quiet);
  while (trainer.merge_next()) {
    progress.update(static_cast<uint64_t>(trainer.vocab_size()), static_cast<uint64_t>(train.vocab_size));
  }
  progress.clear();
  learned.merge_seconds = seconds_since(begin);
  learned.tokens = trainer.tokens();
  TokenizerSpec spec = trainer.spec();
  TRY(set_roles(options, train.special_tokens, spec));
  spec.chat_template = std::move(chat_template);
  TRY_ASSIGN(const TokenizerFiles files, tokenizer_files_from_spec(spec));
  TRY(out.write(files));
  if (options.json) {
    print_json(report_json(corpus, trainer, learned, out.path));
  } else if (!global.quiet) {
    print_report(corpus, trainer, learned);
    std::fprintf(stderr, "%s, %s\n", printable(out.path).c_str(), printable(out.config_path).c_str());
  }
  if (spec.eos == kNoToken) say_notes(global, std::vector<std::string>{"no token ends texts: say which with --eos"});
  return 0;
}

namespace {

std::string_view algorithm_name(const TokenizerSpec& spec) {
  switch (spec.model) {
    case TokenizerModel::kSentencePiece: return "SentencePiece BPE";
    case TokenizerModel::kBpe: return spec.byte_level ? "byte-level BPE" : "BPE";
    case TokenizerModel::kWordPiece: return "WordPiece";
  }
  return "";
}

bool is_whole(const TokenizerSpec& spec, size_t id) {
  const TokenType type = spec.types.empty() ? TokenType::kNormal : spec.types[id];
  return type == TokenType::kControl || type == TokenType::kUserDefined;
}

Json spec_json(const TokenizerSpec& spec) {
  Json special = Json::array();
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (is_whole(spec, id)) {
      special.push(Json(Json::Object{{"id", static_cast<int64_t>(id)}, {"text", spec.tokens[id]}}));
    }
  }
  const auto id_or_null = [](int32_t id) { return id == kNoToken ? Json() : Json(int64_t{id}); };
  Json json = Json::object();
  json.set("algorithm", algorithm_name(spec)).set("pre", spec.pre);
  json.set("tokens", static_cast<int64_t>(spec.tokens.size()));
  json.set("merges", static_cast<int64_t>(spec.merge_left.size())).set("special", std::move(special));
  json.set("bos", id_or_null(spec.bos)).set("eos", id_or_null(spec.eos)).set("pad", id_or_null(spec.pad));
  json.set("adds_bos", spec.add_bos).set("adds_eos", spec.add_eos).set("chat_template", spec.chat_template);
  return json;
}

void print_spec(const TokenizerSpec& spec) {
  const auto say = [](const char* label, const std::string& text) {
    std::fprintf(stdout, "%-10s %s\n", label, printable(text).c_str());
  };
  constexpr int kShown = 32;
  const std::string pre = spec.pre.empty() ? "" : format(", split as {}", spec.pre);
  say("algorithm", format("{}{}", algorithm_name(spec), pre));
  say("tokens", human_count(static_cast<int64_t>(spec.tokens.size())));
  say("merges", human_count(static_cast<int64_t>(spec.merge_left.size())));
  int64_t count = 0;
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!is_whole(spec, id) || ++count > kShown) continue;
    std::string roles;
    const auto role = [&](int32_t of, std::string_view name) {
      if (of == static_cast<int32_t>(id)) roles += format(", {}", name);
    };
    role(spec.bos, spec.add_bos ? "begins every text" : "begins texts");
    role(spec.eos, "ends texts");
    role(spec.pad, "fills up");
    say(count == 1 ? "special" : "", format("{} {}{}", id, in_quotes(spec.tokens[id]), roles));
  }
  if (count > kShown) say("", format("and {} more", human_count(count - kShown)));
  say("template", spec.chat_template.empty() ? "none" : human_bytes(spec.chat_template.size()));
}

}  // namespace

Result<int> show_tokenizer_command(const GlobalOptions&, const TokenizerShowOptions& options) {
  TRY_ASSIGN(const TokenizerSpec spec, read_tokenizer(options.path));
  if (options.json) {
    print_json(spec_json(spec));
  } else {
    print_spec(spec);
  }
  return 0;
}

}  // namespace andiron
