// Teaching over HTTP: OpenAI's files and fine-tuning jobs, and what this server has beside them. Fields, members and
// routes of its own stand in docs/apis.md.
//
//   POST   /v1/files                               a form, or JSON
//   GET    /v1/files                               limit, after, order, purpose
//   GET    /v1/files/{id}
//   GET    /v1/files/{id}/content
//   DELETE /v1/files/{id}
//   POST   /v1/fine_tuning/jobs                    {"plan_only": true}: the plan alone, nothing is begun
//   GET    /v1/fine_tuning/jobs                    limit, after
//   GET    /v1/fine_tuning/jobs/{id}
//   DELETE /v1/fine_tuning/jobs/{id}               of this server: one that is over; its adapter stays
//   GET    /v1/fine_tuning/jobs/{id}/events        limit, after; stream=true: as server-sent events, oldest first
//   GET    /v1/fine_tuning/jobs/{id}/checkpoints   limit, after
//   POST   /v1/fine_tuning/jobs/{id}/cancel, pause, resume
//   POST   /v1/fine_tuning/jobs/{id}/keep, discard   of this server
//   DELETE /v1/models/{model}                      an adapter that was learned here: as discard
#pragma once

#include <vector>

#include "http/http.h"
#include "serve/file_shelf.h"
#include "serve/training_jobs.h"

namespace andiron {

// Both must outlive the routes, which share threads of their own for whatever waits for the disk.
std::vector<Route> learn_routes(TrainingJobs& jobs, const FileShelf& shelf);

}  // namespace andiron
