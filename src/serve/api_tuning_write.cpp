#include <cmath>
#include <ctime>
#include <utility>

#include "base/strings.h"
#include "http/errors.h"
#include "serve/api_tuning.h"

namespace andiron {

namespace {

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }
Json time_or_null(int64_t seconds) { return seconds == 0 ? Json() : Json(seconds); }

template <typename T>
Json or_auto(const std::optional<T>& value) {
  return value ? Json(*value) : Json("auto");
}

Json numbers_json(const TrainingJob& job) {
  Json out = Json::object();
  const TrainingAsk& ask = job.ask;
  out.set("n_epochs", ask.epochs || job.epochs <= 0 ? or_auto(ask.epochs) : Json(job.epochs));
  out.set("batch_size", ask.batch || job.batch <= 0 ? or_auto(ask.batch) : Json(job.batch));
  out.set("learning_rate_multiplier", or_auto(ask.rate_multiplier));
  if (ask.preferences) out.set("beta", or_auto(ask.beta));
  return out;
}

Json method_json(const TrainingJob& job) {
  const char* type = job.ask.preferences ? "dpo" : "supervised";
  Json inner = Json::object(), out = Json::object();
  inner.set("hyperparameters", numbers_json(job));
  out.set("type", type).set(type, std::move(inner));
  return out;
}

Json result_json(const TrainingJob& job) {
  if (job.verdict.empty()) return {};
  Json out = Json::object();
  out.set("before", job.before).set("after", job.after).set("judged", job.verdict);
  out.set("reasons", to_json(job.reasons)).set("samples", job.samples);
  return out;
}

// What OpenAI's jobs have no place for.
Json learning_json(const TrainingJob& job) {
  Json out = Json::object();
  out.set("adapter", job.adapter).set("plan", to_json(job.plan)).set("activity", text_or_null(job.activity));
  out.set("total_steps", job.steps).set("step", job.step);
  out.set("train_loss", finite(job.loss)).set("valid_loss", finite(job.held_out_loss));
  out.set("tokens_per_second", finite(job.tokens_per_s)).set("seconds_left", finite(job.seconds_left));
  out.set("learning_rate", job.rate > 0 ? Json(job.rate) : Json());
  return out;
}

// "draft" until the person has decided.
Json decision_json(const TrainingJob& job) {
  if (!job.decision.empty()) return Json(job.decision);
  return job.state == kJobSucceeded ? Json("draft") : Json();
}

}  // namespace

std::string tuned_model_name(const TrainingJob& job) { return format("{}+{}", job.ask.model, job.adapter); }

Json file_json(const ShelfFile& file) {
  Json out = Json::object();
  out.set("id", file.id).set("object", "file").set("bytes", file.bytes).set("created_at", file.created);
  out.set("filename", file.name).set("purpose", "fine-tune").set("status", "processed");
  out.set("expires_at", Json()).set("status_details", Json());
  return out;
}

Json tuning_job_json(const TrainingJob& job) {
  Json out = Json::object();
  const bool tuned = job.state == kJobSucceeded && job.decision != "discarded";
  out.set("id", job.id).set("object", "fine_tuning.job").set("created_at", job.created);
  Json error;
  if (!job.error.empty()) {
    error = Json::object();
    error.set("code", "training_failed").set("message", job.error).set("param", Json());
  }
  out.set("error", std::move(error));
  out.set("fine_tuned_model", tuned ? Json(tuned_model_name(job)) : Json());
  out.set("finished_at", time_or_null(job.finished)).set("hyperparameters", numbers_json(job));
  out.set("model", job.ask.model).set("organization_id", "local").set("result_files", Json::array());
  out.set("seed", job.ask.seed.value_or(0)).set("status", job.state);
  out.set("trained_tokens", job.tokens > 0 ? Json(job.tokens) : Json());
  out.set("training_file", job.ask.files.empty() ? Json("chats") : Json(job.ask.files.front()));
  out.set("training_files", to_json(job.ask.files)).set("chats", job.ask.chats);
  out.set("validation_file", Json()).set("integrations", Json::array()).set("metadata", job.ask.metadata);
  out.set("method", method_json(job));
  const bool timed = job.state == kJobRunning && std::isfinite(job.seconds_left);
  out.set("estimated_finish", timed ? Json(std::time(nullptr) + static_cast<int64_t>(job.seconds_left)) : Json());
  out.set("verdict", decision_json(job)).set("result", result_json(job)).set("learning", learning_json(job));
  return out;
}

Json tuning_event_json(std::string_view job, const JobEvent& event) {
  Json out = Json::object();
  out.set("id", format("ftevent-{}-{}", job.substr(job.find('-') + 1), event.number));
  out.set("object", "fine_tuning.job.event").set("created_at", event.created).set("level", event.level);
  out.set("message", event.message).set("type", event.data.is_null() ? "message" : "metrics");
  out.set("data", event.data.is_null() ? Json::object() : event.data);
  return out;
}

Json tuning_checkpoint_json(const TrainingJob& job) {
  Json metrics = Json::object(), out = Json::object();
  metrics.set("step", job.step);
  if (std::isfinite(job.loss)) metrics.set("train_loss", job.loss);
  if (std::isfinite(job.held_out_loss)) metrics.set("valid_loss", job.held_out_loss);
  out.set("id", format("ftckpt-{}-{}", job.id.substr(job.id.find('-') + 1), job.step));
  out.set("object", "fine_tuning.job.checkpoint").set("created_at", job.finished == 0 ? job.begun : job.finished);
  out.set("fine_tuned_model_checkpoint", tuned_model_name(job)).set("fine_tuning_job_id", job.id);
  out.set("metrics", std::move(metrics)).set("step_number", job.step);
  return out;
}

Json tuning_plan_json(const LearnPlan& plan) {
  Json out = Json::object();
  out.set("object", "fine_tuning.plan").set("lines", to_json(plan.lines));
  out.set("steps", plan.plan.steps).set("epochs", plan.plan.epochs);
  out.set("batch_size", plan.plan.batch * plan.plan.grad_accum).set("learning_rate", plan.rate);
  out.set("seconds", plan.plan.seconds > 0 ? Json(plan.plan.seconds) : Json());
  out.set("memory_bytes", plan.plan.memory.total()).set("passages", plan.passages);
  return out;
}

ApiError no_file(std::string_view id, std::string param) {
  return {404, format("there is no file \"{}\" here", andiron::in_quotes(id)), std::move(param), "not_found", {}};
}

}  // namespace andiron
