// Teaching over a socket, as OpenAI's clients do it.
#include "serve/learn_routes.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <vector>

#include "http/security_matrix.h"
#include "serve/api_fields_fixture.h"
#include "serve/learn_fixture.h"

// A shim between the program and the system: writes that fail as those to a disk may.
namespace {
std::atomic<int> g_write_error{0};  // errno; 0: none fails
}

extern "C" ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  if (g_write_error == 0) return ::syscall(SYS_pwrite64, fd, data, size, at);
  errno = g_write_error;
  return -1;
}

namespace andiron {
namespace {

class LearnRoutes : public LearningTest {
 protected:
  LearnRoutes() : server_(std::make_unique<TestServer>(learn_routes(*jobs_, *shelf_))) {}
  ~LearnRoutes() override { server_.reset(); }

  std::string ask_raw(std::string_view method, std::string_view path, std::string_view body = "",
                      std::string_view type = "application/json") const {
    std::string bytes = format("{} {} HTTP/1.1\r\nHost: HERE\r\n", method, path);
    if (method == "POST" && !body.empty())
      bytes += format("Content-Type: {}\r\nContent-Length: {}\r\n", type, body.size());
    return server_->ask(bytes + "\r\n" + std::string(body));
  }
  Json ask(std::string_view method, std::string_view path, std::string_view body = "", int status = 200) const {
    const std::string answer = ask_raw(method, path, body);
    EXPECT_EQ(status_in(answer), status) << method << " " << path << answer;
    return json(answer.substr(answer.find("\r\n\r\n") + 4));
  }
  // As OpenAI's client for Node sends it.
  Json upload(std::string_view name, std::string_view content, int status = 200,
              std::string_view purpose = "fine-tune") {
    const std::string body = format(
        "--b0undary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\nContent-Type: "
        "application/octet-stream\r\n\r\n{}\r\n--b0undary\r\nContent-Disposition: form-data; "
        "name=\"purpose\"\r\n\r\n{}\r\n"
        "--b0undary--\r\n",
        name, content, purpose);
    const std::string answer = ask_raw("POST", "/v1/files", body, "multipart/form-data; boundary=b0undary");
    EXPECT_EQ(status_in(answer), status) << answer;
    return json(answer.substr(answer.find("\r\n\r\n") + 4));
  }
  static std::string text(const Json& object, std::string_view member) {
    return std::string(object.member(member).text_or(""));
  }
  // What a stream has told, but for its last word.
  static std::vector<Json> events_in(std::string_view stream) {
    constexpr std::string_view kData = "data: ";
    std::vector<Json> out;
    for (size_t at = 0; (at = stream.find("data: {", at)) != std::string_view::npos;) {
      const size_t end = stream.find('\n', at);
      out.push_back(json(stream.substr(at + kData.size(), end - at - kData.size())));
      at = std::min(end, stream.size());
    }
    return out;
  }
  static std::string rows() {
    std::string out;
    for (int i = 0; i < 30; ++i)
      out += format("{{\"prompt\": \"bird {}\", \"completion\": \"It sings {}.\"}}\n", i, 3 * i);
    return out;
  }
  Json ended_job(const std::string& id) {
    ended(id);
    return ask("GET", "/v1/fine_tuning/jobs/" + id);
  }

