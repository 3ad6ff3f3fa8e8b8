#include "http/limits.h"

namespace andiron {

namespace {

constexpr LimitRow kTable[] = {
    {Limit::kHeadBytes, "head_bytes", "bytes", 16 << 10, 431,
     "What a connection may hold before it has said anything; browsers and clients send less than 4 KiB."},
    {Limit::kHeadFields, "head_fields", "fields", 100, 431, "Each costs two texts; browsers send about 20."},
    {Limit::kTargetBytes, "target_bytes", "bytes", 4 << 10, 414, "A path and a search in past chats."},
    {Limit::kTextBodyBytes, "text_body_bytes", "bytes", 4 << 20, 413,
     "A million tokens of text, several times what any context takes."},
    {Limit::kImageBodyBytes, "image_body_bytes", "bytes", 32 << 20, 413,
     "A message with images in base64, a file to learn from, chats to import."},
    {Limit::kBodiesBytes, "bodies_bytes", "bytes", 256 << 20, 429,
     "Of the bodies of all requests together and the values in them, from the first byte that comes until the answer, "
     "and on where somebody works for a client that has gone: eight of the largest, thousands of the usual. Without it "
     "each connection could hold a body that is never whole."},
    {Limit::kChunkLineBytes, "chunk_line_bytes", "bytes", 64, 400,
     "The size of a chunk has at most 16 digits; what extensions say after it is of no use here."},
    {Limit::kJsonDepth, "json_depth", "levels", 64, 400,
     "The parser recurses; requests and schemas nest about ten deep."},
    {Limit::kJsonValues, "json_values", "values", 1'000'000, 400,
     "A value may be two bytes of text and takes 40 of memory, a member of an object 72, and a list may have room for "
     "twice as many: some 150 MB of a body at most, which count as bytes of bodies once it is read."},
    {Limit::kFormParts, "form_parts", "parts", 64, 400, "A file and a few words about it."},
    {Limit::kFormHeadBytes, "form_head_bytes", "bytes", 4 << 10, 400,
     "The headers of a form's part: the names of a field and a file, and a type."},
    {Limit::kHeadMs, "head_ms", "ms", 10'000, 408, "From a request's first byte to the end of its head."},
    {Limit::kIdleMs, "idle_ms", "ms", 60'000, 0, "Between connecting or one request and the next."},
    {Limit::kBodyGraceMs, "body_grace_ms", "ms", 10'000, 408,
     "After which a body must have come at the least rate below."},
    {Limit::kTransferBytesPerS, "transfer_bytes_per_s", "bytes/s", 1024, 408,
     "The least rate of a body, and at which a waiting answer is taken: slower than any line, faster than an attack."},
    {Limit::kStallMs, "stall_ms", "ms", 30'000, 0,
     "How long an answer may wait for a client that takes less than the least rate; then its work is cancelled."},
    {Limit::kPendingBytes, "pending_bytes", "bytes", 1 << 20, 0,
     "Of a stream that its client has not taken yet: thousands of tokens. Beyond, the client is as good as gone."},
    {Limit::kSendBufferBytes, "send_buffer_bytes", "bytes", 128 << 10, 0,
     "Of an answer that the system is asked to hold for a slow client, beside what waits here."},
    {Limit::kAnswersBytes, "answers_bytes", "bytes", 256 << 20, 503,
     "Of whole answers that their clients have not taken yet, all together: what each may be times the connections "
     "would be far more. The page and what load balancers ask for come nevertheless."},
    {Limit::kRequests, "requests", "requests", 256, 429,
     "Handed to handlers and not answered, or still worked for. The queue of answers is shorter and has a limit of "
     "its own."},
    {Limit::kConnections, "connections", "connections", 512, 503,
     "Files that a process may open are 1,024 as a rule. Who keeps the server waiting makes room for a new client."},
    {Limit::kTurnedAway, "turned_away", "connections", 128, 0,
     "Those beyond the limit are told so, as many at a time; to tell takes a connection for a moment."},
    {Limit::kYieldMs, "yield_ms", "ms", 1'000, 0,
     "How long a connection may wait for a request, or for the rest of one, before it has to make room: a burst of "
     "clients is no attack."},
    {Limit::kLingerMs, "linger_ms", "ms", 2'000, 0,
     "To read on after a refusal, so that the client gets to read it and not a reset."},
    {Limit::kLingerBytes, "linger_bytes", "bytes", 256 << 10, 0,
     "Of what a refused client goes on sending, read and thrown away."},
    {Limit::kDrainMs, "drain_ms", "ms", 5'000, 0, "For the last words of running answers when the server ends."},
};

constexpr bool in_order() {
  for (size_t i = 0; i < std::size(kTable); ++i) {
    if (static_cast<size_t>(kTable[i].limit) != i) return false;
  }
  return true;
}
static_assert(in_order(), "a limit is its row's number");
static_assert(std::size(kTable) == static_cast<size_t>(Limit::kDrainMs) + 1);

}  // namespace

std::span<const LimitRow> limit_table() { return kTable; }

Limits::Limits() {
  static_assert(std::size(kTable) == std::tuple_size_v<decltype(values_)>);
  for (const LimitRow& row : kTable) set(row.limit, row.value);
}

}  // namespace andiron
