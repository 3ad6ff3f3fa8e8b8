// Lines of arbitrary words that say the same again: nothing but looking back at what stood there foretells the second
// half. Small models find out how to do so (Olsson et al., "In-context Learning and Induction Heads", 2022) many times
// sooner where they meet such lines, and every skill that answers from the conversation needs it. Training rows only.
#pragma once

#include <string>

#include "writer.h"

namespace andiron::ember {

// A list said two or three times, or pairs and then the same pairs in another order.
std::string echo_text(const Writer& writer);

}  // namespace andiron::ember
