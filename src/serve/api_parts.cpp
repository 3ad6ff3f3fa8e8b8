#include "serve/api_parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace andiron {

namespace {

constexpr double kStrengthMax = 100;
constexpr size_t kNameBytesMax = 1024;
constexpr size_t kToolNameBytesMax = 256;

// Strict where a name comes with others: "+" and ":" separate.
std::optional<ApiError> parse_adapter(std::string_view text, const std::string& place, AdapterChoice& out) {
  const size_t colon = text.rfind(':');
  out.name = text.substr(0, colon);
  if (out.name.empty()) {
    return refuse(place, "invalid_value",
                  "\"{}\" must be a model, or MODEL+ADAPTER:STRENGTH+..., with a name beside every +", place);
  }
  if (colon == std::string_view::npos) return std::nullopt;
  const auto strength = parse_double(text.substr(colon + 1), "the strength");
  if (strength.ok() && std::abs(*strength) <= kStrengthMax) {
    out.strength = *strength;
    return std::nullopt;
  }
  return refuse(place, "invalid_value",
                "\"{}\": the strength of the adapter \"{}\" must be a number from -{} to {}, not \"{}\"", place,
                in_quotes(out.name), kStrengthMax, kStrengthMax, in_quotes(text.substr(colon + 1)));
}

// An item of "adapters": a name, or {"name", "scale"}.
bool read_adapter(const Json& item, AdapterChoice& out) {
  if (item.is_string()) {
    out.name = item.as_string();
    return !out.name.empty();
  }
  for (const auto& [key, value] : item.is_object() ? item.members() : Json::Object{}) {
    if (key == "name" && value.is_string()) {
      out.name = value.as_string();
    } else if (key == "scale" && value.is_number()) {
      out.strength = value.as_double();
    } else {
      return false;
    }
  }
  return !out.name.empty() && std::abs(out.strength) <= kStrengthMax;
}

bool read_ids(const Json& list, std::vector<int32_t>& out) {
  for (const Json& item : list.items_or_none()) {
    if (!item.is_int() || item.as_int() < 0 || item.as_int() > std::numeric_limits<int32_t>::max()) return false;
    out.push_back(static_cast<int32_t>(item.as_int()));
  }
  return list.is_array() && !out.empty();
}

void fail_schema(FieldReader& in, std::string_view name, std::string_view why) {
  in.fail(refuse(in.place(name), "invalid_value", "\"{}\" {}", in.place(name), why));
}

}  // namespace

const std::vector<ApiField> kLocalFields = {
    {"adapters"},           {"top_k"},          {"typical_p"}, {"min_p"},
    {"xtc_probability"},    {"xtc_threshold"},  {"mirostat"},  {"mirostat_tau"},
    {"mirostat_eta"},       {"penalty_last_n"}, {"grammar"},   {"dry_multiplier"},
    {"repetition_penalty"}, {"repeat_penalty"}, {"dry_base"},  {"dry_last_n"},
    {"dry_allowed_length"}};

std::optional<ApiError> parse_model(const std::string& text, const std::string& place, ModelChoice& model) {
  if (text.empty() || text.size() > kNameBytesMax) {
    return refuse(place, "invalid_value", "\"{}\" must have 1 to {} bytes", place, kNameBytesMax);
  }
  model.asked = text;
  size_t at = std::min(text.find('+'), text.size());
  model.model = text.substr(0, at);
  if (model.model.empty()) {
    return refuse(place, "invalid_value", "\"{}\" begins with +; expected a model in front of its adapters", place);
  }
  while (at < text.size()) {
    const size_t end = std::min(text.find('+', at + 1), text.size());
    AdapterChoice adapter;
    if (auto error = parse_adapter(std::string_view(text).substr(at + 1, end - at - 1), place, adapter)) return error;
    model.adapters.push_back(std::move(adapter));
    at = end;
  }
  return std::nullopt;
}

void read_model(FieldReader& in, ModelChoice& model) {
  const Json* name = in.need("model");
  if (name == nullptr) return;
  if (!name->is_string()) return in.wrong("model", "text");
  if (auto error = parse_model(name->as_string(), in.place("model"), model)) return in.fail(std::move(*error));
  const Json* adapters = in.find("adapters");
  if (adapters == nullptr) return;
  bool fits = adapters->is_array() || adapters->is_object();
  for (const Json& item : adapters->items_or_none()) {
    fits = fits && read_adapter(item, model.adapters.emplace_back());
  }
  for (const auto& [key, value] : adapters->is_object() ? adapters->members() : Json::Object{}) {
    fits = fits && !key.empty() && value.is_number() && std::abs(value.as_double()) <= kStrengthMax;
    model.adapters.push_back({key, value.number_or(0)});
  }
  if (!fits) {
    return in.wrong("adapters",
                    "a list of names or of {\"name\", \"scale\"}, or an object of names and scales, these "
                    "from -100 to 100");
  }
  if (model.adapters.size() > kAdaptersMax) {
    in.fail(refuse(in.place("adapters"), "invalid_value", "the request wears {} adapters; at most {} are possible",
                   model.adapters.size(), kAdaptersMax));
  }
}

