// Finds out what a template can do by rendering small conversations. Part of chat_template.cpp, apart for its length.
#pragma once

#include "text/chat_template.h"

namespace andiron {

// `chat` need not have its capabilities yet. About a dozen renders of a few messages each.
ChatCapabilities probe_capabilities(const ChatTemplate& chat);

}  // namespace andiron
