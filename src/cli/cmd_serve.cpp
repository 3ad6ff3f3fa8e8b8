// andiron serve: one model, for other programs to ask.
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>

#include "base/atomic_file.h"
#include "base/cpu_info.h"
#include "base/strings.h"
#include "base/user_folder.h"
#include "cli/adapter_store.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/served_adapters.h"
#include "cli/shipped_model.h"
#include "cli/systemd_unit.h"
#include "cli/teaching.h"
#include "cli/terminal.h"
#include "cli/version.h"
#include "engine/prefix_folder.h"
#include "engine/scheduler.h"
#include "http/security.h"
#include "http/server.h"
#include "serve/chat_routes.h"
#include "serve/learn_routes.h"
#include "serve/model_host.h"
#include "serve/service.h"
#include "store/store.h"
#include "web/page_routes.h"

namespace andiron {

namespace {

namespace fs = std::filesystem;

// The whole path of a file or folder, as a unit can name it.
Result<std::string> unit_path(const std::string& path) {
  std::error_code error;
  std::string whole = fs::absolute(path, error).lexically_normal().string();
  if (error || whole.find_first_of(":\n") != std::string::npos) {
    return make_error("{}: a systemd unit cannot name this path", andiron::in_quotes(path));
  }
  return whole;
}

// What was given on the command line, as a unit's command repeats it.
class UnitCommand {
 public:
  explicit UnitCommand(UnitOptions& unit) : unit_(unit) {}
  void add(const std::string& name, const std::string& value) {
    unit_.command.push_back(name);
    unit_.command.push_back(value);
  }
  void add_if(bool given, const char* flag) {
    if (given) unit_.command.emplace_back(flag);
  }
  // A path that it reads; `name` "": an argument without an option.
  Status add_path(const std::string& name, const std::string& path) {
    TRY_ASSIGN(std::string whole, unit_path(path));
    if (!name.empty()) unit_.command.push_back(name);
    unit_.command.push_back(whole);
    unit_.read.push_back(std::move(whole));
    return {};
  }

