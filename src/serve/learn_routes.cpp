#include "serve/learn_routes.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "http/errors.h"
#include "serve/api_tuning.h"
#include "serve/piecewise.h"
#include "serve/workers.h"

namespace andiron {

namespace {

using Reply = std::shared_ptr<HttpReply>;
using Change = ApiResult<TrainingJob> (TrainingJobs::*)(std::string_view id);

constexpr ErrorShape kShape = ErrorShape::kOpenAi;
constexpr size_t kPieceBytes = 256 << 10;  // of a file's content; as much lies in memory for each slow client
constexpr int64_t kFilesAtOnce = 10'000, kJobsAtOnce = 100, kEventsAtOnce = 1000;

Json deleted_json(std::string_view id, std::string_view object) {
  Json out = Json::object();
  out.set("id", id).set("object", object).set("deleted", true);
  return out;
}

ApiResult<Json> job_or_error(ApiResult<TrainingJob> job) {
  if (!job.ok()) return job.error();
  return tuning_job_json(*job);
}

// ---- Files ---------------------------------------------------------------------------------------------------------

ApiResult<Json> add_file(const FileShelf& shelf, const HttpRequest& request) {
  auto ask = parse_file(request);
  if (!ask.ok()) return ask.error();
  const Status sound = FileShelf::check(ask->name, ask->content);
  if (!sound.ok()) return refuse("file", "invalid_file", "{}", sound.error().message);
  auto file = shelf.add(ask->name, ask->content);
  if (!file.ok() && file.error().kind == ErrorKind::kConflict) {
    return ApiError{409, file.error().message, "", "too_many_files", {}};
  }
  if (!file.ok()) return cannot(file.error());
  return file_json(*file);
}

ApiResult<Json> list_files(const FileShelf& shelf, const HttpRequest& request) {
  constexpr std::string_view kMore[] = {"order", "purpose"};
  auto page = parse_page(request, kMore, kFilesAtOnce);
  if (!page.ok()) return page.error();
  if (request.query_value("limit").empty()) page->limit = kFilesAtOnce;
  const auto files = shelf.list();
  if (!files.ok()) return cannot(files.error());
  std::vector<Json> all;
  for (const ShelfFile& file : *files) all.push_back(file_json(file));
  if (!page->ascending) std::reverse(all.begin(), all.end());
  return list_json(std::move(all), *page);
}

ApiResult<Json> find_file(const FileShelf& shelf, const HttpRequest& request) {
  const std::string& id = request.captures.at("id");
  const auto file = shelf.find(id);
  if (!file) return no_file(id);
  return file_json(*file);
}

// From the file, as the client takes it. `workers` read it: they must not be kept by what they have to do.
void send_content(const FileShelf& shelf, const std::weak_ptr<Workers>& workers, const HttpRequest& request,
                  const Reply& reply) {
  const std::string& id = request.captures.at("id");
  const auto file = shelf.find(id);
  if (!file) return send_error(*reply, kShape, no_file(id));
  auto opened = ShelfReader::open(shelf.path_of(*file));
  if (!opened.ok() && opened.error().kind == ErrorKind::kNotFound) return send_error(*reply, kShape, no_file(id));
  if (!opened.ok()) return send_error(*reply, kShape, cannot(opened.error()));
  PieceSource source;
  source.bytes = (*opened)->bytes();
  source.next = [reader = *opened] { return reader->read(kPieceBytes); };
  source.run = [workers](std::function<void()> task) {
    if (const auto there = workers.lock()) there->post(std::move(task));
  };
  send_pieces(reply, "application/octet-stream", {{"content-disposition", "attachment"}}, std::move(source));
}

// ---- Jobs ----------------------------------------------------------------------------------------------------------

ApiResult<Json> plan_or_error(ApiResult<LearnPlan> plan) {
  if (!plan.ok()) return plan.error();
  return tuning_plan_json(*plan);
}

ApiResult<Json> list_jobs(TrainingJobs& jobs, const HttpRequest& request) {
  auto page = parse_page(request, {}, kJobsAtOnce);
  if (!page.ok()) return page.error();
  std::vector<Json> all;
  for (const TrainingJob& job : jobs.list()) all.push_back(tuning_job_json(job));
  return list_json(std::move(all), *page);
}

ApiResult<Json> list_events(TrainingJobs& jobs, const HttpRequest& request, const PageAsk& page) {
  const std::string& id = request.captures.at("id");
  auto events = jobs.events(id);
  if (!events.ok()) return events.error();
  std::vector<Json> all;
  for (const JobEvent& event : *events) all.push_back(tuning_event_json(id, event));
  std::reverse(all.begin(), all.end());  // the newest first, as OpenAI's
  return list_json(std::move(all), page);
}

ApiResult<Json> list_checkpoints(TrainingJobs& jobs, const HttpRequest& request) {
  auto page = parse_page(request, {}, kJobsAtOnce);
  if (!page.ok()) return page.error();
  auto job = jobs.find(request.captures.at("id"));
  if (!job.ok()) return job.error();
  std::vector<Json> all;
  if (job->begun != 0 && job->step > 0 && job->decision != "discarded") all.push_back(tuning_checkpoint_json(*job));
  return list_json(std::move(all), *page);
}

// A reply that is let go of when its client goes, whoever still has this; and with this.
struct Watching {
  std::mutex mutex;
  Reply reply;

