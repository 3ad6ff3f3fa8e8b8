// andiron inspect: what a model is, what it needs, how fast it should run here.
#include <algorithm>
#include <cstdio>
#include <map>

#include "base/cpu_info.h"
#include "base/random.h"
#include "base/strings.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/machine_limits.h"
#include "cli/shipped_model.h"
#include "cli/terminal.h"
#include "engine/model_cost.h"
#include "model/quant_mix.h"

namespace andiron {

namespace {

struct FormatShare {
  int64_t tensors = 0;
  uint64_t bytes = 0;
  uint64_t elements = 0;
};

struct Facts {
  std::string licence, file_type;
  uint64_t parameters = 0;
  uint64_t file_bytes = 0;  // of the tensors
  std::map<DType, FormatShare> formats;
  ModelConfig config;
  int64_t context = 0;    // that a session here gets
  uint64_t kv_bytes = 0;  // at that context
  uint64_t packed_bytes = 0;
  uint64_t scratch = 0;
  double read_gb_per_s = 0;
  double tokens_per_s = 0;  // expected, nearly empty context
  std::string speed_note;
};

std::string text_of(const ModelSource& source, std::string_view key) {
  const auto text = source.meta_text(key, "");
  return text.ok() ? std::string(*text) : std::string();
}

// FNV-1a (Fowler, Noll, Vo): enough to see whether two models bring the same template.
uint64_t fingerprint(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

Result<Facts> find_facts(const ModelSource& source, const Machine& machine, const GlobalOptions& global) {
  Facts facts;
  TRY_ASSIGN(facts.config, Model::read_config(source));
  facts.licence = text_of(source, "general.license");
  facts.file_type = file_type_name(source);
  for (const TensorInfo& tensor : source.tensors()) {
    FormatShare& share = facts.formats[tensor.dtype];
    ++share.tensors;
    share.bytes += tensor.bytes;
    share.elements += tensor.elements;
    facts.file_bytes += tensor.bytes;
    facts.parameters += tensor.elements;
  }
  const ModelCost cost = model_cost(source, facts.config);
  facts.context = global.context > 0 ? global.context : default_context(facts.config, machine.kv_format);
  facts.kv_bytes = kv_bytes_per_position(facts.config, machine.kv_format) * static_cast<uint64_t>(facts.context);
  facts.packed_bytes = cost.packed_bytes;
  const ForwardLimits limits = session_limits(facts.context, SessionOptions().chunk);
  facts.scratch = Forward::bytes_needed(facts.config, limits, machine.team->size());
  // Without the memory to measure with, the speed stays unknown.
  if (auto meter = LimitMeter::create(*machine.kernels, *machine.team); meter.ok()) {
    for (int i = 0; i < 5; ++i) meter->sample_read();
    facts.speed_note = meter->note();
    facts.read_gb_per_s = meter->limits().read_bytes;
    constexpr int64_t kShortAnswer = 256;
    const uint64_t bytes = bytes_per_token(cost, facts.config, machine.kv_format, kShortAnswer);
    facts.tokens_per_s = expected_tokens_per_s(meter->limits(), static_cast<double>(bytes));
  }
  return facts;
}

Json config_json(const ModelConfig& c) {
  Json json = Json::object();
  json.set("blocks", c.blocks);
  json.set("width", c.width);
  json.set("heads", c.heads);
  json.set("kv_heads", c.kv_heads);
  json.set("head_dim", c.head_dim);
  json.set("feed_forward", c.feed_forward);
  json.set("experts", c.experts.count);
  json.set("experts_used", c.experts.used);
  json.set("vocabulary", c.vocabulary);
  json.set("context", c.context);
  json.set("rope_base", c.rope.base);
  return json;
}

Json inspect_json(const ModelSource& source, const Tokenizer& tokenizer, const Facts& f, bool tensors) {
  Json json = Json::object();
  json.set("path", source.path());
  json.set("architecture", f.config.architecture);
  json.set("name", f.config.name);
  json.set("license", f.licence);
  json.set("parameters", f.parameters);
  json.set("file_type", f.file_type);
  json.set("config", config_json(f.config));
  Json formats = Json::array();
  for (const auto& [dtype, share] : f.formats) {
    formats.push(Json(Json::Object{{"format", Json(dtype_info(dtype).name)},
                                   {"tensors", Json(share.tensors)},
                                   {"elements", Json(share.elements)},
                                   {"bytes", Json(share.bytes)}}));
  }
  json.set("formats", std::move(formats));
  json.set("vocabulary", Json(Json::Object{{"tokens", Json(int64_t{tokenizer.vocab_size()})},
                                           {"bos", Json(int64_t{tokenizer.bos()})},
                                           {"eos", Json(int64_t{tokenizer.eos()})}}));
  json.set("chat_template", tokenizer.chat_template());
  json.set("memory", Json(Json::Object{{"file_bytes", Json(f.file_bytes)},
                                       {"packed_bytes", Json(f.packed_bytes)},
                                       {"context", Json(f.context)},
                                       {"kv_bytes", Json(f.kv_bytes)},
                                       {"scratch_bytes", Json(f.scratch)}}));
  json.set("expected_tokens_per_s", f.tokens_per_s);
  json.set("read_gb_per_s", f.read_gb_per_s);
  if (!f.speed_note.empty()) json.set("speed_note", f.speed_note);
  if (tensors) {
    Json list = Json::array();
    for (const TensorInfo& tensor : source.tensors()) {
      Json shape = Json::array();
      for (const uint64_t n : tensor.shape) shape.push(n);
      list.push(Json(Json::Object{{"name", Json(tensor.name)},
                                  {"format", Json(dtype_info(tensor.dtype).name)},
                                  {"shape", std::move(shape)},
                                  {"bytes", Json(tensor.bytes)}}));
    }
    json.set("tensors", std::move(list));
  }
  return json;
}

void line(const char* label, const std::string& text) { std::fprintf(stdout, "%-13s %s\n", label, text.c_str()); }

std::string token_note(const Tokenizer& tokenizer, int32_t id) {
  return id == kNoToken ? "none" : format("{} \"{}\"", id, in_quotes(tokenizer.piece(id), 40));
}

void print_template(const std::string& source) {
  if (source.empty()) {
    line("template", "none: a model that continues text");
    return;
  }
  line("template", format("{} bytes, fingerprint {:016x}, begins:", source.size(), fingerprint(source)));
  constexpr int kLines = 3;
  size_t at = 0;
  for (int i = 0; i < kLines && at < source.size(); ++i) {
    const size_t end = std::min(source.find('\n', at), source.size());
    std::fprintf(stdout, "              | %s\n", in_quotes(std::string_view(source).substr(at, end - at), 100).c_str());
    at = end + 1;
  }
}

void print_shape(const ModelConfig& c) {
  std::string text = format("{} layers, width {}, {} heads of {}, {} for keys and values", c.blocks, c.width, c.heads,
                            c.head_dim, c.kv_heads);
  text += c.experts.count > 0 ? format(", {} experts of {}, {} used", c.experts.count, c.experts.width, c.experts.used)
                              : format(", feed-forward {}", c.feed_forward);
  line("shape", text);
}

void print_text(const ModelSource& source, const Tokenizer& tokenizer, const Facts& f, bool tensors) {
  line("file", printable(source.path()));
  line("name", f.config.name.empty() ? "(not said)" : in_quotes(f.config.name));
  line("architecture", in_quotes(f.config.architecture));
  line("licence", f.licence.empty() ? "(not said)" : in_quotes(f.licence));
  line("parameters", human_count(static_cast<int64_t>(f.parameters)));
  print_shape(f.config);
  line("context", format("{} tokens as trained", human_count(f.config.context)));
  line("format", format("{}, {:.2f} bits a weight", f.file_type,
                        8 * static_cast<double>(f.file_bytes) / static_cast<double>(f.parameters)));
  for (const auto& [dtype, share] : f.formats) {
    std::fprintf(stdout, "              %-7s %5lld tensors %10s\n", std::string(dtype_info(dtype).name).c_str(),
                 static_cast<long long>(share.tensors), human_bytes(share.bytes).c_str());
  }
  line("vocabulary", format("{} tokens, bos {}, eos {}", human_count(tokenizer.vocab_size()),
                            token_note(tokenizer, tokenizer.bos()), token_note(tokenizer, tokenizer.eos())));
  print_template(tokenizer.chat_template());
  line("memory", format("{} weights + {} for a context of {} + {} to work in", human_bytes(f.packed_bytes),
                        human_bytes(f.kv_bytes), human_count(f.context), human_bytes(f.scratch)));
  line("speed here", f.tokens_per_s > 0 ? format("about {:.1f} tokens/s (memory reads at {:.1f} GB/s)", f.tokens_per_s,
                                                 f.read_gb_per_s)
                                        : std::string("not measured: too little free memory"));
  if (!f.speed_note.empty()) line("", f.speed_note);
  if (!tensors) return;
  for (const TensorInfo& tensor : source.tensors()) {
    std::fprintf(stdout, "%-32s %-7s %-20s %10s\n", in_quotes(tensor.name).c_str(),
                 std::string(dtype_info(tensor.dtype).name).c_str(), shape_text(tensor.shape).c_str(),
                 human_bytes(tensor.bytes).c_str());
  }
}

}  // namespace

Result<int> inspect_command(const GlobalOptions& global, const InspectOptions& options) {
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const std::string file, model_path(options.model));
  TRY_ASSIGN(const auto source, open_model_source(file));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(*source));
  TRY_ASSIGN(const Facts facts, find_facts(*source, machine, global));
  if (options.json) {
    print_json(inspect_json(*source, *tokenizer, facts, options.tensors));
  } else {
    print_text(*source, *tokenizer, facts, options.tensors);
  }
  return 0;
}

}  // namespace andiron