  std::unique_ptr<TestServer> server_;
};

TEST_F(LearnRoutes, FilesComeAndGo) {
  const Json file = upload("a%22b.jsonl", rows());
  EXPECT_EQ(text(file, "object"), "file");
  EXPECT_EQ(text(file, "filename"), "a\"b.jsonl");
  EXPECT_EQ(text(file, "purpose"), "fine-tune");
  EXPECT_EQ(file.member("bytes").as_int(), std::ssize(rows()));
  const std::string path = "/v1/files/" + text(file, "id");
  EXPECT_EQ(ask("GET", path).dump(), file.dump());
  const std::string content = ask_raw("GET", path + "/content");
  EXPECT_TRUE(content.ends_with("\r\n\r\n" + rows()));
  EXPECT_NE(content.find("content-disposition: attachment"), std::string::npos);
  const Json second = ask("POST", "/v1/files", R"({"purpose": "fine-tune", "filename": "b.md", "content": "Words."})");
  const Json list = ask("GET", "/v1/files?purpose=fine-tune&order=asc");
  EXPECT_EQ(list.member("data").items().size(), 2U);
  EXPECT_FALSE(list.member("has_more").as_bool());
  EXPECT_EQ(ask("GET", "/v1/files?limit=1").member("has_more").as_bool(), true);
  const Json gone = ask("DELETE", path);
  EXPECT_EQ(text(gone, "id"), text(file, "id"));
  EXPECT_EQ(text(gone, "object"), "file");
  EXPECT_TRUE(gone.member("deleted").bool_or(false));
  EXPECT_EQ(text(ask("GET", path, "", 404).member("error"), "code"), "not_found");
  ask("GET", path + "/content", "", 404);
  ask("DELETE", path, "", 404);
  EXPECT_EQ(ask("GET", "/v1/files").member("data").items().front().dump(), second.dump());
}

// Descriptors of this process that are of this file, which may have been removed.
size_t open_descriptors(const std::string& path) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    count += std::filesystem::read_symlink(entry.path(), gone).string().starts_with(path);
  }
  return count;
}

// What the system takes for a client is less than this, so that the rest of it waits: in the file, not in memory.
TEST_F(LearnRoutes, ContentsAreReadAsTheirClientsTakeThem) {
  std::string content;
  while (content.size() < size_t{48} << 20) content += format("line {}\n", content.size());
  const auto file = shelf_->add("long.txt", content);
  ASSERT_TRUE(file.ok()) << file.error().message;
  const std::string kept = shelf_->path_of(*file), path = "/v1/files/" + file->id;
  const auto slow_client = [&] {
    RawClient client = server_->connect();
    client.send(format("GET {}/content HTTP/1.1\r\n{}\r\n", path, server_->host()));
    const std::string head = client.until("\r\n\r\n");
    EXPECT_EQ(status_in(head), 200);
    EXPECT_NE(head.find(format("content-length: {}\r\n", content.size())), std::string::npos) << head;
    return client;
  };
  {
    const RawClient client = slow_client();
    EXPECT_TRUE(comes_true([&] { return open_descriptors(kept) == 1; }));
  }
  EXPECT_TRUE(comes_true([&] { return open_descriptors(kept) == 0; })) << "the client has gone";
  // Others are answered beside one that waits, and it gets all of what it has asked for.
  RawClient client = slow_client();
  EXPECT_TRUE(ask("DELETE", path).member("deleted").bool_or(false));
  ask("GET", path + "/content", "", 404);
  EXPECT_EQ(open_descriptors(kept), 1U);
  std::string got;
  while (got.size() < content.size()) {
    const std::string more = client.some();
    ASSERT_FALSE(more.empty()) << got.size();
    got += more;
  }
  EXPECT_TRUE(got == content);
  EXPECT_TRUE(comes_true([&] { return open_descriptors(kept) == 0; }));
}

TEST_F(LearnRoutes, FormsWithAnythingElseAreRefused) {
  EXPECT_EQ(text(upload("a.jsonl", rows(), 400, "assistants").member("error"), "param"), "purpose");
  EXPECT_EQ(text(upload("a.pdf", "%PDF-1.4", 400).member("error"), "param"), "file");
  const auto refusal = [&](std::string_view parts) {
    const std::string answer =
        ask_raw("POST", "/v1/files", format("{}--x--\r\n", parts), "multipart/form-data; boundary=x");
    EXPECT_EQ(status_in(answer), 400) << answer;
    return text(json(answer.substr(answer.find("\r\n\r\n") + 4)).member("error"), "message");
  };
  const std::string file = "--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\ntext\r\n";
  const std::string purpose = "--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nfine-tune\r\n";
  const auto named = [](std::string_view name) {
    return format("--x\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n1\r\n", name);
  };
  EXPECT_EQ(refusal(file), "\"purpose\" is missing");
  EXPECT_EQ(refusal(purpose), "\"file\" is missing");
  EXPECT_EQ(refusal(file + file + purpose), "\"file\" stands in the form twice");
  EXPECT_EQ(refusal(file + purpose + named("user")), "\"user\" is not a field of a file");
  EXPECT_EQ(refusal(file + purpose + named("expires_after[anchor]")),
            "\"expires_after\" is not supported: files stay until they are deleted");
  EXPECT_NE(refusal("--x\r\n\r\ntext\r\n").find("no content-disposition"), std::string::npos);
  EXPECT_NE(refusal("--x\r\n").find("a header has no name"), std::string::npos);
  EXPECT_EQ(status_in(ask_raw("POST", "/v1/files", "a=b", "application/x-www-form-urlencoded")), 415);
  EXPECT_EQ(ask("GET", "/v1/files").member("data").items().size(), 0U);
}

