#include "writer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <initializer_list>

#include "base/check.h"
#include "base/content_hash.h"
#include "base/strings.h"

namespace andiron::ember {

namespace {

constexpr std::array<std::string_view, 10> kForms = {"N",  "Ns",  "N2",     "s",        "es",
                                                     "is", "was", "person", "invented", "string"};

// The end of what text[at], a bracket, opens.
size_t closing(std::string_view text, size_t at, char open, char close) {
  int depth = 0;
  for (size_t i = at; i < text.size(); ++i) {
    depth += text[i] == open ? 1 : text[i] == close ? -1 : 0;
    if (depth == 0) return i;
  }
  return text.size();
}

// Cuts at '|' outside inner brackets.
std::vector<std::string_view> choices_of(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    depth += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
    if (text[i] != '|' || depth > 0) continue;
    out.push_back(text.substr(from, i - from));
    from = i + 1;
  }
  out.push_back(text.substr(from));
  return out;
}

bool is_value_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

int to_int(std::string_view digits) {
  int out = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

bool is_among(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Lists whose words are names, in capitals.
bool is_of_names(std::string_view list) { return is_among(list, {"town", "petname", "country", "language"}); }

// Words of which no list can hold enough: in place of this part of them stands any string, which has to be copied.
// Test rows use those of names only: what is bought and eaten are there words that mean it.
double invented_part(std::string_view list, Part part) {
  if (list == "town" || list == "petname") return 0.2;
  if (part == Part::kTest) return 0;
  if (is_among(list, {"noun", "trait"})) return 0.15;
  if (is_among(list, {"thing", "food", "hobby", "sport", "instrument", "material", "vehicle"})) return 0.15;
  return is_among(list, {"country", "language", "job", "study", "drink", "color", "room", "hall"}) ? 0.08 : 0;
}

}  // namespace

// One wording being written: it knows whether its subject has been named.
class Expansion {
 public:
  Expansion(const Writer& writer, const Slots& slots) : writer_(writer), slots_(slots) {}

  void write(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
      const size_t next = std::min(text.find_first_of("[{", at), text.size());
      out_.append(text.substr(at, next - at));
      if (next == text.size()) return;
      const bool is_choice = text[next] == '[';
      const size_t end = is_choice ? closing(text, next, '[', ']') : closing(text, next, '{', '}');
      const std::string_view inner = text.substr(next + 1, end - next - 1);
      if (is_choice) {
        write(writer_.dice().pick(choices_of(inner)));
      } else {
        refer(inner);
      }
      at = end + 1;
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void refer(std::string_view name) {
    if (name.starts_with("a ")) {
      Expansion inner(writer_, slots_);
      inner.refer(name.substr(2));
      out_ += with_article(inner.take());
      return;
    }
    if (name.starts_with('#')) {
      const size_t dash = name.find('-');
      out_ += format("{}", writer_.number(to_int(name.substr(1, dash - 1)), to_int(name.substr(dash + 1))));
      return;
    }
    if (name.starts_with('@')) {
      const std::string* rule = slots_.find(name.substr(1));
      draw(rule != nullptr ? *rule : name.substr(1));
      return;
    }
    const std::string* value = slots_.find(name);
    if (value != nullptr) {
      out_ += *value;
    } else if (!inflect(name)) {
      draw(name);
    }
  }

  void draw(std::string_view rule) {
    const double invented = invented_part(rule, writer_.part());
    if (invented > 0 && writer_.dice().chance(invented)) {
      out_ += is_of_names(rule)                   ? writer_.invented_name()
              : is_among(rule, {"noun", "trait"}) ? writer_.strange_word()
                                                  : writer_.strange_value();
    } else {
      write(writer_.dice().pick(writer_.tables().options(rule, writer_.part())));
    }
  }

  // The forms of the subject.
  bool inflect(std::string_view name) {
    if (name == "person") {
      out_ += writer_.somebody().name;
      return true;
    }
    if (name == "invented") {
      out_ += writer_.invented_name();
      return true;
    }
    if (name == "string") {
      out_ += writer_.invented_string();
      return true;
    }
    if (slots_.subject == nullptr) return false;
    const Subject& subject = *slots_.subject;
    const bool own = subject.has_own_verb_form();
    const bool is_i = subject.person == Subject::Person::kI;
    if (name == "N" || name == "Ns" || name == "N2") {
      write_subject(name);
    } else if (name == "s" || name == "es") {
      if (own) out_ += name;
    } else if (name == "is") {
      out_ += own ? "is" : is_i ? "am" : "are";
    } else if (name == "was") {
      out_ += own || is_i ? "was" : "were";
    } else if (name.find('/') != std::string_view::npos) {
      const size_t slash = name.find('/');
      out_ += own ? name.substr(slash + 1) : name.substr(0, slash);
    } else {
      return false;
    }
    return true;
  }

  void write_subject(std::string_view form) {
    const Subject& subject = *slots_.subject;
    if (form == "N") out_ += named_ ? subject.pronoun() : std::string_view(subject.name);
    if (form == "Ns") out_ += named_ ? subject.its() : std::string_view(subject.possessive);
    if (form == "N2") out_ += named_ ? subject.him() : std::string_view(subject.object);
    named_ = true;
  }

  const Writer& writer_;
  const Slots& slots_;
  std::string out_;
  bool named_ = false;
};

const std::string* Slots::find(std::string_view name) const {
  for (const auto& [key, value] : values) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string Writer::expand(std::string_view wording, const Slots& slots) const {
  Expansion expansion(*this, slots);
  expansion.write(wording);
  return expansion.take();
}

std::string Writer::draw(std::string_view name, const Slots& slots) const {
  const Rule* rule = tables_.find(name);
  ANDIRON_CHECK(rule != nullptr);
  const std::vector<std::string>& framed = is_test() ? rule->framed_test : rule->framed_train;
  const bool has_own = !is_test() || !rule->test.empty();
  // Questions have as often as not a frame; what people tell they mostly tell plainly.
  const double own = name.ends_with(".say") ? 0.9 : 0.5;
  if (framed.empty() || (has_own && dice_.chance(own))) return draw_plain(name, slots);
  return expand(dice_.pick(framed), slots);
}

std::string Writer::draw_plain(std::string_view rule, const Slots& slots) const {
  return expand(dice_.pick(tables_.options(rule, part_)), slots);
}

std::string Writer::sentence(std::string_view rule, const Slots& slots) const { return capitalised(draw(rule, slots)); }

std::string Writer::word(std::string_view list) const {
  return invented_part(list, part_) > 0 ? expand(format("{{{}}}", list)) : dice_.pick(tables_.options(list, part_));
}

std::string Writer::letters() const {
  std::string out;
  for (size_t left = 4 + dice_.below(6); left > 0; --left) out += static_cast<char>('a' + dice_.below(26));
  return out;
}

std::string Writer::syllables() const {
  std::string out;
  const int count = dice_.chance(0.25) ? 3 : 2;
  for (int i = 0; i < count; ++i) {
    out += dice_.pick(tables_.options("onset", part_));
    out += dice_.pick(tables_.options("vowel", part_));
  }
  if (dice_.chance(0.6)) out += dice_.pick(tables_.options("coda", part_));
  return out;
}

template <typename Make>
std::string Writer::of_part(Make&& make) const {
  for (;;) {
    std::string out = make();
    if (is_test_name(out) == is_test() && !tables_.holds_out(out)) return out;
  }
}

std::string Writer::invented_name() const {
  return of_part([&] { return capitalised(dice_.chance(0.05) ? letters() : syllables()); });
}

std::string Writer::invented_word() const {
  return of_part([&] {
    std::string out = dice_.chance(0.08) ? letters() : syllables();
    if (dice_.chance(0.08)) out += "-" + syllables();
    if (!dice_.chance(0.08)) return out;
    for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return out;
  });
}

std::string Writer::strange_word() const {
  const double kind = dice_.uniform();
  if (kind < 0.4 && tables_.find("storyword") != nullptr) return dice_.pick(tables_.options("storyword", part_));
  return kind < 0.8 ? grafted_word() : invented_word();
}

std::string Writer::strange_value() const {
  if (dice_.chance(0.5)) return strange_word();
  const auto any = [&](const char* list) { return dice_.pick(tables_.options(list, part_)); };
  for (;;) {
    std::string out = any(dice_.chance(0.5) ? "trait" : "noun") + " " + any("noun");
    if (!tables_.holds_out(out)) return out;
  }
}

std::string Writer::grafted_word() const {
  static const std::array<const char*, 6> kLists = {"noun", "verb", "animal", "thing", "food", "storyword"};
  const auto part_of_word = [&](bool beginning) {
    const char* list = kLists[dice_.below(kLists.size())];
    const std::string word = dice_.pick(tables_.options(tables_.find(list) != nullptr ? list : "noun", Part::kTrain));
    const size_t cut = 1 + dice_.below(word.size());
    return beginning ? word.substr(0, cut) : word.substr(cut - 1);
  };
  return of_part([&] {
    std::string out = part_of_word(true) + part_of_word(false);
    for (char& c : out) c = c == ' ' ? '-' : c;
    return lower_case(std::move(out));
  });
}

std::string Writer::invented_string() const {
  return of_part([&] {
    std::string out = letters();
    const double form = dice_.uniform();
    for (char& c : out) {
      const double kind = form < 0.4 ? 1 : dice_.uniform();
      if (kind < 0.3) c = static_cast<char>('0' + dice_.below(10));
      if (kind < 0.5 && c >= 'a') c = static_cast<char>(c - 'a' + 'A');
    }
    if (form > 0.8) out.insert(out.size() / 2, 1, '-');
    return out;
  });
}

Subject Writer::somebody() const {
  const bool female = dice_.chance(0.5);
  const Gender gender = female ? Gender::kFemale : Gender::kMale;
  if (dice_.chance(0.2)) return named_subject(invented_name(), gender);
  return named_subject(word(female ? "girl" : "boy"), gender);
}

int Writer::number(int low, int high) const {
  // Ranges that hold no number of test rows (1 to 12, say) are everyone's.
  const bool split = high >= low + 10 && high > 20;
  for (;;) {
    const int drawn = dice_.between(low, high);
    if (is_test_number(drawn) == (is_test() && split)) return drawn;
  }
}

bool is_test_number(int number) { return number > 12 && number % 5 == 3; }

bool is_test_name(std::string_view name) {
  return short_hash({reinterpret_cast<const uint8_t*>(name.data()), name.size()}) % 8 == 0;
}

std::string with_article(std::string_view noun) {
  const char first = noun.empty() ? 'x' : noun.front();
  const auto begins = [&](std::initializer_list<std::string_view> with) {
    return std::any_of(with.begin(), with.end(), [&](std::string_view start) { return noun.starts_with(start); });
  };
  const bool sounds_otherwise = begins({"uni", "uku", "use", "uti", "eu", "one"}) && !begins({"unim", "unin"});
  const bool vowel = (std::string_view("aeiouAEIO").find(first) != std::string_view::npos && !sounds_otherwise) ||
                     begins({"hour", "honest", "honor", "honour", "heir"});
  return format("{} {}", vowel ? "an" : "a", noun);
}

std::string capitalised(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::optional<std::string> unknown_reference(std::string_view wording, const Tables& tables) {
  for (size_t at = wording.find('{'); at != std::string_view::npos; at = wording.find('{', at + 1)) {
    const size_t end = closing(wording, at, '{', '}');
    std::string_view name = wording.substr(at + 1, end - at - 1);
    if (name.starts_with("a ")) name.remove_prefix(2);
    if (name.starts_with('@')) name.remove_prefix(1);
    const bool known = name.starts_with('#') || name.find('/') != std::string_view::npos || is_value_name(name) ||
                       std::find(kForms.begin(), kForms.end(), name) != kForms.end() || tables.find(name) != nullptr;
    if (!known) return std::string(name);
  }
  return std::nullopt;
}

}  // namespace andiron::ember