 private:
  UnitOptions& unit_;
};

void add_global(UnitCommand& command, const GlobalOptions& global) {
  if (!global.isa.empty()) command.add("--isa", global.isa);
  if (global.threads > 0) command.add("--threads", std::to_string(global.threads));
  if (global.kv != GlobalOptions().kv) command.add("--kv", global.kv);
  if (global.context > 0) command.add("--ctx", std::to_string(global.context));
  command.add_if(global.no_cache, "--no-cache");
  command.add_if(global.quiet, "--quiet");
}

// Whose adapters are served: root's own are for nobody else, so the unit gets a user of its own.
Status add_user(UnitOptions& unit) {
  if (::getuid() == 0) return {};
  const passwd* user = ::getpwuid(::getuid());
  if (user == nullptr) return make_error("this user has no name, which a systemd unit needs");
  unit.user = user->pw_name;
  for (const char* name : {"XDG_DATA_HOME", "XDG_CACHE_HOME"}) {
    const char* given = std::getenv(name);
    if (given != nullptr && *given == '/') unit.environment.emplace_back(name, given);
  }
  const std::string packed = packed_cache_folder(PackedCacheOptions());
  for (const std::string& folder :
       {user_folder("XDG_DATA_HOME", ".local/share"), packed.empty() ? "" : parent_of(packed)}) {
    if (folder.empty()) continue;
    TRY_ASSIGN(std::string whole, unit_path(folder));
    std::error_code error;
    fs::create_directories(whole, error);  // what is not there cannot be bound
    if (error) return make_error("{}: this folder cannot be made: {}", whole, error.message());
    unit.written.push_back(std::move(whole));
  }
  return {};
}

Result<int> print_unit(const GlobalOptions& global, const ServeCommandOptions& options) {
  // The key itself may be for the system alone to read.
  for (const std::string& host : options.hosts) TRY(check_may_listen(host, {options.api_key_file, {}}));
  UnitOptions unit;
  UnitCommand command(unit);
  std::error_code error;
  TRY(command.add_path("", fs::read_symlink("/proc/self/exe", error).string()));
  unit.command.emplace_back("serve");
  TRY_ASSIGN(const std::string model, model_path(options.model));
  TRY(command.add_path("", model));
  add_global(command, global);
  if (!options.name.empty() || options.model == kShippedModel) {
    command.add("--name", options.name.empty() ? kShippedModel : options.name);
  }
  for (const std::string& host : options.hosts) command.add("--host", host);
  command.add("--port", std::to_string(options.port));
  for (const std::string& name : options.own_names) command.add("--own-name", name);
  command.add("--sequences", std::to_string(options.sequences));
  for (const std::string& adapter : options.adapters) {
    TRY_ASSIGN(const StackEntry entry, parse_adapter(adapter));
    TRY(command.add_path("--adapter", entry.path));
  }
  if (!options.chat_template.empty()) TRY(command.add_path("--template", options.chat_template));
  command.add_if(options.no_prefix_cache, "--no-prefix-cache");
  command.add_if(options.no_store, "--no-store");
  command.add_if(options.no_page, "--no-page");
  command.add_if(options.no_learn, "--no-learn");
  if (!options.store.empty()) {
    if (::getuid() == 0) {
      return make_error("--store: the unit that root makes has a user of its own, whose chats are in /var/lib/andiron");
    }
    TRY_ASSIGN(const std::string store, unit_path(options.store));
    command.add("--store", store);
    unit.written.push_back(parent_of(store));
  }
  command.add_if(options.metrics, "--metrics");
  if (!options.api_key_file.empty()) {
    TRY_ASSIGN(unit.api_key_file, unit_path(options.api_key_file));
  }
  unit.loopback_only = std::all_of(options.hosts.begin(), options.hosts.end(),
                                   [](const std::string& host) { return is_loopback(host); });
  TRY(add_user(unit));
  std::fputs(systemd_unit(unit).c_str(), stdout);
  return 0;
}

// What is wrong with where it listens, before a model is loaded for nothing.
Result<SecurityPolicy> security_policy(const ServeCommandOptions& options) {
  SecurityPolicy policy;
  policy.own_names = options.own_names;
  if (!options.api_key_file.empty()) {
    TRY_ASSIGN(policy.api_key, read_api_key(options.api_key_file));
  }
  for (const std::string& host : options.hosts) TRY(check_may_listen(host, policy));
  return policy;
}

// As a session's by default (engine/session.h), but that as many as run at once, and as many that rest
// (engine/scheduler.h), are to fit into half of the free memory.
int64_t served_context(const Model& model, KvFormat format, int64_t sequences) {
  const auto held = 2 * static_cast<uint64_t>(sequences);
  const uint64_t each = std::max<uint64_t>(1, model.kv_bytes_per_position(format)) * held;
  const int64_t trained = model.config().context;
  const auto affordable = static_cast<int64_t>(memory_available_bytes() / 2 / each);
  return std::clamp(affordable, std::min<int64_t>(512, trained), trained);
}

// Where prefixes are kept on disk, now or by another server; "": the environment names no place.
std::string prefix_folder() {
  const std::string packed = packed_cache_folder(PackedCacheOptions());
  const std::string base = packed.empty() ? user_folder("XDG_CACHE_HOME", ".cache") : parent_of(packed);
  return base.empty() ? "" : base + "/prefixes";
}

SchedulerOptions scheduler_options(const GlobalOptions& global, const ServeCommandOptions& options,
                                   const Machine& machine, const ModelHost& host, ThreadGate& gate) {
  SchedulerOptions out;
  out.context =
      global.context > 0 ? global.context : served_context(*host.model(), machine.kv_format, options.sequences);
  out.kv_format = machine.kv_format;
  out.sequences = options.sequences;
  out.base_hash = host.weights_key();
  out.gate = &gate;
  out.prefix_bytes = options.no_prefix_cache ? 0 : std::min(out.prefix_bytes, memory_available_bytes() / 4);
  if (out.prefix_bytes > 0 && packed_cache_is_on(cache_options(global))) out.prefix_folder = prefix_folder();
  return out;
}

// Where the disk takes no prefixes, they are kept in memory alone, and `options` says so.
Result<std::unique_ptr<Scheduler>> make_scheduler(const GlobalOptions& global, const Machine& machine,
                                                  const ModelHost& host, SchedulerOptions& options) {
  const auto create = [&] {
    return Scheduler::create(host.model(), host.tokenizer(), *machine.kernels, *machine.team, options);
  };
  auto scheduler = create();
  if (scheduler.ok() || options.prefix_folder.empty()) return scheduler;
  const std::string note = scheduler.error().message;
  options.prefix_folder.clear();
  scheduler = create();
  if (scheduler.ok()) say_notes(global, {&note, 1});
  return scheduler;
}

Result<std::unique_ptr<ModelHost>> make_host(const ServeCommandOptions& options, const Machine& machine,
                                             std::shared_ptr<const Model> model) {
  TRY_ASSIGN(auto tokenizer, load_tokenizer(model->source(), options.chat_template));
  TRY_ASSIGN(const AdapterBase base, describe_base(model->source()));
  ModelHost::Options host;
  host.name = !options.name.empty()            ? options.name
              : options.model == kShippedModel ? kShippedModel
                                               : model_name_of(options.model);
  TRY_ASSIGN(host.adapters, served_adapters(options.adapters, base.name));
  if (!options.chat_template.empty()) host.files_beside = {options.chat_template};
  return ModelHost::create(std::move(model), std::move(tokenizer), *machine.kernels, std::move(host));
}

// The chats that are kept; null: none are.
Result<std::unique_ptr<Store>> open_store(const ServeCommandOptions& options) {
  if (options.no_store) return std::unique_ptr<Store>();
  if (!options.store.empty()) return Store::open(options.store);
  TRY_ASSIGN(const std::string path, default_store_path());
  return Store::open(path, {.own_folder = true});
}

void append(std::vector<Route>& routes, std::vector<Route> more) {
  routes.insert(routes.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// Jobs are kept in the store, and what is learned is worn from among the adapters that have names: where either is not
// served, nothing is taught.
Result<Teaching> open_teaching(const GlobalOptions& global, const ServeCommandOptions& options, const Machine& machine,
                               const ModelHost& host, Store* store, ThreadGate& gate) {
  if (store == nullptr || options.no_learn || !options.adapters.empty()) return Teaching();
  return make_teaching(global, machine, options.model, host, *store, gate);
}

// What is removed from the store goes from the cache of prefixes too, and from its files, where this server keeps none
// but an earlier one did.
Forget forgetter(Scheduler& scheduler, bool has_prefix_folder, TrainingJobs* jobs) {
  return [&scheduler, has_prefix_folder, jobs](std::span<const std::string> runs) {
    bool all_gone = scheduler.forget_prefixes();
    if (!has_prefix_folder) all_gone = PrefixFolder::clear_files(prefix_folder()) && all_gone;
    return (runs.empty() || forget_taught(jobs, runs)) && all_gone;
  };
}

// Every route of the server. `store` may be null.
std::vector<Route> all_routes(const ServeCommandOptions& options, Service& service, Store* store,
                              const Teaching& teaching, const Forget& forget) {
  std::vector<Route> routes = service.routes();
  if (store != nullptr) append(routes, chat_routes(*store, forget));
  if (teaching.jobs != nullptr) append(routes, learn_routes(*teaching.jobs, *teaching.shelf));
  if (!options.no_page) append(routes, page_routes());
  return routes;
}

ServerOptions server_options(const GlobalOptions& global, const ServeCommandOptions& options, SecurityPolicy policy) {
  ServerOptions out;
  out.addresses = options.hosts;
  out.port = static_cast<uint16_t>(options.port);
  out.security = std::move(policy);
  out.metrics = options.metrics;
  if (!global.quiet) {
    out.log = [](std::string_view line) { std::fprintf(stderr, "%s\n", printable(line).c_str()); };
  }
  out.stops_on_signals = true;
  return out;
}

void say_where(const ModelHost& host, const Scheduler& scheduler, const ServeCommandOptions& options,
               const HttpServer& server) {
  std::string urls;
  for (const std::string& url : server.urls()) urls += (urls.empty() ? "" : " and ") + url;
  std::fputs(format("{} at {}: {} at once, each with a context of {}; Ctrl-C ends it\n", host.name(), urls,
                    counted(options.sequences, "answer"), human_count(scheduler.context()))
                 .c_str(),
             stdout);
  std::fflush(stdout);
}

}  // namespace

Result<int> serve_command(const GlobalOptions& global, const ServeCommandOptions& options) {
  if (options.systemd) return print_unit(global, options);
  TRY_ASSIGN(SecurityPolicy policy, security_policy(options));
  // Before the model, which may take minutes: a port that another program has is known at once.
  TRY_ASSIGN(HttpListener listener, HttpListener::open(server_options(global, options, std::move(policy))));
  TRY_ASSIGN(const auto store, open_store(options));
  TRY_ASSIGN(const Machine machine, make_machine(global));
  TRY_ASSIGN(const LoadedModel loaded, load_model(global, machine, options.model));
  ThreadGate gate;
  TRY_ASSIGN(const auto host, make_host(options, machine, loaded.model));
  SchedulerOptions scheduling = scheduler_options(global, options, machine, *host, gate);
  TRY_ASSIGN(const auto scheduler, make_scheduler(global, machine, *host, scheduling));
  TRY_ASSIGN(const Teaching teaching, open_teaching(global, options, machine, *host, store.get(), gate));
  Service service(*host, *scheduler, {.sampling = {}, .version = kVersion});
  const auto forget = forgetter(*scheduler, !scheduling.prefix_folder.empty(), teaching.jobs.get());
  if (store != nullptr) finish_forgetting(*store, forget);
  TRY_ASSIGN(const auto server,
             HttpServer::create(std::move(listener), all_routes(options, service, store.get(), teaching, forget),
                                [&service] { return service.gauges(); }));
  say_where(*host, *scheduler, options, *server);
  server->run();
  if (teaching.jobs != nullptr) teaching.jobs->close();  // the server's end waits for what is being planned
  return 0;
}

}  // namespace andiron