TEST_F(LearnRoutes, ADiskThatTakesNoMoreIsNotTheFilesFault) {
  const std::tuple<int, int, const char*> cases[] = {
      {ENOSPC, 507, "disk_full"}, {EDQUOT, 507, "disk_full"}, {EIO, 500, "storage_error"}};
  for (const auto& [number, status, code] : cases) {
    g_write_error = number;
    const Json error = upload("a.jsonl", rows(), status).member("error");
    g_write_error = 0;
    EXPECT_EQ(text(error, "code"), code);
    EXPECT_EQ(text(error, "type"), "server_error");
    EXPECT_NE(text(error, "message").find(std::strerror(number)), std::string::npos) << text(error, "message");
  }
  EXPECT_EQ(ask("GET", "/v1/files").member("data").items().size(), 0U);
  // A folder that is not there is no full disk.
  std::filesystem::remove_all(folder_.file("data/files"));
  EXPECT_EQ(text(upload("a.jsonl", rows(), 500).member("error"), "code"), "storage_error");
}

TEST_F(LearnRoutes, TooManyFilesAreNoFullDisk) {
  ShelfFile file = shelf_->add("a.txt", "text").value();
  const std::string first = file.id;
  for (size_t i = 1; i < FileShelf::kFilesMax; ++i) {
    file.id = format("file-{:032x}", i);
    std::filesystem::create_directory(folder_.file("data/files/" + file.id));
    folder_.write(format("data/files/{}/about.json", file.id), to_json(file).dump());
  }
  const Json error = upload("b.txt", "text", 409).member("error");
  EXPECT_EQ(text(error, "code"), "too_many_files");
  EXPECT_EQ(text(error, "type"), "conflict_error");
  EXPECT_NE(text(error, "message").find("there are 1000 files here"), std::string::npos) << text(error, "message");
  ask("DELETE", "/v1/files/" + first);
  EXPECT_EQ(text(upload("b.txt", "text"), "filename"), "b.txt");
}