  Reply there() {
    const std::lock_guard lock(mutex);
    return reply;
  }
};

// What has happened, and what happens, until the job is over. The next event of a paused job may be days away.
void stream_events(TrainingJobs& jobs, const std::string& id, const Reply& reply) {
  if (const auto job = jobs.find(id); !job.ok()) return send_error(*reply, kShape, job.error());
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  const auto watching = std::make_shared<Watching>();
  watching->reply = reply;
  reply->on_gone([gone, weak = std::weak_ptr<Watching>(watching)] {
    *gone = true;
    const auto there = weak.lock();
    if (there == nullptr) return;
    const std::lock_guard lock(there->mutex);
    there->reply = nullptr;
  });
  reply->begin_stream("text/event-stream");
  const auto error = jobs.watch(
      id,
      [id, watching](const JobEvent* event) {
        const Reply to = watching->there();
        if (to == nullptr) return false;
        if (event != nullptr) {
          to->write(sse_event("", tuning_event_json(id, *event).dump()));
          return true;
        }
        to->write(sse_event("", "[DONE]"));
        to->end();
        return false;
      },
      gone);
  if (error) reply->end();
}

void send_events(TrainingJobs& jobs, const HttpRequest& request, const Reply& reply) {
  constexpr std::string_view kMore[] = {"stream"};
  auto page = parse_page(request, kMore, kEventsAtOnce);
  if (!page.ok()) return send_error(*reply, kShape, page.error());
  if (page->stream) return stream_events(jobs, request.captures.at("id"), reply);
  auto list = list_events(jobs, request, *page);
  if (!list.ok()) return send_error(*reply, kShape, list.error());
  reply->send(200, "application/json", list->dump());
}

// ---- Routes --------------------------------------------------------------------------------------------------------

void send(const Reply& reply, ApiResult<Json> found) {
  if (!found.ok()) return send_error(*reply, kShape, found.error());
  reply->send(200, "application/json", found->dump());
}

class Routes {
 public:
  using Answer = std::function<ApiResult<Json>(const HttpRequest& request)>;
  using Handle = std::function<void(const HttpRequest& request, const Reply& reply)>;

  void add(std::string_view method, std::string_view pattern, BodyKind body, Answer answer) {
    add_handle(method, pattern, body, [answer = std::move(answer)](const HttpRequest& request, const Reply& reply) {
      send(reply, answer(request));
    });
  }
  // A plan waits for the data to be read, and for whoever is being answered: on a thread of its own, so that nothing
  // else waits for it.
  void add_jobs(TrainingJobs& jobs) {
    Route route;
    route.method = "POST";
    route.pattern = "/v1/fine_tuning/jobs";
    route.errors = kShape;
    route.body = BodyKind::kText;
    route.handler = [&jobs, workers = workers_, planner = planner_](const HttpRequest& request, const Reply& reply) {
      auto ask = parse_tuning_job(request.json);
      if (!ask.ok()) return send_error(*reply, kShape, ask.error());
      (ask->plan_only ? planner : workers)->post([&jobs, ask = std::move(*ask), reply] {
        if (ask.plan_only && reply->is_over()) return;
        send(reply, ask.plan_only ? plan_or_error(jobs.plan(ask)) : job_or_error(jobs.add(ask)));
      });
    };
    routes_.push_back(std::move(route));
  }
  void add_handle(std::string_view method, std::string_view pattern, BodyKind body, Handle handle) {
    Route route;
    route.method = method;
    route.pattern = pattern;
    route.errors = kShape;
    route.body = body;
    // The task holds nothing of the workers: it would be the one that waits for its own end.
    route.handler = [workers = workers_, handle = std::make_shared<const Handle>(std::move(handle))](
                        HttpRequest request, const Reply& reply) {
      workers->post([handle, request = std::move(request), reply] {
        if (request.method == "GET" && reply->is_over()) return;
        (*handle)(request, reply);
      });
    };
    routes_.push_back(std::move(route));
  }
  std::weak_ptr<Workers> workers() const { return workers_; }
  std::vector<Route> take() { return std::move(routes_); }

