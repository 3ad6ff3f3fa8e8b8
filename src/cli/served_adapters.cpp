#include "cli/served_adapters.h"

#include <map>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/strings.h"
#include "cli/adapter_facts.h"
#include "cli/adapter_store.h"

namespace andiron {

namespace {

bool has_chatted(const std::string& path) {
  const StackEntry entry = {path, 1};
  return may_have_chatted({&entry, 1});
}

std::string stored_path(const std::string& name) {
  const auto folder = adapter_folder(name);
  return folder.ok() && file_exists(*folder) ? *folder : "";
}

// Any of the store can be asked for; listed are those that were made for this model, as far as they say.
AdapterSource whole_store(const std::string& base_name) {
  AdapterSource source;
  source.names = [base_name] {
    std::vector<std::string> names;
    const auto stored = stored_adapters();
    for (const std::string& name : stored.ok() ? *stored : std::vector<std::string>()) {
      const AdapterFacts facts = adapter_facts(name, stored_path(name));
      if (facts.problem.empty() && (facts.base.empty() || facts.base == base_name)) names.push_back(name);
    }
    return names;
  };
  source.path_of = stored_path;
  source.has_chatted = has_chatted;
  return source;
}

}  // namespace

Result<AdapterSource> served_adapters(const std::vector<std::string>& named, const std::string& base_name) {
  if (named.empty()) return whole_store(base_name);
  auto paths = std::make_shared<std::map<std::string, std::string>>();
  for (const std::string& text : named) {
    TRY_ASSIGN(const StackEntry entry, parse_adapter(text));
    if (entry.strength != 1) {
      return make_error("--adapter {}: expected an adapter without a strength, which requests say themselves",
                        andiron::in_quotes(text));
    }
    const std::string name = model_name_of(entry.path);
    if (!paths->emplace(name, entry.path).second) {
      return make_error("--adapter {}: there is another of the name \"{}\", by which requests would ask for both",
                        andiron::in_quotes(text), name);
    }
  }
  AdapterSource source;
  source.names = [paths] {
    std::vector<std::string> names;
    for (const auto& [name, path] : *paths) names.push_back(name);
    return names;
  };
  source.path_of = [paths](const std::string& name) {
    const auto found = paths->find(name);
    return found != paths->end() ? found->second : "";
  };
  source.has_chatted = has_chatted;
  return source;
}

}  // namespace andiron