TEST_F(LearnRoutes, AJobFromItsFileToItsAdapter) {
  const std::string file = text(upload("birds.jsonl", rows()), "id");
  const std::string body = format(
      R"({{"model": "tiny", "training_file": "{}", "suffix": "me", "seed": 3, "rank": 2, "metadata": {{"who": "I"}},
          "method": {{"type": "supervised", "supervised": {{"hyperparameters": {{"n_epochs": 2, "batch_size": 1}}}}}}}})",
      file);
  std::string planned = body;
  planned.insert(1, R"("plan_only": true, )");
  const Json plan = ask("POST", "/v1/fine_tuning/jobs", planned);
  EXPECT_EQ(text(plan, "object"), "fine_tuning.plan");
  EXPECT_FALSE(plan.member("lines").items().empty());
  EXPECT_TRUE(ask("GET", "/v1/fine_tuning/jobs").member("data").items().empty());

  const Json job = ask("POST", "/v1/fine_tuning/jobs", body);
  EXPECT_EQ(text(job, "object"), "fine_tuning.job");
  EXPECT_EQ(text(job, "training_file"), file);
  EXPECT_EQ(job.member("metadata").members().size(), 1U);
  EXPECT_EQ(text(job.member("metadata"), "who"), "I");
  EXPECT_EQ(job.member("seed").as_int(), 3);
  EXPECT_TRUE(job.member("fine_tuned_model").is_null());
  const std::string id = text(job, "id"), path = "/v1/fine_tuning/jobs/" + id;

  // From the beginning to the end, whenever it is asked for.
  RawClient watcher = server_->connect();
  watcher.send(format("GET {}/events?stream=true HTTP/1.1\r\n{}\r\n", path, server_->host()));
  const std::string stream = watcher.until("data: [DONE]");
  EXPECT_EQ(status_in(stream), 200);
  EXPECT_NE(stream.find("content-type: text/event-stream"), std::string::npos);
  const std::vector<Json> streamed = events_in(stream);
  EXPECT_TRUE(std::any_of(streamed.begin(), streamed.end(),
                          [](const Json& event) { return text(event, "type") == "metrics"; }));

  const Json done = ended_job(id);
  EXPECT_EQ(text(done, "status"), "succeeded") << done.dump();
  EXPECT_EQ(text(done, "fine_tuned_model"), "tiny+me");
  EXPECT_EQ(text(done, "verdict"), "draft");
  EXPECT_GT(done.member("trained_tokens").as_int(), 0);
  EXPECT_GT(done.member("finished_at").as_int(), 0);
  EXPECT_TRUE(done.member("error").is_null());
  EXPECT_TRUE(done.member("learning").member("train_loss").is_number());
  EXPECT_TRUE(done.member("learning").member("tokens_per_second").is_number());
  EXPECT_FALSE(done.member("learning").member("plan").items().empty());
  EXPECT_TRUE(done.member("result").member("after").member("held_out_loss").is_number());
  EXPECT_EQ(plan.member("steps").as_int(), done.member("learning").member("total_steps").as_int());

  // The newest first, in pages.
  const Json whole = ask("GET", path + "/events?limit=1000");
  const size_t count = whole.member("data").items().size();
  ASSERT_EQ(streamed.size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(streamed[i].dump(), whole.member("data").items()[count - 1 - i].dump());
  }
  size_t seen = 0;
  std::string after;
  for (bool more = true; more;) {
    const Json page = ask("GET", format("{}/events?limit=3{}", path, after.empty() ? "" : "&after=" + after));
    for (const Json& event : page.member("data").items()) {
      EXPECT_EQ(event.dump(), whole.member("data").items()[seen++].dump());
    }
    after = text(page, "last_id");
    more = page.member("has_more").as_bool();
  }
  EXPECT_EQ(seen, count);
  const Json checkpoints = ask("GET", path + "/checkpoints");
  ASSERT_EQ(checkpoints.member("data").items().size(), 1U);
  EXPECT_EQ(text(checkpoints.member("data").items()[0], "fine_tuned_model_checkpoint"), "tiny+me");

  EXPECT_EQ(text(ask("POST", path + "/keep", "{}"), "verdict"), "kept");
  const Json deleted = ask("DELETE", "/v1/models/tiny+me");
  EXPECT_EQ(text(deleted, "id"), "tiny+me");
  EXPECT_EQ(text(deleted, "object"), "model");
  EXPECT_TRUE(deleted.member("deleted").bool_or(false));
  const Json gone = ask("GET", path);
  EXPECT_EQ(text(gone, "verdict"), "discarded");
  EXPECT_TRUE(gone.member("fine_tuned_model").is_null());
  EXPECT_FALSE(std::filesystem::exists(adapter("me")));

  const Json removed = ask("DELETE", path);
  EXPECT_EQ(text(removed, "id"), id);
  EXPECT_EQ(text(removed, "object"), "fine_tuning.job");
  EXPECT_TRUE(removed.member("deleted").bool_or(false));
  ask("GET", path, "", 404);
  EXPECT_TRUE(ask("GET", "/v1/fine_tuning/jobs").member("data").items().empty());
}