void read_local_sampling(FieldReader& in, AnswerAsk& ask) {
  constexpr double kExtreme = SamplerOptions::kExtreme;
  constexpr int32_t kWindow = SamplerOptions::kWindowMax;
  constexpr double kLeast = 1e-6;
  SamplerOptions& s = ask.sampling;
  in.whole("top_k", s.top_k, 0, std::numeric_limits<int32_t>::max());
  in.number("typical_p", s.typical_p, kLeast, 1);
  in.number("min_p", s.min_p, 0, 1);
  in.number("xtc_probability", s.xtc_probability, 0, 1);
  in.number("xtc_threshold", s.xtc_threshold, 0, 1);
  in.flag("mirostat", s.mirostat);
  in.number("mirostat_tau", s.mirostat_tau, 0, kExtreme);
  in.number("mirostat_eta", s.mirostat_eta, 0, 1);
  in.whole("penalty_last_n", s.penalty_last_n, -1, kWindow);
  in.number("repeat_penalty", s.repetition_penalty, kLeast, kExtreme);
  in.number("repetition_penalty", s.repetition_penalty, kLeast, kExtreme);
  in.number("dry_multiplier", s.dry_multiplier, 0, kExtreme);
  in.number("dry_base", s.dry_base, 1, kExtreme);
  in.whole("dry_allowed_length", s.dry_allowed_length, 1, kWindow);
  in.whole("dry_last_n", s.dry_last_n, -1, kWindow);
}

void read_seed(FieldReader& in, AnswerAsk& ask) {
  if (in.find("seed") == nullptr) return;
  int64_t seed = 0;
  in.whole("seed", seed, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max());
  ask.sampling.seed = static_cast<uint64_t>(seed);
  ask.has_seed = true;
}

void read_logit_bias(FieldReader& in, AnswerAsk& ask) {
  const Json* biases = in.find("logit_bias");
  if (biases == nullptr) return;
  constexpr double kBiasMax = 100;  // OpenAI's bound; -100 forbids there and here
  bool fits = biases->is_object();
  std::vector<LogitBias> read;
  for (const auto& [key, value] : fits ? biases->members() : Json::Object{}) {
    const auto id = parse_int(key, "a token");
    fits = fits && id.ok() && *id >= 0 && *id <= std::numeric_limits<int32_t>::max() && value.is_number() &&
           std::abs(value.as_double()) <= kBiasMax;
    if (!fits) break;
    const double bias = value.as_double();
    read.push_back({static_cast<int32_t>(*id),
                    bias <= -kBiasMax ? -std::numeric_limits<float>::infinity() : static_cast<float>(bias)});
  }
  if (!fits) return in.wrong("logit_bias", "an object of token ids and numbers from -100 to 100");
  ask.sampling.logit_bias = std::move(read);
}

void read_grammar(FieldReader& in, AnswerAsk& ask) {
  if (in.find("grammar") == nullptr) return;
  if (ask.format.kind != AnswerFormat::Kind::kText) {
    return in.fail(refuse(in.place("grammar"), "invalid_value",
                          "\"grammar\" and a format of JSON exclude one another: an answer follows one grammar"));
  }
  in.text("grammar", ask.format.grammar);
  ask.format.kind = AnswerFormat::Kind::kGrammar;
}

void read_response_format(FieldReader& in, std::string_view name, bool nested, AnswerAsk& ask) {
  const Json* format_of = in.find(name);
  if (format_of == nullptr) return;
  const std::string_view type = format_of->member("type").text_or("");
  if (type == "text") return;
  if (type == "json_object") {
    ask.format.kind = AnswerFormat::Kind::kJsonObject;
    return;
  }
  if (type != "json_schema") {
    return in.wrong(name, "an object whose \"type\" is \"text\", \"json_object\" or \"json_schema\"");
  }
  // "name", "description" and "strict" change nothing: what is asked for is always kept to.
  const Json& holder = nested ? format_of->member("json_schema") : *format_of;
  const Json* schema = holder.find("schema");
  if (schema == nullptr || !(schema->is_object() || schema->is_bool())) {
    return fail_schema(in, name, nested ? "has no \"json_schema\": {\"schema\": ...}" : "has no \"schema\"");
  }
  ask.format.kind = AnswerFormat::Kind::kJsonSchema;
  ask.format.schema = *schema;
}

void read_effort(FieldReader& in, std::string_view name, ChatAsk& ask) {
  static constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
  const auto effort = in.word(name, kEfforts);
  if (!effort) return;
  ask.think = *effort > 0;
  if (*effort > 0) ask.variables.set("reasoning_effort", kEfforts[*effort]);
}

