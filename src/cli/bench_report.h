// What the benches say in the same way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "format/model_source.h"

namespace andiron {

// {"median", "min", "max", "all"}
Json speeds_json(const std::vector<double>& speeds);
// One line on standard output: the median, and from where to where.
void print_speeds(const char* name, int64_t tokens, const std::vector<double>& speeds);
// The last part of the path: what people call the model.
std::string model_name(const ModelSource& source);

}  // namespace andiron
