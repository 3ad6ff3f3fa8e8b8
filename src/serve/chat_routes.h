// The chats that are kept, for the page and whoever else asks: JSON over HTTP, under /api/store/.
//
//   GET    conversations?limit=100&offset=0   {"conversations": [...], "more"}: those changed last first, in short
//   POST   conversations                      members of a Conversation (store/records.h); 201 and the whole of it
//   GET    conversations/{id}                 {"conversation", "messages"}: the whole tree, parents first
//   PATCH  conversations/{id}                 members of a ConversationChange; the conversation as it is then
//   DELETE conversations/{id}                 {"removed": {...}, "traces_gone", "runs"}: Store::Removal
//   POST   conversations/{id}/messages        members of a Message; 201 and the message, which is shown from then on.
//                                             The same again under its id is no second one.
//   DELETE messages/{id}                      as above: the message and all below it
//   PUT    messages/{id}/thumb                {"thumb": -1 | 0 | 1}; the message
//   GET    search?q=WORDS&limit=20&offset=0   {"hits": [{..., "snippet": [{"text", "found"}]}]}
//   GET    settings                           {"settings": {NAME: VALUE}}
//   PUT    settings/{name}                    {"value"}
//   DELETE settings/{name}                    {"traces_gone"}
//   GET    export                             JSON lines: everything or, with conversation=ID (again and again), these;
//                                             two at a time, then 429
//   POST   import                             {"lines": JSON lines, "keep_consent": false}; an ImportReport
//
// Errors have OpenAI's shape. A field or a parameter that stands in no table is refused by name.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "http/http.h"
#include "store/store.h"

namespace andiron {

// Requests to the store that may wait for the one that runs; what comes beyond gets 503 with a time to retry.
inline constexpr size_t kStoreRequestsWaiting = 64;

// `store` must outlive the routes. They share a thread of their own for whatever waits for the disk, which ends with
// the last of them. `forget` is called after a chat or a message was removed, before the answer tells so, with the runs
// that learned from it (Store::Removal::runs): what else remembers it is to forget it, and says whether no trace of it
// stays there and in the store. It may wait, and may be empty.
using Forget = std::function<bool(std::span<const std::string> runs)>;
std::vector<Route> chat_routes(Store& store, const Forget& forget = {});

// Before the routes are served: has `forget` do what a process that ended after a removal has left to do, or could not.
void finish_forgetting(Store& store, const Forget& forget);

}  // namespace andiron
