// OpenAI's files and fine-tuning jobs: what requests ask for, and what answers look like. Members of this server's own
// stand beside OpenAI's: docs/apis.md has them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/http.h"
#include "serve/api_error.h"
#include "serve/api_fields.h"
#include "serve/file_shelf.h"
#include "serve/job_events.h"
#include "serve/training_job.h"
#include "train/learn.h"

namespace andiron {

struct FileAsk {
  std::string name, content;
};
// Of a form, or of JSON: {"purpose", "filename", "content"}.
ApiResult<FileAsk> parse_file(const HttpRequest& request);
ApiResult<TrainingAsk> parse_tuning_job(const Json& body);

const ApiTable& file_fields();  // of JSON
const ApiTable& tuning_job_fields();
const ApiTable& tuning_method_fields();
const ApiTable& tuning_numbers_fields();  // "hyperparameters"

// "?limit=20&after=ID", and in `more` what else the query may say. `after`: "" for the beginning.
struct PageAsk {
  int64_t limit = 20;
  std::string after;
  bool stream = false;     // of events
  bool ascending = false;  // of files, "order=asc"
};
ApiResult<PageAsk> parse_page(const HttpRequest& request, std::span<const std::string_view> more, int64_t limit_max);

Json file_json(const ShelfFile& file);
Json tuning_job_json(const TrainingJob& job);
Json tuning_event_json(std::string_view job, const JobEvent& event);
// The adapter as it is now, where there is one: {"object": "fine_tuning.job.checkpoint"}.
Json tuning_checkpoint_json(const TrainingJob& job);
Json tuning_plan_json(const LearnPlan& plan);

// {"object": "list", "data", "has_more", "first_id", "last_id"} of those behind `page.after`, each with an "id". 404
// where that is none of them.
ApiResult<Json> list_json(std::vector<Json> all, const PageAsk& page);

// A 404 about the field `param`.
ApiError no_file(std::string_view id, std::string param = "file_id");

// The name by which a model wears what a job has learned: "ember+me".
std::string tuned_model_name(const TrainingJob& job);

}  // namespace andiron
