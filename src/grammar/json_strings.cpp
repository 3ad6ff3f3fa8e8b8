#include "grammar/json_strings.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "text/regex_parser.h"

namespace andiron {

namespace {

// What may stand in a JSON string as it is (RFC 8259, section 7).
CharSet raw_chars() {
  CharSet set(0, 0x1f);
  return set.unite(CharSet('"', '"')).unite(CharSet('\\', '\\')).complement();
}

// ECMA's pattern in the words of text/regex.h.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> translate() {
    anchored_ = pattern_.substr(0, 1) == "^";
    if (anchored_) pattern_.remove_prefix(1);
    while (at_ < pattern_.size()) TRY(step());
    if (in_class_) return Error{"'[' without ']'"};
    if (alternatives_ && (anchored_ || ended_)) {
      return Error{"^ or $ beside '|' holds for one alternative only; put the alternatives into a group"};
    }
    const std::string_view any = "(?:.|\\n)*";
    return format("{}(?:{}){}", anchored_ ? "" : any, out_, ended_ ? "" : any);
  }

 private:
  Status step() {
    const char c = pattern_[at_++];
    if (c == '\\') {
      escape();
    } else if (in_class_) {
      if (c == ']') in_class_ = false;
      if (c == '[' || c == '&') out_ += '\\';  // of these text/regex.h makes more than ECMA does
      out_ += c;
    } else if (c == '[') {
      in_class_ = true;
      out_ += c;
      negated_ = pattern_.substr(at_, 1) == "^";
      if (negated_) out_ += pattern_[at_++];
      if (pattern_.substr(at_, 1) == "]") return Error{"an empty class"};
    } else if (c == '$' && at_ == pattern_.size() && depth_ == 0) {
      ended_ = true;
    } else if (c == '$' || c == '^') {
      return Error{format("'{}' within the pattern is not supported", c)};
    } else {
      depth_ += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c == '|' && depth_ == 0) alternatives_ = true;
      out_ += c;
    }
    return {};
  }

  // After the backslash. Validators differ in how much of Unicode \d, \w and \s are: what is allowed is the least of
  // them, ASCII, and what is forbidden the most.
  void escape() {
    const char letter = at_ < pattern_.size() ? pattern_[at_++] : '\0';
    const bool forbids = in_class_ && negated_;
    std::string_view ascii;
    const char lower = static_cast<char>(letter | 32);
    if (lower == 'd') ascii = "0-9";
    if (lower == 'w') ascii = "A-Za-z0-9_";
    if (lower == 's') ascii = " \\t\\n\\r\\f\\v";
    const bool capital = letter != lower;
    if (!ascii.empty() && capital == forbids) {
      out_ += format("[{}{}]", capital ? "^" : "", ascii);
    } else if (lower == 's') {
      out_ += format("[{}\\s\\x{{1c}}-\\x{{1f}}\\x{{feff}}]", capital ? "^" : "");
    } else {
      out_ += '\\';
      if (letter != '\0') out_ += letter;
    }
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
  int depth_ = 0;
  bool in_class_ = false, negated_ = false, anchored_ = false, ended_ = false, alternatives_ = false;
};

Result<uint32_t> regex_node(Grammar& grammar, const RegexTree& tree, uint32_t index) {
  const RegexNode& node = tree.nodes[index];
  std::vector<uint32_t> children;
  for (const uint32_t child : node.children) {
    TRY_ASSIGN(const uint32_t made, regex_node(grammar, tree, child));
    children.push_back(made);
  }
  switch (node.kind) {
    case RegexNode::Kind::kEmpty: return grammar.sequence({});
    case RegexNode::Kind::kSet: return json_chars(grammar, tree.sets[node.set]);
    case RegexNode::Kind::kSequence: return grammar.sequence(std::move(children));
    case RegexNode::Kind::kAlternation: return grammar.choice(std::move(children));
    case RegexNode::Kind::kRepeat: return grammar.repeat(children[0], node.min, node.max);
    case RegexNode::Kind::kLook: break;
  }
  return Error{"looking ahead is not supported"};
}

using CodePoints = std::vector<uint32_t>;

// `names` are sorted, and alike up to `depth`.
uint32_t names_except(Grammar& grammar, std::span<const CodePoints> names, size_t depth, uint32_t raw_any) {
  std::vector<CharSet> known;
  std::vector<uint32_t> choices;
  size_t begin = 0;
  while (begin < names.size() && names[begin].size() == depth) ++begin;
  if (begin == 0) choices.push_back(grammar.sequence({}));
  const CharSet raw = raw_chars();
  for (size_t end = begin; begin < names.size(); begin = end) {
    const uint32_t next = names[begin][depth];
    while (end < names.size() && names[end][depth] == next) ++end;
    if (!raw.contains(next)) continue;
    known.emplace_back(next, next);
    const uint32_t first = grammar.chars(known.back());
    const auto group = names.subspan(begin, end - begin);
    choices.push_back(grammar.sequence({first, names_except(grammar, group, depth + 1, raw_any)}));
  }
  CharSet others = raw;
  others.intersect(CharSet::union_of(known).complement());
  choices.push_back(grammar.sequence({grammar.chars(others), raw_any}));
  return grammar.choice(std::move(choices));
}

// Days that there are: February has 29 in the years that 4 divides, but of the centuries only in those that 400
// divides.
#define ANDIRON_YEAR "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
#define ANDIRON_LEAP "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
#define ANDIRON_DAY                                                                                             \
  "(?:" ANDIRON_YEAR                                                                                            \
  "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]" \
  "|2[0-8]))|" ANDIRON_LEAP "-02-29)"
