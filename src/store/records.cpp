#include "store/records.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
constexpr std::string_view kLessonKinds[] = {"chat", "preference", "labelled"};

// To the year 9999, so that other programs can read it too.
Status check_time(int64_t ms) {
  constexpr int64_t kMost = 253'402'300'800'000;
  if (ms >= 0 && ms < kMost) return {};
  return make_error("the time is {}; expected milliseconds since 1970, before the year 10000", ms);
}

Status check_text(std::string_view text, size_t bytes_max, std::string_view what) {
  if (text.size() > bytes_max) {
    return make_error("{} has {}; at most {} are kept", what, human_bytes(text.size()), human_bytes(bytes_max));
  }
  if (!is_valid_utf8(text)) return make_error("{} is not UTF-8", what);
  return {};
}

// Two levels are left for the record around it, so that what is kept can be imported again.
constexpr int kDepthMax = StoreLimits::kJsonDepth - 2;

Status check_json(const Json& json, std::string_view what) {
  const std::string text = json.dump();
  TRY(check_text(text, StoreLimits::kJsonBytes, what));
  // What cannot be read again is not kept: deeper than that, or with one name twice.
  auto parsed = parse_json(text, what, {.depth = kDepthMax, .values = StoreLimits::kJsonBytes});
  return parsed.ok() ? Status() : Status(std::move(parsed).error());
}

Status check_object(const Json& json, std::string_view what) {
  if (!json.is_object()) return make_error("{} is not an object", what);
  return check_json(json, what);
}

Status check_optional_id(std::string_view id, std::string_view what) {
  return id.empty() ? Status() : check_id(id, what);
}

template <size_t kCount>
Status check_among(std::string_view text, const std::string_view (&words)[kCount], std::string_view what) {
  if (std::find(std::begin(words), std::end(words), text) != std::end(words)) return {};
  std::string known;
  for (const std::string_view word : words) known += (known.empty() ? "" : ", ") + std::string(word);
  return make_error("{} is \"{}\"; expected one of {}", what, in_quotes(text), known);
}

}  // namespace

Status check_id(std::string_view id, std::string_view what) {
  const bool fine = !id.empty() && id.size() <= StoreLimits::kIdBytes && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  if (fine) return {};
  return make_error("{} is \"{}\"; expected 1 to {} letters, digits, \"-\" and \"_\"", what, in_quotes(id),
                    StoreLimits::kIdBytes);
}

Status check_name(std::string_view text, std::string_view what) {
  return check_text(text, StoreLimits::kNameBytes, what);
}

Status check_record(const ConversationChange& change) {
  if (change.title) TRY(check_name(*change.title, "the title"));
  if (change.system) TRY(check_text(*change.system, StoreLimits::kTextBytes, "the system prompt"));
  if (change.model) TRY(check_name(*change.model, "the model"));
  if (change.adapters) TRY(check_name(*change.adapters, "the list of adapters"));
  if (change.sampling) TRY(check_object(*change.sampling, "\"sampling\""));
  if (change.shown) TRY(check_id(*change.shown, "the id of the message shown"));
  return {};
}

Status check_record(const Conversation& conversation) {
  TRY(check_optional_id(conversation.id, "the id of the conversation"));
  TRY(check_name(conversation.title, "the title"));
  TRY(check_text(conversation.system, StoreLimits::kTextBytes, "the system prompt"));
  TRY(check_name(conversation.model, "the model"));
  TRY(check_name(conversation.adapters, "the list of adapters"));
  TRY(check_time(conversation.created_ms));
  TRY(check_time(conversation.changed_ms));
  return check_object(conversation.sampling, "\"sampling\"");
}

Status check_record(const Message& message) {
  TRY(check_optional_id(message.id, "the id of the message"));
  TRY(check_id(message.conversation, "the id of the conversation"));
  TRY(check_optional_id(message.parent, "the id of the parent"));
  TRY(check_optional_id(message.edit_of, "the id of the message that was edited"));
  TRY(check_among(message.role, kRoles, "the role"));
  TRY(check_text(message.content, StoreLimits::kTextBytes, "the content"));
  TRY(check_text(message.reasoning, StoreLimits::kTextBytes, "the reasoning"));
  TRY(check_object(message.extra, "\"extra\""));
  TRY(check_name(message.model, "the model"));
  TRY(check_name(message.adapters, "the list of adapters"));
  TRY(check_time(message.created_ms));
  if (message.thumb < -1 || message.thumb > 1) return make_error("the thumb is {}; expected -1, 0 or 1", message.thumb);
  if (message.files.size() > StoreLimits::kFilesPerMessage) {
    return make_error("the message has {}; at most {} can be attached",
                      counted(static_cast<int64_t>(message.files.size()), "file"), StoreLimits::kFilesPerMessage);
  }
  for (const std::string& hash : message.files) TRY(check_id(hash, "the hash of a file"));
  return {};
}

Status check_record(const StoredRun& run) {
  TRY(check_optional_id(run.id, "the id of the run"));
  TRY(check_name(run.adapter, "the adapter's name"));
  TRY(check_name(run.model, "the model"));
  TRY(check_name(run.state, "the state"));
  return check_object(run.details, "\"details\"");
}

Status check_record(const Lesson& lesson) {
  TRY(check_id(lesson.run, "the id of the run"));
  TRY(check_id(lesson.conversation, "the id of the conversation"));
  TRY(check_id(lesson.message, "the id of the message"));
  return check_among(lesson.kind, kLessonKinds, "the kind");
}

Status check_setting(std::string_view name, const Json& value) {
  if (name.empty()) return make_error("a setting has no name");
  TRY(check_name(name, "the name of the setting"));
  return check_json(value, format("the setting \"{}\"", in_quotes(name)));
}

Status check_file(std::string_view media, size_t bytes) {
  TRY(check_name(media, "the media type"));
  if (bytes > 0 && bytes <= StoreLimits::kFileBytes) return {};
  return make_error("the file has {}; expected something, and at most {}", human_bytes(bytes),
                    human_bytes(StoreLimits::kFileBytes));
}

Result<Json> parse_kept(std::string_view text) {
  return parse_json(text, "the database", {.depth = StoreLimits::kJsonDepth});
}

Result<std::string> new_id() {
  std::array<uint64_t, 2> words = {};
  if (::getentropy(words.data(), sizeof words) != 0) {
    return make_error(ErrorKind::kMachine, "the system gives no random numbers: {}", std::strerror(errno));
  }
  return format("{:016x}{:016x}", words[0], words[1]);
}

}  // namespace andiron
