#include "serve/api_tuning.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "http/form.h"

namespace andiron {

namespace {

constexpr int64_t kEpochsMax = 1000, kBatchMax = 256, kRankMax = 256;
constexpr double kMultiplierMax = 100, kBudgetMax = 1e7;
constexpr size_t kFilesMax = 64, kMetadataMax = 16, kMetadataKeyBytes = 64, kMetadataValueBytes = 512;
constexpr std::string_view kFileFields[] = {"file", "purpose"};

ApiError wrong_purpose(std::string_view purpose) {
  return refuse("purpose", "invalid_value",
                "\"purpose\" must be \"fine-tune\", not \"{}\": files are kept here to be learned from",
                andiron::in_quotes(purpose));
}

ApiResult<FileAsk> parse_file_form(const std::vector<FormPart>& form) {
  FileAsk ask;
  bool has_file = false, has_purpose = false;
  for (const FormPart& part : form) {
    const std::string name = part.name.substr(0, part.name.find('['));
    const auto& known = file_fields().fields;
    const auto refused = std::find_if(known.begin(), known.end(), [&](const ApiField& field) {
      return field.use == FieldUse::kRefused && field.name == name;
    });
    if (refused != known.end()) {
      return refuse(name, "unsupported_parameter", "\"{}\" is not supported: {}", name, refused->reason);
    }
    if (std::find(std::begin(kFileFields), std::end(kFileFields), part.name) == std::end(kFileFields)) {
      return refuse(part.name, "unknown_parameter", "\"{}\" is not a field of a file", andiron::in_quotes(part.name));
    }
    bool& seen = part.name == "file" ? has_file : has_purpose;
    if (std::exchange(seen, true)) {
      return refuse(part.name, "invalid_value", "\"{}\" stands in the form twice", part.name);
    }
    if (part.name == "purpose" && part.value != "fine-tune") return wrong_purpose(part.value);
    if (part.name == "purpose") continue;
    ask.name = part.file_name.empty() ? "file" : part.file_name;
    ask.content = part.value;
  }
  for (const auto& [seen, name] : {std::pair(has_file, "file"), std::pair(has_purpose, "purpose")}) {
    if (!seen) return refuse(name, "missing_required_parameter", "\"{}\" is missing", name);
  }
  return ask;
}

// A number, or "auto" for the server's own choice.
template <typename T, typename Read>
void read_auto(FieldReader& in, std::string_view name, std::optional<T>& value, Read&& read) {
  const Json* found = in.find(name);
  if (found == nullptr || found->text_or("") == "auto") return;
  T number = 0;
  read(number);
  if (in.ok()) value = number;
}

void read_numbers(const Json& object, const std::string& path, TrainingAsk& ask, std::optional<ApiError>& error) {
  FieldReader in(object, tuning_numbers_fields(), error, path);
  read_auto(in, "n_epochs", ask.epochs, [&](int64_t& value) { in.whole("n_epochs", value, 1, kEpochsMax); });
  read_auto(in, "batch_size", ask.batch, [&](int64_t& value) { in.whole("batch_size", value, 1, kBatchMax); });
  read_auto(in, "learning_rate_multiplier", ask.rate_multiplier,
            [&](double& value) { in.number("learning_rate_multiplier", value, 1e-6, kMultiplierMax); });
  read_auto(in, "beta", ask.beta, [&](double& value) { in.number("beta", value, 1e-6, 2); });
  if (in.ok() && ask.beta && !ask.preferences) {
    in.fail(refuse(in.place("beta"), "invalid_value", "\"{}\" is for the method \"dpo\"", in.place("beta")));
  }
}

// {"type": "supervised" | "dpo", "supervised": {"hyperparameters"}}
void read_method(const Json& object, TrainingAsk& ask, std::optional<ApiError>& error) {
  constexpr std::string_view kTypes[] = {"supervised", "dpo"};
  static const ApiTable kInner = {"a method", {{"hyperparameters"}}};
  FieldReader in(object, tuning_method_fields(), error, "method");
  in.need("type");
  const auto type = in.word("type", kTypes);
  ask.preferences = type == size_t{1};
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    const Json* inner = in.find(kTypes[i]);
    if (inner == nullptr || !type) continue;
    if (i != *type) {
      return in.fail(refuse(in.place(kTypes[i]), "invalid_value", "\"{}\": the method is \"{}\"", in.place(kTypes[i]),
                            kTypes[*type]));
    }
    FieldReader numbers(*inner, kInner, error, in.place(kTypes[i]));
    if (const Json* found = numbers.find("hyperparameters")) {
      read_numbers(*found, numbers.place("hyperparameters"), ask, error);
    }
  }
}

void read_files(FieldReader& in, TrainingAsk& ask) {
  const Json* one = in.find("training_file");
  if (one != nullptr && (!one->is_string() || one->as_string().empty())) {
    return in.wrong("training_file", "the id of a file, or \"chats\"");
  }
  std::vector<std::string> more;
  in.texts("training_files", more, kFilesMax);
  if (one != nullptr) more.insert(more.begin(), one->as_string());
  in.flag("chats", ask.chats);
  for (std::string& id : more) {
    if (id == "chats") {
      ask.chats = true;
    } else if (std::find(ask.files.begin(), ask.files.end(), id) == ask.files.end()) {
      ask.files.push_back(std::move(id));
    }
  }
  if (in.ok() && ask.files.empty() && !ask.chats) {
    in.fail(refuse("training_file", "missing_required_parameter",
                   "\"training_file\" is missing: the id of a file to learn from, or \"chats\""));
  }
}

void read_metadata(FieldReader& in, TrainingAsk& ask) {
  const Json* found = in.find("metadata");
  if (found == nullptr) return;
  bool fits = found->is_object() && found->members().size() <= kMetadataMax;
  for (const auto& [key, value] : found->is_object() ? found->members() : Json::Object{}) {
    fits =
        fits && key.size() <= kMetadataKeyBytes && value.is_string() && value.as_string().size() <= kMetadataValueBytes;
  }
  if (!fits) {
    return in.wrong("metadata", format("an object of at most {} names of {} bytes with texts of {}", kMetadataMax,
                                       kMetadataKeyBytes, kMetadataValueBytes));
  }
  ask.metadata = *found;
}

template <typename T>
void read_optional(FieldReader& in, std::string_view name, std::optional<T>& value, T min, T max) {
  if (in.find(name) == nullptr) return;
  T number = min;
  in.whole(name, number, min, max);
  value = number;
}

}  // namespace

