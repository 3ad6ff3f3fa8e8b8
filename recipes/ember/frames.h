// General frames: ways of speaking that fit many relations and tasks (tables/frames.txt). What they are put around are
// parts of a section: "np: the town where {N} live{s}" in the frame "ask: Tell me {=np}." gives one more way to ask.
//
//   {=np} {=topic} {=do}    wordings of the section's key of that name
//   {=clause}    its answer without the dot     {=who} {=vp}    its questions for whom, as "who ..." and as "..."
//   {=of}        person, thing, place, event    {=wh}           what or who, as the section's key "wh" says
// With a capital letter (say "{=Np}") what is put in begins with one.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "tables.h"

namespace andiron::ember {

// Fills Rule::framed_train and Rule::framed_test of all sections. A fifth of the pairs of a frame and what it is put
// around are for test rows: such a frame is met in training with other relations, but never with this one. Where two
// relations make the same wording it is for one part only.
void add_frames(Tables& tables);
// Whether the pair is for test rows; `part` is the first wording of the part.
bool is_test_frame(std::string_view frame, std::string_view part);

// All that the [choices|of] a wording make of somebody by name, in small letters and without a mark at the end: what
// two wordings must not share if one is for test rows. "Where {is} {N}?" and "Where is {N}?" of a thing are the same.
std::set<std::string> plain_forms(const std::string& wording);

}  // namespace andiron::ember
