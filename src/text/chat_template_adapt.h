// Fits messages to what a template can show. Part of chat_template.cpp, apart for its length.
#pragma once

#include "base/json.h"
#include "text/chat_template.h"

namespace andiron {

// A copy of `messages` (well-formed) in the forms that the template handles. What it handles already stays as it is.
Json adapt_messages(const Json& messages, const ChatCapabilities& capabilities);

}  // namespace andiron
