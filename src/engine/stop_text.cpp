#include "engine/stop_text.h"

#include <algorithm>

namespace andiron {

StopText::StopText(std::vector<std::string> stops, size_t reserve) : stops_(std::move(stops)) {
  stops_.erase(std::remove(stops_.begin(), stops_.end(), ""), stops_.end());
  for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
  pending_.reserve(reserve + longest_);
}

// Length of the longest end of pending_ that begins a stop string.
size_t StopText::held_back() const {
  const std::string_view text = pending_;
  for (size_t length = std::min(text.size(), longest_ == 0 ? 0 : longest_ - 1); length > 0; --length) {
    const std::string_view tail = text.substr(text.size() - length);
    for (const std::string& stop : stops_) {
      if (stop.size() > length && stop.compare(0, length, tail) == 0) return length;
    }
  }
  return 0;
}

std::string_view StopText::push(std::string_view text) {
  pending_.erase(0, returned_);
  returned_ = 0;
  if (stopped_) return {};
  const size_t old = pending_.size();
  pending_ += text;
  // No stop string lies wholly in the old text, so it ends in the new.
  const size_t from = old > longest_ ? old - longest_ : 0;
  size_t best_end = std::string::npos, best_begin = 0;
  for (const std::string& stop : stops_) {
    const size_t at = pending_.find(stop, from);
    if (at == std::string::npos) continue;
    const size_t end = at + stop.size();
    if (best_end == std::string::npos || end < best_end || (end == best_end && at < best_begin)) {
      best_end = end;
      best_begin = at;
      found_ = stop;
    }
  }
  stopped_ = best_end != std::string::npos;
  returned_ = stopped_ ? best_begin : pending_.size() - held_back();
  return std::string_view(pending_).substr(0, returned_);
}

std::string_view StopText::finish() {
  pending_.erase(0, returned_);
  returned_ = pending_.size();
  return stopped_ ? std::string_view() : std::string_view(pending_);
}

}  // namespace andiron
