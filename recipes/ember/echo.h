// Arbitrary words, said again and asked about: lines whose second half nothing but looking back at what stood there
// foretells, and conversations about pairs of words. Small models find out how to look back (Olsson et al., "In-context
// Learning and Induction Heads", 2022) many times sooner where they meet such lines, and every skill that answers from
// the conversation needs it. Training rows only.
#pragma once

#include <string>

#include "conversation.h"
#include "writer.h"

namespace andiron::ember {

// A list said two or three times, or pairs and then the same pairs in another order.
std::string echo_text(const Writer& writer);

// Pairs of words without sense and questions about them, one after the other: "Arno is pale. Ilka is 12." "Is Arno 12?"
// "No." "What is Ilka?" "12" "What is Odo?" "I don't know." All that reading needs, without its language.
Conversation asked_pairs(const Writer& writer);

}  // namespace andiron::ember
