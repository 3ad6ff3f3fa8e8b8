// GBNF, llama.cpp's grammar notation (its grammars/README.md):
//
//   root  ::= "yes" | "no" ("," [ \t]* word){1,3}   # a comment
//   word  ::= [a-zA-Z\u00e4]+ | "\"" [^"\\\x00-\x1f]* "\"" | .
//
// Rules have names of letters, digits, '-' and '_'; the answer is a `root`. A rule goes on after '|' and within
// parentheses over line ends. Escapes in "..." and [...]: \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH, each a
// code point. Quantifiers: * + ? {m} {m,} {m,n}. llama.cpp's references to tokens, <...>, are refused.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/grammar.h"

namespace andiron {

// `source` names the text in messages, which give the line and the column. The result has passed check_grammar.
Result<Grammar> parse_gbnf(std::string_view text, std::string_view source);

}  // namespace andiron