const ApiTable& file_fields() {
  static const ApiTable kTable = {"a file",
                                  {{"purpose"},
                                   {"filename"},
                                   {"content"},
                                   {"expires_after", FieldUse::kRefused, "files stay until they are deleted"}}};
  return kTable;
}

const ApiTable& tuning_job_fields() {
  static const ApiTable kTable = {"a fine-tuning job",
                                  {{"model"},
                                   {"training_file"},
                                   {"training_files"},
                                   {"chats"},
                                   {"suffix"},
                                   {"hyperparameters"},
                                   {"method"},
                                   {"seed"},
                                   {"metadata"},
                                   {"rank"},
                                   {"budget_seconds"},
                                   {"study"},
                                   {"plan_only"},
                                   {"validation_file", FieldUse::kRefused,
                                    "some rows of the training data are held out and measured by themselves"},
                                   {"integrations", FieldUse::kRefused, "nothing here reaches the network"}}};
  return kTable;
}

const ApiTable& tuning_method_fields() {
  static const ApiTable kTable = {
      "a fine-tuning method",
      {{"type"},
       {"supervised"},
       {"dpo"},
       {"reinforcement", FieldUse::kRefused, "there is no grader here; answers can be compared by \"dpo\""}}};
  return kTable;
}

const ApiTable& tuning_numbers_fields() {
  static const ApiTable kTable = {"hyperparameters",
                                  {{"n_epochs"}, {"batch_size"}, {"learning_rate_multiplier"}, {"beta"}}};
  return kTable;
}

