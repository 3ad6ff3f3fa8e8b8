#include "serve/job_events.h"

#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "base/atomic_file.h"

namespace andiron {

namespace {

constexpr uint64_t kFileBytesMax = 16 << 20;

std::string line_of(const JobEvent& event) { return to_json(event).dump() + "\n"; }

// In one write: a process that dies leaves whole lines. Where the disk takes a part alone, that part goes again.
void append(const std::string& path, std::string_view line) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const off_t before = ::lseek(fd, 0, SEEK_END);
  const ssize_t written = ::write(fd, line.data(), line.size());
  if (before >= 0 && written >= 0 && static_cast<size_t>(written) < line.size()) {
    [[maybe_unused]] const int cut = ::ftruncate(fd, before);  // else fetch() ends that line
  }
  ::close(fd);
}

}  // namespace

void EventLog::fetch() {
  if (!std::exchange(away_, false) || !file_exists(path_)) return;
  const auto text = read_text_file(path_, kFileBytesMax);
  if (!text.ok()) return;
  for (size_t at = 0, end; (end = text->find('\n', at)) != std::string::npos; at = end + 1) {
    const auto json = parse_json(std::string_view(*text).substr(at, end - at), "an event");
    JobEvent event;
    const bool read = json.ok() && from_json(*json, event);
    const bool later = events_.empty() || event.number > events_.back().number;
    if (read && later && events_.size() < kEventsMax) events_.push_back(std::move(event));
  }
  if (!text->empty() && text->back() != '\n') append(path_, "\n");  // half a line must not spoil the next one
}

std::span<const JobEvent> EventLog::all() {
  fetch();
  return events_;
}

void EventLog::put_away() {
  if (path_.empty()) return;
  std::vector<JobEvent>().swap(events_);
  away_ = true;
}

const JobEvent* EventLog::add(std::string_view level, std::string message, Json data, int64_t created) {
  fetch();
  if (events_.size() >= kEventsMax) return nullptr;
  const int64_t number = events_.empty() ? 1 : events_.back().number + 1;
  if (created == 0) created = std::time(nullptr);
  events_.push_back({number, created, std::string(level), std::move(message), std::move(data)});
  if (!path_.empty()) append(path_, line_of(events_.back()));
  return &events_.back();
}

void EventLog::forget_steps_after(int64_t step) {
  fetch();
  const size_t gone = std::erase_if(events_, [&](const JobEvent& event) {
    return event.data.member("step").number_or(0) > static_cast<double>(step);
  });
  if (gone == 0 || path_.empty()) return;
  std::string text;
  for (const JobEvent& event : events_) text += line_of(event);
  [[maybe_unused]] const Status written = write_text_file(path_, text, true);
}

}  // namespace andiron
