#include "frames.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

#include "base/content_hash.h"
#include "base/strings.h"
#include "writer.h"

namespace andiron::ember {

namespace {

constexpr std::string_view kFrames = "frame.";

// What the references of frames stand for in one section.
using Parts = std::map<std::string, std::vector<std::string>, std::less<>>;

// "Sort these" of "sort these", and "[Sort|Order]" of "[sort|order]".
std::string capitalised_choices(std::string text) {
  if (!text.starts_with('[')) return capitalised(std::move(text));
  int depth = 0;
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    depth += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
    if (depth == 0) break;
    const bool begins = (text[i] == '[' || text[i] == '|') && depth == 1;
    if (begins) text[i + 1] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[i + 1])));
  }
  return text;
}

std::string without_end(std::string text, char end) {
  if (text.ends_with(end)) text.pop_back();
  return text;
}

std::string_view noun_of(std::string_view section) {
  if (section.starts_with("thing.") || section.starts_with("place.")) return "thing";
  if (section.starts_with("shop.")) return "place";
  return section.starts_with("event.") ? "event" : "person";
}

// "Who lives in {V}?" as "who lives in {V}" and as "lives in {V}".
void add_who(const std::vector<std::string>& questions, Parts& parts) {
  for (const std::string& question : questions) {
    if (question.find('?') != question.size() - 1 || question.starts_with("What does ")) continue;
    const size_t space = question.find(' ');
    const std::string first = question.substr(0, space);
    if (first != "Who" && first != "What" && first != "Whose") continue;
    const std::string whole = without_end(lower_case(question.substr(0, 1)) + question.substr(1), '?');
    parts["who"].push_back(whole);
    if (first != "Whose") parts["vp"].push_back(whole.substr(space + 1));
  }
}

