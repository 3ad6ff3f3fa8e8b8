// andiron learn: an adapter, or a whole small model, trained on a person's own words.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/adapter_store.h"
#include "cli/answering.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/learn_display.h"
#include "cli/terminal.h"
#include "cli/version.h"
#include "model/adapter_stack.h"
#include "train/learn.h"
#include "train/verdict.h"

namespace andiron {

namespace {

bool is_given(const LearnOptions& o, std::string_view option) {
  return std::find(o.given.begin(), o.given.end(), option) != o.given.end();
}

// What an adapter is called that was given no name: as the file or folder is that it is learned from. "" where that
// is no name, or one was given.
std::string name_of_data(const LearnOptions& o) {
  if (is_given(o, "as") || !o.out.empty() || o.data.empty()) return "";
  const auto path = std::filesystem::path(o.data.front()).lexically_normal();
  const std::string name = (path.has_filename() ? path : path.parent_path()).stem().string();
  return check_adapter_name(name).ok() ? name : "";
}

// All but the folder.
Result<LearnOptions> learn_options(const LearnCommandOptions& o) {
  LearnOptions out = o.learn;
  TRY_ASSIGN(out.method, learn_method_from_name(o.method));
  TRY_ASSIGN(out.loss, loss_kind_from_name(o.loss));
  TRY_ASSIGN(out.schedule, schedule_kind_from_name(o.schedule));
  TRY_ASSIGN(out.checkpointing, checkpointing_from_name(o.checkpointing));
  TRY_ASSIGN(out.study, study_mode_from_name(o.study));
  TRY_ASSIGN(out.budget_seconds, budget_seconds_of(o.budget, o.until));
  if (!o.format.empty()) {
    TRY_ASSIGN(out.reading.format, parse_data_format(o.format));
  }
  if (!o.learn.resume && o.learn.data.empty()) {
    return make_error("expected DATA, what to learn from; only --resume can take it from the run");
  }
  if (o.everything && o.last_answer) return make_error("--everything and --last-answer exclude each other");
  if (o.everything) out.reading.loss_on = LossOn::kEverything;
  if (o.last_answer) out.reading.loss_on = LossOn::kLastAnswer;
  if (o.split_long) out.reading.long_rows = LongRows::kSplit;
  out.pack = !o.no_pack;
  out.reading.held_out = o.held_out;
  TRY_ASSIGN(out.memory_bytes, memory_bytes_of(o.memory_gib));
  out.base_path = o.model;
  out.version = ANDIRON_VERSION;
  if (out.out.empty() && out.name.empty()) {
    return make_error("where to? --as NAME keeps the adapter under a name, --out FOLDER in a folder");
  }
  if (out.out.empty()) TRY(check_adapter_name(out.name));
  TRY(check_learn_options(out));
  return out;
}

// What the model answers to a row's prompt with and without the adapter.
struct Sample {
  std::string prompt, expected, before, after;
};

Result<std::string> answer(Session& session, std::span<const int32_t> prompt) {
  TRY(session.prefill(prompt, {}));
  GenerateOptions options;
  options.sampling.temperature = 0;
  options.tokens_max = 48;
  std::string text;
  TRY(session.generate(options, [&](const TokenEvent& event) {
    text += event.text;
    return true;
  }));
  return text;
}

Result<std::vector<Sample>> sample_answers(const GlobalOptions& global, const Machine& machine,
                                           const std::shared_ptr<const Model>& model, const Tokenizer& tokenizer,
                                           const LearnResult& result, const std::string& folder) {
  std::vector<Sample> samples;
  if (result.samples.empty() || result.record.method.starts_with("full")) return samples;
  TRY_ASSIGN(auto session,
             Session::create(model, tokenizer, *machine.kernels, *machine.team, session_options(global, machine, 512)));
  std::vector<std::string> notes;
  const StackEntry entry = {folder, 1};
  TRY_ASSIGN(const auto stack, AdapterStack::load({&entry, 1}, *model, *machine.kernels, *machine.team, notes));
  for (const TokenRow& row : result.samples) {
    const size_t cut = sample_prompt_size(row);
    const std::span<const int32_t> prompt(row.tokens.data(), cut);
    Sample sample;
    sample.prompt = tokenizer.decode(prompt);
    sample.expected =
        tokenizer.decode(std::span(row.tokens).subspan(cut, std::min<size_t>(48, row.tokens.size() - cut)));
    session->wear(nullptr);
    TRY_ASSIGN(sample.before, answer(*session, prompt));
    session->wear(stack);
    TRY_ASSIGN(sample.after, answer(*session, prompt));
    samples.push_back(std::move(sample));
  }
  return samples;
}

// Whether the rows were conversations, as the model saw them.
bool learned_to_chat(const RunRecord& record, const Tokenizer& tokenizer) {
  if (!ChatPrompt::can_chat(tokenizer)) return record.report.member("plain_chat_format").bool_or(false);
  return std::any_of(record.data.begin(), record.data.end(), [](const DataFileRecord& file) {
    return (file.use == "train" || file.use == "study") && file.format != "text" && file.format != "markdown" &&
           file.format != "text-rows";
  });
}

// How to answer with what was learned, asked as it was trained.
std::string next_command(const LearnResult& result, const LearnCommandOptions& options, const std::string& folder,
                         const Tokenizer& tokenizer) {
  const std::string prompt = learned_to_chat(result.record, tokenizer) ? "--chat -p TEXT" : "-p TEXT";
  if (result.record.method.starts_with("full")) return format("andiron run {}/model.gguf {}", folder, prompt);
  const bool named = options.learn.out.empty();
  return format("andiron run {} --adapter {} {}", options.model, named ? options.learn.name : folder, prompt);
}

void print_result(const LearnResult& result, const std::vector<Sample>& samples, const std::string& folder,
                  const std::string& next) {
  const RunRecord& r = result.record;
  std::fprintf(stdout, "%-22s %10s %10s\n", "", "before", "after");
  for (const auto& [key, label] :
       {std::pair(kHeldOutLoss, "held-out loss"), std::pair(kGeneralPerplexity, "general perplexity")}) {
    const double before = r.before.member(key).number_or(NAN), after = r.after.member(key).number_or(NAN);
    if (!std::isnan(after)) std::fprintf(stdout, "%-22s %10.4f %10.4f\n", label, before, after);
  }
  for (const Sample& s : samples) {
    std::fprintf(stdout, "\nprompt   %s\nexpected %s\nbefore   %s\nafter    %s\n", printable(s.prompt).c_str(),
                 printable(s.expected).c_str(), printable(s.before).c_str(), printable(s.after).c_str());
  }
  std::fprintf(stdout, "\n%s after %lld steps and %s: %s\n", r.verdict.c_str(), static_cast<long long>(r.steps),
               human_seconds(r.seconds).c_str(), printable(folder).c_str());
  for (const std::string& reason : r.reasons) std::fprintf(stdout, "  %s\n", printable(reason).c_str());
  std::fprintf(stdout, "%s\n", printable(next).c_str());
}

Json result_json(const LearnResult& result, const std::vector<Sample>& samples, const std::string& folder) {
  Json json = run_record_json(result.record);
  json.set("out", folder);
  json.set("stopped", result.stopped);
  Json list = Json::array();
  for (const Sample& s : samples) {
    list.push(Json(Json::Object{{"prompt", Json(s.prompt)},
                                {"expected", Json(s.expected)},
                                {"before", Json(s.before)},
                                {"after", Json(s.after)}}));
  }
  json.set("samples", std::move(list));
  return json;
}

// Paths of a record, which must still be there.
Result<std::vector<std::string>> paths_of(const RunRecord& record, std::string_view use, const std::string& source) {
  std::vector<std::string> paths;
  for (const DataFileRecord& file : record.data) {
    if (file.use != use) continue;
    if (!file_exists(file.path)) {
      return make_error("{}: it names the data {}, which is not there, seen from this folder; give MODEL and DATA",
                        source, andiron::in_quotes(file.path));
    }
    paths.push_back(file.path);
  }
  return paths;
}

void take_general_of_model(LearnCommandOptions& o) {
  const std::string rows = general_rows_of(o.model);
  if (!rows.empty()) o.learn.general = {rows};
}

// With the model and the data of the run that --resume goes on with, where they were left out.
Result<LearnCommandOptions> completed(const LearnCommandOptions& given, const std::string& out,
                                      const GlobalOptions& global) {
  LearnCommandOptions o = given;
  if (!o.learn.resume || (!o.model.empty() && !o.learn.data.empty())) return o;
  const std::string source = out + "/run.json";
  if (!file_exists(source)) return make_error("{}: there is no run to resume in this folder", out);
  TRY_ASSIGN(const RunRecord record, read_run_record(source));
  if (o.model.empty()) {
    o.model = record.base_path;
    const auto file = model_path(o.model);
    if (!file.ok() || !file_exists(*file)) {
      return make_error("{}: it names the model {}, which is not there, seen from this folder; give MODEL", source,
                        andiron::in_quotes(o.model));
    }
  }
  std::string said = format("going on with {}", o.model);
  if (o.learn.data.empty()) {
    TRY_ASSIGN(o.learn.data, paths_of(record, "train", source));
    TRY_ASSIGN(const auto replay, paths_of(record, "replay", source));
    TRY_ASSIGN(const auto general, paths_of(record, "general", source));
    if (o.learn.replay.empty()) o.learn.replay = replay;
    if (o.learn.general.empty()) o.learn.general = general;
  } else if (o.learn.general.empty()) {
    take_general_of_model(o);
  }
  for (const std::string& path : o.learn.data) said += (&path == &o.learn.data.front() ? " and " : ", ") + path;
  if (!global.quiet) std::fprintf(stderr, "%s, as %s has it\n", printable(said).c_str(), printable(source).c_str());
  return o;
}

}  // namespace

void fill_in_learn_options(LearnCommandOptions& o) {
  split_model(o.model, o.learn.data);
  if (!o.learn.resume && o.model.empty()) o.model = kShippedModel;
  const bool has_general = !o.learn.general.empty();
  if (!has_general && !o.model.empty()) take_general_of_model(o);
  if (o.learn.resume) return;
  const bool may_pull = o.method != "full" && o.loss == "sft";
  if (!has_general && !o.learn.general.empty() && may_pull && !is_given(o.learn, "kl")) o.learn.kl_weight = kUsualPull;
  if (o.learn.name.empty()) o.learn.name = name_of_data(o.learn);
}

Status check_learn_options(const LearnCommandOptions& options) {
  TRY(learn_options(options));
  return {};
}

Result<int> learn_command(const GlobalOptions& global, const LearnCommandOptions& given) {
  std::string out = given.learn.out;
  if (out.empty()) {
    TRY_ASSIGN(out, adapter_folder(given.learn.name));
  }
  TRY_ASSIGN(const LearnCommandOptions options, completed(given, out, global));
  TRY_ASSIGN(LearnOptions learning, learn_options(options));
  learning.out = out;
  // Not the whole path: the name goes into files that are shared.
  if (learning.name.empty()) learning.name = name_of_folder(learning.out);
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  TRY_ASSIGN(const auto tokenizer, load_tokenizer(loaded.model->source(), options.chat_template));
  LearnDisplay display(global.quiet);
  TRY_ASSIGN(const LearnResult result,
             learn(*loaded.model, *tokenizer, *machine.kernels, *machine.team, learning, display.events(), [&] {
               return study_answerer(loaded.model, *tokenizer, *machine.kernels, *machine.team,
                                     session_options(global, machine, 512));
             }));
  display.close();
  if (result.stopped) {
    if (options.json) print_json(result_json(result, {}, learning.out));
    return kExitInterrupted;
  }
  // What was learned is safe by now; answers that cannot be had are only not shown.
  auto answers = sample_answers(global, machine, loaded.model, *tokenizer, result, learning.out);
  if (!answers.ok()) std::fprintf(stderr, "no sample answers: %s\n", printable(answers.error().message).c_str());
  const std::vector<Sample> samples = answers.ok() ? std::move(*answers) : std::vector<Sample>();
  if (options.json) {
    print_json(result_json(result, samples, learning.out));
  } else {
    print_result(result, samples, learning.out, next_command(result, options, learning.out, *tokenizer));
  }
  return 0;
}

}  // namespace andiron