TEST_F(LearnRoutes, JobsAreStoppedAndGoOn) {
  const std::string file = text(upload("birds.jsonl", rows()), "id");
  const Json job = ask(
      "POST", "/v1/fine_tuning/jobs",
      format(R"({{"model":"tiny","training_file":"{}","hyperparameters":{{"n_epochs":1000,"batch_size":1}}}})", file));
  const std::string id = text(job, "id"), path = "/v1/fine_tuning/jobs/" + id;
  wait_for_steps(id, 1);
  EXPECT_EQ(text(ask("DELETE", "/v1/files/" + file, "", 409).member("error"), "code"), "file_in_use");
  EXPECT_EQ(text(ask("POST", path + "/pause"), "status"), "paused");
  EXPECT_EQ(text(ask("POST", path + "/resume", "{}"), "status"), "queued");
  EXPECT_EQ(text(ask("POST", path + "/discard", "{}", 409).member("error"), "code"), "job_not_over");
  EXPECT_EQ(text(ask("DELETE", path, "", 409).member("error"), "code"), "job_not_over");
  RawClient watcher = server_->connect();
  watcher.send(format("GET {}/events?stream=true HTTP/1.1\r\n{}\r\n", path, server_->host()));
  watcher.until("\"created\"");
  EXPECT_EQ(text(ask("POST", path + "/cancel"), "status"), "cancelled");
  EXPECT_NE(watcher.until("data: [DONE]").find("cancelled"), std::string::npos);
  EXPECT_EQ(text(ask("POST", path + "/cancel", "", 409).member("error"), "code"), "job_over");
}

TEST_F(LearnRoutes, RequestsThatAreWrong) {
  const auto code = [&](std::string_view method, std::string_view path, std::string_view body, int status) {
    return text(ask(method, path, body, status).member("error"), "code");
  };
  EXPECT_EQ(code("POST", "/v1/fine_tuning/jobs", R"({"model": "tiny"})", 400), "missing_required_parameter");
  EXPECT_EQ(code("POST", "/v1/fine_tuning/jobs", R"({"model": "gpt", "training_file": "chats"})", 404),
            "model_not_found");
  EXPECT_EQ(code("POST", "/v1/fine_tuning/jobs", R"({"model": "tiny", "training_file": "chats"})", 400),
            "no_training_rows");
  EXPECT_EQ(code("POST", "/v1/fine_tuning/jobs", R"({"model": "tiny", "training_file": "file-x"})", 404), "not_found");
  EXPECT_EQ(code("POST", "/v1/fine_tuning/jobs", R"({"model": "tiny", "training_file": "chats", "lr": 1})", 400),
            "unknown_parameter");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs?limit=0", "", 400), "invalid_value");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs?limit=x", "", 400), "invalid_value");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs?before=x", "", 400), "unknown_parameter");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs?after=x", "", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/files?order=up", "", 400), "invalid_value");
  EXPECT_EQ(code("GET", "/v1/files?purpose=batch", "", 400), "invalid_value");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs/x", "", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs/x/events", "", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs/x/events?stream=true", "", 404), "not_found");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs/x/events?stream=1", "", 400), "invalid_value");
  EXPECT_EQ(code("GET", "/v1/fine_tuning/jobs/x/checkpoints", "", 404), "not_found");
  for (const char* what : {"cancel", "pause", "resume", "keep", "discard"}) {
    EXPECT_EQ(code("POST", format("/v1/fine_tuning/jobs/x/{}", what), "{}", 404), "not_found");
  }
  EXPECT_EQ(code("DELETE", "/v1/fine_tuning/jobs/x", "", 404), "not_found");
  EXPECT_EQ(code("DELETE", "/v1/models/tiny", "", 404), "model_not_found");
}

TEST_F(LearnRoutes, HoldToEveryRule) {
  const auto passes = [](const Route&, int status) { return status == 200 || status == 400 || status == 404; };
  EXPECT_GE(SecurityMatrix(*server_, server_->server().router(), "").run(passes), 1000);
}

}  // namespace
}  // namespace andiron
