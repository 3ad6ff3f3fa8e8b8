#include "text/regex_parser.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/strings.h"

namespace andiron {

namespace {

constexpr int kDepthMax = 32;
constexpr size_t kPatternBytesMax = 8192;
constexpr size_t kSetsMax = 64;  // regex.cpp keeps one bit for each
constexpr uint32_t kRepeatMax = 1000;

using Kind = RegexNode::Kind;

CharSet category_group(char letter) {
  switch (letter) {
    case 'L': return CharSet::categories(Category::kLu, Category::kLo);
    case 'M': return CharSet::categories(Category::kMn, Category::kMe);
    case 'N': return CharSet::categories(Category::kNd, Category::kNo);
    case 'P': return CharSet::categories(Category::kPc, Category::kPo);
    case 'S': return CharSet::categories(Category::kSm, Category::kSo);
    case 'Z': return CharSet::categories(Category::kZs, Category::kZp);
    case 'C': return CharSet::categories(Category::kCc, Category::kCn);
    default: return {};
  }
}

// The set that \p{name} means, or none when the name is not known here.
std::optional<CharSet> property_set(std::string_view name) {
  if (name.size() == 1) {
    if (CharSet group = category_group(name[0]); !group.empty()) return group;
  }
  for (int i = 0; i < kCategoryCount; ++i) {
    const auto category = static_cast<Category>(i);
    if (name == category_name(category)) return CharSet::categories(category, category);
  }
  for (int i = 0; i < kScriptCount; ++i) {
    const auto script = static_cast<Script>(i);
    if (name == script_name(script)) return CharSet::script(script);
  }
  if (name == "White_Space") return CharSet::white_space();
  return std::nullopt;
}

// \w as Oniguruma and UTS #18 have it: letters, marks, decimal digits, connector punctuation.
CharSet word_set() {
  CharSet set = category_group('L');
  set.unite(category_group('M'));
  set.unite(CharSet::categories(Category::kNd, Category::kNd));
  return set.unite(CharSet::categories(Category::kPc, Category::kPc));
}

CharSet complement_of(CharSet set) { return set.complement(); }

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern) {}

  Result<RegexTree> parse() {
    if (pattern_.size() > kPatternBytesMax) return fail("longer than 8192 bytes");
    TRY_ASSIGN(tree_.root, alternation(0));
    if (!done()) return fail("')' without '('");
    return std::move(tree_);
  }

 private:
  Error fail(std::string_view what) const {
    return make_error("the regular expression \"{}\" cannot be used: {} (at byte {})", in_quotes(pattern_, 400), what,
                      at_);
  }