 private:
  std::shared_ptr<Workers> workers_ = std::make_shared<Workers>(1), planner_ = std::make_shared<Workers>(1);
  std::vector<Route> routes_;
};

void add_file_routes(Routes& routes, TrainingJobs& jobs, const FileShelf& shelf) {
  routes.add("POST", "/v1/files", BodyKind::kForm,
             [&shelf](const HttpRequest& request) { return add_file(shelf, request); });
  routes.add("GET", "/v1/files", BodyKind::kNone,
             [&shelf](const HttpRequest& request) { return list_files(shelf, request); });
  routes.add("GET", "/v1/files/{id}", BodyKind::kNone,
             [&shelf](const HttpRequest& request) { return find_file(shelf, request); });
  routes.add("DELETE", "/v1/files/{id}", BodyKind::kNone, [&jobs](const HttpRequest& request) -> ApiResult<Json> {
    const std::string& id = request.captures.at("id");
    if (auto error = jobs.remove_file(id)) return std::move(*error);
    return deleted_json(id, "file");
  });
  routes.add_handle("GET", "/v1/files/{id}/content", BodyKind::kNone,
                    [&shelf, workers = routes.workers()](const HttpRequest& request, const Reply& reply) {
                      send_content(shelf, workers, request, reply);
                    });
}

void add_job_routes(Routes& routes, TrainingJobs& jobs) {
  routes.add_jobs(jobs);
  routes.add("GET", "/v1/fine_tuning/jobs", BodyKind::kNone,
             [&jobs](const HttpRequest& request) { return list_jobs(jobs, request); });
  routes.add("GET", "/v1/fine_tuning/jobs/{id}", BodyKind::kNone,
             [&jobs](const HttpRequest& request) { return job_or_error(jobs.find(request.captures.at("id"))); });
  routes.add("GET", "/v1/fine_tuning/jobs/{id}/checkpoints", BodyKind::kNone,
             [&jobs](const HttpRequest& request) { return list_checkpoints(jobs, request); });
  routes.add_handle("GET", "/v1/fine_tuning/jobs/{id}/events", BodyKind::kNone,
                    [&jobs](const HttpRequest& request, const Reply& reply) { send_events(jobs, request, reply); });
  routes.add("DELETE", "/v1/fine_tuning/jobs/{id}", BodyKind::kNone,
             [&jobs](const HttpRequest& request) -> ApiResult<Json> {
               const std::string& id = request.captures.at("id");
               if (auto error = jobs.remove(id)) return std::move(*error);
               return deleted_json(id, "fine_tuning.job");
             });
  const std::pair<std::string_view, Change> changes[] = {{"/v1/fine_tuning/jobs/{id}/cancel", &TrainingJobs::cancel},
                                                         {"/v1/fine_tuning/jobs/{id}/pause", &TrainingJobs::pause},
                                                         {"/v1/fine_tuning/jobs/{id}/resume", &TrainingJobs::resume},
                                                         {"/v1/fine_tuning/jobs/{id}/keep", &TrainingJobs::keep},
                                                         {"/v1/fine_tuning/jobs/{id}/discard", &TrainingJobs::discard}};
  for (const auto& [pattern, change] : changes) {
    routes.add("POST", pattern, BodyKind::kText, [&jobs, change = change](const HttpRequest& request) {
      return job_or_error((jobs.*change)(request.captures.at("id")));
    });
  }
  routes.add("DELETE", "/v1/models/{model*}", BodyKind::kNone, [&jobs](const HttpRequest& request) -> ApiResult<Json> {
    const std::string& model = request.captures.at("model");
    if (auto job = jobs.discard_model(model); !job.ok()) return job.error();
    return deleted_json(model, "model");
  });
}

}  // namespace

std::vector<Route> learn_routes(TrainingJobs& jobs, const FileShelf& shelf) {
  Routes routes;
  add_file_routes(routes, jobs, shelf);
  add_job_routes(routes, jobs);
  return routes.take();
}

}  // namespace andiron
