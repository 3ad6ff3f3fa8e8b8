#include "cli/shipped_model.h"

#include <filesystem>
#include <system_error>

#include "base/atomic_file.h"
#include "base/strings.h"

namespace andiron {

std::vector<std::string> shipped_model_places(std::string_view program) {
  const auto folder = std::filesystem::path(program).parent_path();
  std::vector<std::string> out;
  for (const char* place : {"ember.gguf", "../share/andiron/ember.gguf", "../../models/ember.gguf"}) {
    out.push_back((folder / place).lexically_normal().string());
  }
  return out;
}

Result<std::string> model_path(const std::string& model) {
  if (model != kShippedModel) return model;
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  std::string looked;
  for (const std::string& place : shipped_model_places(program.string())) {
    if (file_exists(place)) return place;
    looked += (looked.empty() ? "" : ", ") + place;
  }
  return make_error(
      "{}, the model that andiron brings, is not there; give MODEL (a .gguf file or a Hugging Face folder), "
      "or put it in one of these places: {}",
      kShippedModel, looked);
}

std::string general_rows_of(const std::string& model) {
  constexpr std::string_view kModel = ".gguf";
  const auto path = model_path(model);
  if (!path.ok() || !path->ends_with(kModel)) return "";
  std::string rows = path->substr(0, path->size() - kModel.size()) + ".general.jsonl";
  return file_exists(rows) ? rows : "";
}

bool is_model_name(const std::string& word) {
  return word == kShippedModel || word.ends_with(".gguf") || file_exists(word + "/config.json");
}

void split_model(std::string& model, std::vector<std::string>& data) {
  if (model.empty() || is_model_name(model)) return;
  if (!data.empty() && !file_exists(model)) return;
  data.insert(data.begin(), std::move(model));
  model.clear();
}

}  // namespace andiron