  bool done() const { return at_ >= pattern_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  bool accept(std::string_view word) {
    if (pattern_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  uint32_t add(RegexNode node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(tree_.nodes.size() - 1);
  }
  Result<uint32_t> add_set(CharSet set, Kind kind = Kind::kSet, bool at_end = false) {
    const auto found = std::find(tree_.sets.begin(), tree_.sets.end(), set);
    RegexNode node;
    node.kind = kind;
    node.at_end = at_end;
    node.set = static_cast<uint32_t>(found - tree_.sets.begin());
    if (found == tree_.sets.end()) {
      if (tree_.sets.size() == kSetsMax) return fail("more than 64 different character classes");
      tree_.sets.push_back(std::move(set));
    }
    return add(std::move(node));
  }
  CharSet folded(CharSet set) const { return ignore_case_ ? set.fold_ascii_case() : set; }

  Result<uint32_t> alternation(int depth) {
    if (depth > kDepthMax) return fail("groups nested deeper than 32");
    const bool outer_ignore_case = ignore_case_;
    RegexNode node;
    node.kind = Kind::kAlternation;
    do {
      TRY_ASSIGN(const uint32_t child, sequence(depth));
      node.children.push_back(child);
    } while (accept("|"));
    ignore_case_ = outer_ignore_case;
    return node.children.size() == 1 ? node.children[0] : add(std::move(node));
  }

  Result<uint32_t> sequence(int depth) {
    RegexNode node;
    node.kind = Kind::kSequence;
    while (!done() && peek() != '|' && peek() != ')') {
      if (accept("(?i)")) {
        ignore_case_ = true;
        continue;
      }
      TRY_ASSIGN(uint32_t child, atom(depth));
      TRY_ASSIGN(child, quantified(child));
      node.children.push_back(child);
    }
    if (node.children.empty()) node.kind = Kind::kEmpty;
    return node.children.size() == 1 ? node.children[0] : add(std::move(node));
  }

  // Any quantifier after `child`. A possessive one is read as greedy: that is the same whenever what follows cannot
  // begin inside the run, which holds for every pattern published with a model.
  Result<uint32_t> quantified(uint32_t child) {
    RegexNode node;
    node.kind = Kind::kRepeat;
    node.max = RegexNode::kUnbounded;
    if (accept("?")) {
      node.max = 1;
    } else if (accept("+")) {
      node.min = 1;
    } else if (!accept("*") && !interval(node.min, node.max)) {
      return child;
    }
    const bool bounded = node.max != RegexNode::kUnbounded;
    if (node.min > kRepeatMax || (bounded && (node.max > kRepeatMax || node.max < node.min))) {
      return fail("a repeat count that is out of order or above 1000");
    }
    if (accept("?")) {
      node.greedy = false;
    } else {
      accept("+");
    }
    if (peek() == '*' || peek() == '+' || peek() == '?') return fail("a quantifier after a quantifier");
    node.children.push_back(child);
    return add(std::move(node));
  }

  // {m}, {m,} or {m,n}; anything else that begins with '{' is an ordinary character.
  bool interval(uint32_t& min, uint32_t& max) {
    const size_t start = at_;
    const auto number = [&](uint32_t& out) {
      const size_t first = at_;
      uint32_t value = 0;
      while (peek() >= '0' && peek() <= '9' && at_ - first < 6)
        value = value * 10 + static_cast<uint32_t>(peek() - '0'), ++at_;
      out = value;
      return at_ > first;
    };
    uint32_t low = 0;
    uint32_t high = RegexNode::kUnbounded;
    if (accept("{") && number(low)) {
      bool good = true;
      if (accept(",")) {
        if (peek() != '}') good = number(high);
      } else {
        high = low;
      }
      if (good && accept("}")) {
        min = low;
        max = high;
        return true;
      }
    }
    at_ = start;
    return false;
  }

  Result<uint32_t> atom(int depth) {
    if (accept("(")) return group(depth);
    if (accept("[")) {
      TRY_ASSIGN(CharSet set, char_class(depth));
      return add_set(std::move(set));
    }
    if (accept("$") || accept("\\z")) return add_set(CharSet(), Kind::kLook, true);
    if (accept(".")) return add_set(CharSet('\n', '\n').complement());
    if (peek() == '\\') {
      TRY_ASSIGN(CharSet set, escape());
      return add_set(folded(std::move(set)));
    }
    if (peek() == '^' || peek() == '*' || peek() == '+' || peek() == '?') {
      return fail(format("'{}' is not supported here", peek()));
    }
    TRY_ASSIGN(const uint32_t code_point, literal());
    return add_set(folded(CharSet(code_point, code_point)));
  }

  Result<uint32_t> literal() {
    bool valid = true;
    const uint32_t code_point = next_code_point(pattern_, at_, &valid);
    if (!valid) return fail("not UTF-8");
    return code_point;
  }

  // After "(".
  Result<uint32_t> group(int depth) {
    const bool outer_ignore_case = ignore_case_;
    enum class Look { kNone, kAhead, kNotAhead } look = Look::kNone;
    if (accept("?=")) {
      look = Look::kAhead;
    } else if (accept("?!")) {
      look = Look::kNotAhead;
    } else if (accept("?i:")) {
      ignore_case_ = true;
    } else if (peek() == '?' && !accept("?:")) {
      return fail("a group of this kind is not supported");
    }
    TRY_ASSIGN(const uint32_t child, alternation(depth + 1));
    ignore_case_ = outer_ignore_case;
    if (!accept(")")) return fail("'(' without ')'");
    if (look == Look::kNone) return child;
    CharSet set;
    if (!single_set(child, set)) return fail("a look-ahead at more than one character is not supported");
    if (look == Look::kNotAhead) set.complement();
    return add_set(std::move(set), Kind::kLook, look == Look::kNotAhead);
  }

  // Whether the node matches exactly one code point; adds which.
  bool single_set(uint32_t index, CharSet& out) const {
    const RegexNode& node = tree_.nodes[index];
    if (node.kind == Kind::kSet) {
      out.unite(tree_.sets[node.set]);
      return true;
    }
    return node.kind == Kind::kAlternation &&
           std::all_of(node.children.begin(), node.children.end(), [&](uint32_t c) { return single_set(c, out); });
  }

  // A backslash escape as a set, inside or outside a class.
  Result<CharSet> escape() {
    ++at_;
    const char letter = peek();
    if (done()) return fail("'\\' at the end");
    if ((letter >= '!' && letter <= '/') || (letter >= ':' && letter <= '@') || (letter >= '[' && letter <= '`') ||
        (letter >= '{' && letter <= '~') || letter == ' ') {
      ++at_;
      return CharSet(static_cast<uint8_t>(letter), static_cast<uint8_t>(letter));
    }
    ++at_;
    switch (letter) {
      case 's': return CharSet::white_space();
      case 'S': return complement_of(CharSet::white_space());
      case 'd': return CharSet::categories(Category::kNd, Category::kNd);
      case 'D': return complement_of(CharSet::categories(Category::kNd, Category::kNd));
      case 'w': return word_set();
      case 'W': return complement_of(word_set());
      case 'n': return CharSet('\n', '\n');
      case 'r': return CharSet('\r', '\r');
      case 't': return CharSet('\t', '\t');
      case 'f': return CharSet('\f', '\f');
      case 'v': return CharSet('\v', '\v');
      case 'p':
      case 'P': return property(letter == 'P');
      case 'x':
      case 'u': return hex_escape(letter);
      default: return fail(format("the escape \\{} is not supported", in_quotes(std::string_view(&letter, 1))));
    }
  }

  Result<CharSet> property(bool negated) {
    std::string_view name = pattern_.substr(at_, 1);
    if (accept("{")) {
      const size_t end = pattern_.find('}', at_);
      if (end == std::string_view::npos) return fail("\\p{ without }");
      name = pattern_.substr(at_, end - at_);
      at_ = end + 1;
    } else {
      at_ += name.size();
    }
    if (name.substr(0, 1) == "^") {
      negated = !negated;
      name.remove_prefix(1);
    }
    auto set = property_set(name);
    if (!set) return fail(format("the property {} is not known", in_quotes(name)));
    return negated ? set->complement() : *set;
  }

  // \xHH, \x{H...} or \uHHHH.
  Result<CharSet> hex_escape(char letter) {
    const bool braced = accept("{");
    const size_t digits_max = braced ? 6 : letter == 'x' ? 2 : 4;
    uint32_t value = 0;
    size_t digits = 0;
    for (; digits < digits_max; ++digits, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<uint32_t>(digit);
    }
    if (digits == 0 || (!braced && digits != digits_max) || (braced && !accept("}")) || value > 0x10ffff) {
      return fail("a malformed hexadecimal escape");
    }
    return CharSet(value, value);
  }

  // After "[": members, ranges, nested classes and && (intersection binds weakest).
  Result<CharSet> char_class(int depth) {
    if (depth > kDepthMax) return fail("classes nested deeper than 32");
    const bool negated = accept("^");
    std::vector<CharSet> members;
    std::optional<CharSet> left;
    const auto intersect_members = [&] {
      CharSet set = CharSet::union_of(std::exchange(members, {}));
      return left ? left->intersect(set) : set;
    };
    for (bool first = true;; first = false) {
      if (done()) return fail("'[' without ']'");
      if (peek() == ']' && !first) break;
      if (accept("&&")) {
        left = intersect_members();
        continue;
      }
      if (peek() == '[' && peek(1) == ':') return fail("a POSIX class is not supported");
      TRY_ASSIGN(CharSet member, class_member(depth));
      members.push_back(std::move(member));
    }
    ++at_;
    CharSet set = folded(intersect_members());
    return negated ? set.complement() : set;
  }

  // One member of a class: a nested class, an escape, a character or a range of characters.
  Result<CharSet> class_member(int depth) {
    if (accept("[")) return char_class(depth + 1);
    TRY_ASSIGN(CharSet member, class_character());
    if (peek() != '-' || peek(1) == ']' || peek(1) == '\0') return member;
    if (peek(1) == '[') return member;
    const auto single = [](const CharSet& set) {
      return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
    };
    if (!single(member)) return member;  // as in [\w-.]: the '-' stands for itself
    ++at_;
    TRY_ASSIGN(const CharSet end, class_character());
    if (!single(end) || end.ranges()[0].first < member.ranges()[0].first) return fail("a range out of order");
    return CharSet(member.ranges()[0].first, end.ranges()[0].first);
  }

  Result<CharSet> class_character() {
    if (peek() == '\\') return escape();
    TRY_ASSIGN(const uint32_t code_point, literal());
    return CharSet(code_point, code_point);
  }

  std::string_view pattern_;
  size_t at_ = 0;
  bool ignore_case_ = false;
  RegexTree tree_;
};

}  // namespace

Result<RegexTree> parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace andiron