void read_template_variables(FieldReader& in, ChatAsk& ask) {
  const Json* variables = in.find("chat_template_kwargs");
  if (variables == nullptr) return;
  if (!variables->is_object() || variables->members().size() > kVariablesMax) {
    return in.wrong("chat_template_kwargs", format("an object of at most {} members", kVariablesMax));
  }
  for (const auto& [key, value] : variables->members()) {
    if (Json* known = ask.variables.find(key)) {
      *known = value;
    } else {
      ask.variables.set(key, value);
    }
  }
}

void add_tool(ChatAsk& ask, std::string name, std::string description, Json parameters) {
  if (ask.tools.is_null()) ask.tools = Json::array();
  Json function = Json::object();
  function.set("name", std::move(name)).set("description", std::move(description));
  function.set("parameters", std::move(parameters));
  Json tool = Json::object();
  tool.set("type", "function").set("function", std::move(function));
  ask.tools.push(std::move(tool));
}

void read_function(const Json& function, const ApiTable& table, const std::string& place, std::string_view schema_name,
                   ChatAsk& ask, std::optional<ApiError>& error) {
  FieldReader in(function, table, error, place);
  std::string name, description;
  if (in.need("name") != nullptr) in.text("name", name);
  if (in.ok() && (name.empty() || name.size() > kToolNameBytesMax))
    in.wrong("name", format("1 to {} bytes", kToolNameBytesMax));
  in.text("description", description);
  Json schema = Json::object();
  schema.set("type", "object").set("properties", Json::object());
  if (const Json* given = in.find(schema_name)) {
    if (!given->is_object()) return in.wrong(schema_name, "a JSON schema");
    schema = *given;
  }
  if (in.ok()) add_tool(ask, std::move(name), std::move(description), std::move(schema));
}

void check_tool_choice(ChatAsk& ask, const std::string& place, std::optional<ApiError>& error) {
  if (error || ask.tool_choice.mode != ToolMode::kRequired) return;
  const auto tools = ask.tools.items_or_none();
  if (tools.empty()) {
    error = refuse(place, "invalid_value", "\"{}\" asks for a call, but the request has no tools", place);
    return;
  }
  if (ask.tool_choice.name.empty()) return;
  const bool known = std::any_of(tools.begin(), tools.end(), [&](const Json& tool) {
    return tool.member("function").member("name").text_or("") == ask.tool_choice.name;
  });
  if (known) return;
  error = refuse(place, "invalid_value", "\"{}\" names the tool \"{}\", which is not among the request's tools", place,
                 in_quotes(ask.tool_choice.name));
}

std::optional<std::string> read_text_content(const Json& content, std::span<const std::string_view> types,
                                             const std::string& place, std::optional<ApiError>& error) {
  if (error) return std::nullopt;
  if (content.is_string()) return content.as_string();
  if (!content.is_array()) {
    error = refuse(place, "invalid_type", "\"{}\" must be text or a list of parts, not {}", place, shown(content));
    return std::nullopt;
  }
  std::string text;
  for (size_t i = 0; i < content.items().size(); ++i) {
    const Json& part = content.items()[i];
    const std::string where = format("{}[{}]", place, i);
    const std::string_view type = part.member("type").text_or("");
    if (std::find(types.begin(), types.end(), type) == types.end()) {
      error = refuse(where + ".type", "unsupported_value", "\"{}.type\" is {}; only text can be read here: \"{}\"",
                     where, shown(part.member("type")), types.front());
      return std::nullopt;
    }
    const Json& piece = part.member("text");
    if (!piece.is_string()) {
      error = refuse(where + ".text", "invalid_type", "\"{}.text\" must be text, not {}", where, shown(piece));
      return std::nullopt;
    }
    if (i > 0) text += '\n';
    text += piece.as_string();
  }
  return text;
}

void read_prompts(FieldReader& in, std::string_view name,
                  std::vector<std::variant<std::string, std::vector<int32_t>>>& prompts) {
  const Json* found = in.need(name);
  if (found == nullptr) return;
  constexpr std::string_view kExpected =
      "text, a list of at most 256 texts, a list of token ids, or a list of at most 256 such lists";
  if (found->is_string()) {
    prompts.emplace_back(found->as_string());
    return;
  }
  std::vector<int32_t> ids;
  if (read_ids(*found, ids)) {
    prompts.emplace_back(std::move(ids));
    return;
  }
  bool fits = found->is_array() && !found->items().empty() && found->items().size() <= kPromptsMax;
  for (const Json& item : found->items_or_none()) {
    if (!fits) break;
    std::vector<int32_t> item_ids;
    if (item.is_string()) {
      prompts.emplace_back(item.as_string());
    } else {
      fits = read_ids(item, item_ids);
      prompts.emplace_back(std::move(item_ids));
    }
  }
  if (!fits) in.wrong(name, kExpected);
}

Json chat_message(std::string_view role, std::string text) {
  Json message = Json::object();
  message.set("role", role).set("content", std::move(text));
  return message;
}

}  // namespace andiron
