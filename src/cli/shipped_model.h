// ember, the model that andiron brings: what a command uses where no MODEL is given, and what the name "ember" means
// instead of a path (./ember is a path).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace andiron {

inline constexpr const char* kShippedModel = "ember";

// Where it may lie, the first that is there being taken: beside the program, in share/andiron/ of where it was
// installed, and in models/ of the source tree that it was built in.
std::vector<std::string> shipped_model_places(std::string_view program);

// MODEL as a path: anything but "ember" is one. An Error that names the places where ember is in none of them.
Result<std::string> model_path(const std::string& model);

// Conversations that a model brings, lest what is learned spoil what it can: NAME.general.jsonl beside NAME.gguf. ""
// where there are none.
std::string general_rows_of(const std::string& model);

// Whether a word names a model, by its looks: "ember", a .gguf, a Hugging Face folder. What is neither that nor there
// at all may be meant as one.
bool is_model_name(const std::string& word);

// Of `andiron learn [MODEL] DATA...`, whose words are read as MODEL and DATA in this order: moves a first word that is
// data, and no model, to the data.
void split_model(std::string& model, std::vector<std::string>& data);

}  // namespace andiron