#define ANDIRON_HOUR "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
#define ANDIRON_TIME ANDIRON_HOUR ":[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-]" ANDIRON_HOUR ")"
#define ANDIRON_BYTE "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define ANDIRON_LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define ANDIRON_HOST ANDIRON_LABEL "(?:\\." ANDIRON_LABEL "){0,3}"
// Without the limit of 63, which would make a state of every count.
#define ANDIRON_DOMAIN "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
#define ANDIRON_HEX "[0-9a-fA-F]"

constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
    {"date", "^" ANDIRON_DAY "$"},
    {"time", "^" ANDIRON_TIME "$"},
    {"date-time", "^" ANDIRON_DAY "T" ANDIRON_TIME "$"},
    {"duration", "^P(?:[0-9]{1,4}W|[0-9]{1,4}[YMD](?:T[0-9]{1,4}[HMS])?|T[0-9]{1,4}[HMS])$"},
    {"uuid", "^" ANDIRON_HEX "{8}-" ANDIRON_HEX "{4}-" ANDIRON_HEX "{4}-" ANDIRON_HEX "{4}-" ANDIRON_HEX "{12}$"},
    {"email", "^[A-Za-z0-9_+-]+(?:\\.[A-Za-z0-9_+-]+)*@" ANDIRON_DOMAIN "(?:\\." ANDIRON_DOMAIN ")+$"},
    {"hostname", "^" ANDIRON_HOST "$"},
    {"ipv4", "^" ANDIRON_BYTE "(?:\\." ANDIRON_BYTE "){3}$"},
    {"ipv6", "^" ANDIRON_HEX "{1,4}(?::" ANDIRON_HEX "{1,4}){7}$"},
    {"uri", "^https?://" ANDIRON_HOST "(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~-]*)*(?:\\?[A-Za-z0-9=&._~-]*)?$"},
};

#undef ANDIRON_YEAR
#undef ANDIRON_LEAP
#undef ANDIRON_DAY
#undef ANDIRON_HOUR
#undef ANDIRON_TIME
#undef ANDIRON_BYTE
#undef ANDIRON_LABEL
#undef ANDIRON_HOST
#undef ANDIRON_DOMAIN
#undef ANDIRON_HEX

}  // namespace

uint32_t json_chars(Grammar& grammar, const CharSet& set) {
  constexpr std::pair<uint32_t, char> kShort[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                                  {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
  std::vector<uint32_t> choices;
  CharSet raw = set;
  if (!raw.intersect(raw_chars()).empty()) choices.push_back(grammar.chars(raw));
  CharSet letters;
  CharSet long_ones = set;
  long_ones.intersect(CharSet(0, 0x1f));
  for (const auto& [code_point, letter] : kShort) {
    if (!set.contains(code_point)) continue;
    letters.unite(CharSet(static_cast<uint8_t>(letter), static_cast<uint8_t>(letter)));
    long_ones.intersect(CharSet(code_point, code_point).complement());
  }
  if (!letters.empty()) choices.push_back(grammar.sequence({grammar.text("\\"), grammar.chars(letters)}));
  for (const CharSet::Range& range : long_ones.ranges()) {
    for (uint32_t c = range.first; c <= range.last; ++c) choices.push_back(grammar.text(format("\\u{:04x}", c)));
  }
  // A set of nothing: no character is in it.
  return choices.empty() ? grammar.chars(CharSet()) : grammar.choice(std::move(choices));
}

uint32_t json_any_char(Grammar& grammar) {
  CharSet letters;
  for (const char c : std::string_view("\"\\/bfnrt"))
    letters.unite(CharSet(static_cast<uint8_t>(c), static_cast<uint8_t>(c)));
  CharSet hex('0', '9');
  hex.unite(CharSet('a', 'f')).unite(CharSet('A', 'F'));
  CharSet not_d = hex;
  not_d.intersect(CharSet('D', 'D').complement()).intersect(CharSet('d', 'd').complement());
  CharSet d('d', 'd');
  d.unite(CharSet('D', 'D'));
  const uint32_t digit = grammar.chars(hex);
  const uint32_t unit =
      grammar.choice({grammar.sequence({grammar.chars(not_d), digit, digit, digit}),
                      grammar.sequence({grammar.chars(d), grammar.chars(CharSet('0', '7')), digit, digit})});
  const uint32_t escaped = grammar.choice({grammar.chars(letters), grammar.sequence({grammar.text("u"), unit})});
  return grammar.choice({grammar.chars(raw_chars()), grammar.sequence({grammar.text("\\"), escaped})});
}

Result<uint32_t> json_pattern(Grammar& grammar, std::string_view pattern) {
  TRY_ASSIGN(const std::string translated, Translator(pattern).translate());
  TRY_ASSIGN(const RegexTree tree, parse_regex(translated));
  return regex_node(grammar, tree, tree.root);
}

std::optional<std::string_view> format_pattern(std::string_view format) {
  for (const auto& [name, pattern] : kFormats) {
    if (name == format) return pattern;
  }
  return std::nullopt;
}

uint32_t json_names_except(Grammar& grammar, std::span<const std::string> names) {
  std::vector<CodePoints> all;
  for (const std::string& name : names) {
    CodePoints& one = all.emplace_back();
    for (size_t at = 0; at < name.size();) one.push_back(next_code_point(name, at));
  }
  std::sort(all.begin(), all.end());
  const uint32_t raw_any = grammar.repeat(grammar.chars(raw_chars()), 0, GrammarNode::kUnbounded);
  return names_except(grammar, all, 0, raw_any);
}

std::string pointer_part(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
  return out;
}

}  // namespace andiron
