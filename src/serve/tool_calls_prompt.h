// Shows tools to a model whose chat template knows none, or only some of what a conversation with tools has.
#pragma once

#include "serve/tool_calls.h"
#include "text/chat_template.h"

namespace andiron {

struct ToolConversation {
  Json messages;
  Json tools;  // for the template; null where it is not to see them
};

// Fits messages and tools (OpenAI's form) to what a template can show. Definitions that it cannot show stand in the
// system message, with the form of a call in `style`; calls become text of the assistant in this form, and results of
// tools the user's.
ToolConversation fit_tools(const Json& messages, const Json& tools, const ChatTemplate& chat, const CallStyle& style);

// A call as a model writes it in a style. `arguments` is JSON text.
std::string call_text(const CallStyle& style, std::string_view name, std::string_view arguments);

// Whether a template takes definitions only as a member of the system message (Phi-4-mini's).
bool takes_tools_in_system(std::string_view chat_template);

}  // namespace andiron