Parts parts_of(const Tables& tables, const std::string& section) {
  Parts out;
  for (const char* key : {"np", "topic", "do"}) {
    if (const Rule* rule = tables.find(format("{}.{}", section, key))) out[key] = rule->train;
  }
  if (tables.find(section + ".topic") != nullptr) {
    if (const Rule* rule = tables.find(section + ".answer")) {
      out["clause"] = {without_end(rule->train.front(), '.')};
    }
  }
  if (const Rule* rule = tables.find(section + ".who")) add_who(rule->train, out);
  const Rule* wh = tables.find(section + ".wh");
  out["wh"] = {wh != nullptr ? wh->train.front() : "what"};
  out["of"] = {std::string(noun_of(section))};
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string with_part(std::string text, const std::string& name, const std::string& part) {
  text = replaced(std::move(text), "{=" + name + "}", part);
  return replaced(std::move(text), "{=" + capitalised(name) + "}", capitalised_choices(part));
}

// The part that a frame is put around.
std::string main_part(std::string_view frame) {
  for (const char* name : {"np", "topic", "do", "clause", "who", "vp"}) {
    const std::string small = format("{{={}}}", name), big = format("{{={}}}", capitalised(name));
    if (frame.find(small) != std::string_view::npos || frame.find(big) != std::string_view::npos) return name;
  }
  return "";
}

void add_framed(const std::string& frame, const Parts& parts, Rule& rule) {
  const std::string name = main_part(frame);
  const auto found = parts.find(name);
  if (found == parts.end()) return;
  std::set<std::string> known(rule.train.begin(), rule.train.end());
  known.insert(rule.test.begin(), rule.test.end());
  const std::string whole = with_part(with_part(frame, "wh", parts.at("wh").front()), "of", parts.at("of").front());
  std::vector<std::string>& out = is_test_frame(frame, found->second.front()) ? rule.framed_test : rule.framed_train;
  for (const std::string& part : found->second) {
    std::string wording = with_part(whole, name, part);
    if (known.insert(wording).second) out.push_back(std::move(wording));
  }
}

void add_choices(const std::string& wording, std::set<std::string>& out) {
  const size_t open = wording.find('[');
  if (open == std::string::npos) {
    const size_t end = wording.find_last_not_of(".?!");
    out.insert(lower_case(wording.substr(0, end + 1)));
    return;
  }
  size_t from = open;
  int depth = 0;
  std::vector<std::string> choices;
  for (size_t i = open; i < wording.size(); ++i) {
    depth += wording[i] == '[' ? 1 : wording[i] == ']' ? -1 : 0;
    if (depth == 0 || (wording[i] == '|' && depth == 1)) {
      choices.push_back(wording.substr(from + 1, i - from - 1));
      from = i;
    }
    if (depth == 0) break;
  }
  for (const std::string& choice : choices) {
    add_choices(wording.substr(0, open) + choice + wording.substr(from + 1), out);
  }
}

// As a wording reads of somebody by name: "{Do/Does} {N} have {V} with {N2}?" is "Does {N} have {V} with {N}?".
std::string of_another(const std::string& wording) {
  std::string out;
  for (size_t at = 0; at < wording.size();) {
    const size_t open = std::min(wording.find('{', at), wording.size());
    const size_t end = std::min(wording.find('}', open), wording.size());
    out += wording.substr(at, open - at);
    if (open == wording.size()) break;
    const std::string name = wording.substr(open + 1, end - open - 1);
    const bool is_form = name == "s" || name == "es" || name == "is" || name == "was";
    const size_t slash = name.find('/');
    if (is_form || slash != std::string::npos) {
      out += is_form ? name : name.substr(slash + 1);
    } else {
      out += "{" + (name == "N2" ? "N" : name) + "}";
    }
    at = end + 1;
  }
  return out;
}

template <typename Pick>
std::set<std::string> forms_of_all(const Tables& tables, Pick&& pick) {
  std::set<std::string> out;
  for (const auto& [name, rule] : tables.rules()) {
    if (rule.is_list || name.starts_with(kFrames)) continue;
    for (const std::string& wording : pick(rule)) out.merge(plain_forms(wording));
  }
  return out;
}

// Takes out what is a wording of the other part too.
void drop_shared(std::vector<std::string>& wordings, const std::set<std::string>& others) {
  std::erase_if(wordings, [&](const std::string& wording) {
    const auto forms = plain_forms(wording);
    return std::any_of(forms.begin(), forms.end(), [&](const std::string& form) { return others.count(form) > 0; });
  });
}

void part_the_same(Tables& tables) {
  const auto own_test = forms_of_all(
      tables, [](const Rule& rule) -> const auto& { return rule.test; });
  for (const auto& [name, rule] : tables.rules())
    drop_shared(tables.find(std::string_view(name))->framed_train, own_test);
  auto train = forms_of_all(
      tables, [](const Rule& rule) -> const auto& { return rule.train; });
  train.merge(forms_of_all(
      tables, [](const Rule& rule) -> const auto& { return rule.framed_train; }));
  for (const auto& [name, rule] : tables.rules()) drop_shared(tables.find(std::string_view(name))->framed_test, train);
}

}  // namespace

std::set<std::string> plain_forms(const std::string& wording) {
  std::set<std::string> out;
  add_choices(of_another(wording), out);
  return out;
}

bool is_test_frame(std::string_view frame, std::string_view part) {
  const std::string both = format("{}\n{}", frame, part);
  return short_hash({reinterpret_cast<const uint8_t*>(both.data()), both.size()}) % 5 == 0;
}

void add_frames(Tables& tables) {
  for (const std::string& section : tables.sections()) {
    if (kFrames.starts_with(section)) continue;
    const Parts parts = parts_of(tables, section);
    for (const char* key : {"say", "ask", "check", "who"}) {
      const Rule* frames = tables.find(format("{}{}", kFrames, key));
      Rule* rule = tables.find(format("{}.{}", section, key));
      if (frames == nullptr || rule == nullptr) continue;
      for (const std::string& frame : frames->train) add_framed(frame, parts, *rule);
    }
  }
  part_the_same(tables);
}

}  // namespace andiron::ember
