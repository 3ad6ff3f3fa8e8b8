// Times as people write them on the command line.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace andiron {

// "45m", "2h", "90s", "1h30m", "1.5h": seconds, more than 0, at most 365 days. `what` names it in messages.
Result<double> parse_duration(std::string_view text, std::string_view what);

// "22:30": seconds from `now` (since 1970) until the local clock next shows that: more than 0, a day (of 23 to 25
// hours) at most.
Result<double> seconds_until(std::string_view text, int64_t now, std::string_view what);

}  // namespace andiron