ApiResult<FileAsk> parse_file(const HttpRequest& request) {
  if (form_boundary(request.header("content-type"))) return parse_file_form(request.form);
  FileAsk ask;
  std::optional<ApiError> error;
  FieldReader in(request.json, file_fields(), error);
  std::string purpose;
  for (const char* name : {"purpose", "filename", "content"}) in.need(name);
  in.text("purpose", purpose);
  in.text("filename", ask.name);
  in.text("content", ask.content);
  if (in.ok() && purpose != "fine-tune") in.fail(wrong_purpose(purpose));
  if (error) return std::move(*error);
  return ask;
}

ApiResult<TrainingAsk> parse_tuning_job(const Json& body) {
  constexpr std::string_view kStudy[] = {"auto", "on", "off"};
  TrainingAsk ask;
  std::optional<ApiError> error;
  FieldReader in(body, tuning_job_fields(), error);
  in.need("model");
  in.text("model", ask.model);
  read_files(in, ask);
  in.text("suffix", ask.suffix);
  read_optional<int64_t>(in, "seed", ask.seed, 0, INT64_MAX);
  read_optional<int64_t>(in, "rank", ask.rank, 1, kRankMax);
  in.number("budget_seconds", ask.budget_seconds, 1, kBudgetMax);
  in.flag("plan_only", ask.plan_only);
  if (const auto study = in.word("study", kStudy)) ask.study = kStudy[*study];
  read_metadata(in, ask);
  if (const Json* method = in.find("method")) read_method(*method, ask, error);
  if (const Json* numbers = in.find("hyperparameters")) read_numbers(*numbers, "hyperparameters", ask, error);
  if (error) return std::move(*error);
  return ask;
}

ApiResult<PageAsk> parse_page(const HttpRequest& request, std::span<const std::string_view> more, int64_t limit_max) {
  PageAsk page;
  for (const auto& [name, value] : request.query) {
    const bool known = name == "limit" || name == "after" || std::find(more.begin(), more.end(), name) != more.end();
    if (!known)
      return refuse(name, "unknown_parameter", "\"{}\" is not a parameter of {}", andiron::in_quotes(name),
                    request.path);
    if (name == "after") page.after = value;
    if (name == "limit") {
      const auto limit = parse_int(value, "limit");
      if (!limit.ok() || *limit < 1 || *limit > limit_max) {
        return refuse("limit", "invalid_value", "\"limit\" must be a whole number from 1 to {}, not \"{}\"", limit_max,
                      andiron::in_quotes(value));
      }
      page.limit = *limit;
    }
    if (name == "stream" && value != "true" && value != "false") {
      return refuse("stream", "invalid_value", "\"stream\" must be true or false, not \"{}\"",
                    andiron::in_quotes(value));
    }
    if (name == "stream") page.stream = value == "true";
    if (name == "order" && value != "asc" && value != "desc") {
      return refuse("order", "invalid_value", "\"order\" must be asc or desc, not \"{}\"", andiron::in_quotes(value));
    }
    if (name == "order") page.ascending = value == "asc";
    if (name == "purpose" && value != "fine-tune") return wrong_purpose(value);
  }
  return page;
}

ApiResult<Json> list_json(std::vector<Json> all, const PageAsk& page) {
  size_t begin = 0;
  if (!page.after.empty()) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Json& item) { return item.member("id").text_or("") == page.after; });
    if (found == all.end()) {
      return ApiError{
          404, format("\"after\": there is no \"{}\" here", andiron::in_quotes(page.after)), "after", "not_found", {}};
    }
    begin = static_cast<size_t>(found - all.begin()) + 1;
  }
  const size_t end = std::min(all.size(), begin + static_cast<size_t>(page.limit));
  Json data = Json::array();
  for (size_t i = begin; i < end; ++i) data.push(std::move(all[i]));
  Json out = Json::object();
  const auto id = [&](bool last) {
    return data.items().empty() ? Json() : (last ? data.items().back() : data.items().front()).member("id");
  };
  Json first_id = id(false), last_id = id(true);
  out.set("object", "list").set("data", std::move(data)).set("has_more", end < all.size());
  out.set("first_id", std::move(first_id)).set("last_id", std::move(last_id));
  return out;
}

}  // namespace andiron
