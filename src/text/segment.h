// A piece of a prompt and who wrote it.
#pragma once

#include <string>

namespace andiron {

// A prompt on its way from the chat template to the tokenizer. Only trusted text (written by the template, or the
// model's own bos and eos tokens) may contain special tokens; whatever a user, a tool or a caller supplied is
// untrusted, and "<|im_end|>" typed there stays those ten letters.
struct Segment {
  std::string text;
  bool trusted = false;
};

}  // namespace andiron
