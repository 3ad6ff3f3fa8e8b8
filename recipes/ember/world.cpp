#include "world.h"

#include <algorithm>

#include "base/check.h"
#include "base/strings.h"

namespace andiron::ember {

namespace {

// A section without a dot is about people; otherwise the first part says about what.
Kind kind_of(std::string_view section) {
  if (section.starts_with("thing.") || section.starts_with("place.")) return Kind::kThing;
  if (section.starts_with("shop.")) return Kind::kShop;
  return section.starts_with("event.") ? Kind::kEvent : Kind::kPerson;
}

std::vector<std::string> relations_of(const Tables& tables, Kind kind) {
  std::vector<std::string> out;
  for (const std::string& section : tables.sections()) {
    if (tables.find(section + ".value") != nullptr && kind_of(section) == kind) out.push_back(section);
  }
  return out;
}

std::string draw_value(const Writer& writer, std::string_view relation, const std::string& k) {
  Slots slots;
  slots.values.emplace_back("K", k);
  return writer.draw(format("{}.value", relation), slots);
}

Fact draw_fact(const Writer& writer, const std::string& relation, size_t subject) {
  Fact out{relation, subject, "", ""};
  const std::string kind = relation + ".kind";
  if (writer.tables().find(kind) != nullptr) out.k = writer.draw(kind);
  out.v = draw_value(writer, relation, out.k);
  return out;
}

bool is_same_question(const Fact& a, const Fact& b) { return a.relation == b.relation && a.k == b.k; }

bool fits(const World& world, const Fact& fact) {
  return std::none_of(world.facts.begin(), world.facts.end(), [&](const Fact& other) {
    // Two relations with one value (a dog and a son of one name, say) would make "Who ...?" hard to judge by the answer
    // alone.
    return (is_same_question(fact, other) && (fact.subject == other.subject || fact.v == other.v)) ||
           (fact.subject == other.subject && fact.v == other.v);
  });
}

std::string_view list_of(Kind kind) { return kind == Kind::kThing ? "thing" : kind == Kind::kShop ? "shop" : "event"; }

// Now and then with something around it: "I heard that my sister lives in Rome."
std::string framed(const Writer& writer, std::string sentence, const Subject& subject, const Fact& fact) {
  const bool is_one = sentence.find_first_of("?:;") == std::string::npos;
  if (!is_one || !writer.dice().chance(0.05)) return capitalised(std::move(sentence));
  if (sentence.ends_with('.')) sentence.pop_back();
  const bool is_name =
      sentence.starts_with(subject.name) || sentence.starts_with(subject.possessive) || sentence.starts_with(fact.v);
  if (!is_name) sentence[0] = lower_case(sentence.substr(0, 1))[0];
  return writer.sentence("reading.frame", {nullptr, {{"S", sentence}}});
}

bool names_a_person(const Fact& fact) {
  return fact.relation == "kin" || fact.relation == "pet" || fact.relation == "thing.owner" ||
         fact.relation == "event.host";
}

}  // namespace

Kind draw_kind(Dice& dice) {
  const double at = dice.uniform();
  return at < 0.64 ? Kind::kPerson : at < 0.78 ? Kind::kThing : at < 0.88 ? Kind::kShop : Kind::kEvent;
}

std::vector<Subject> draw_subjects(const Writer& writer, Kind kind, size_t count) {
  std::vector<Subject> out;
  while (out.size() < count) {
    Subject next =
        kind == Kind::kPerson ? writer.somebody() : named_subject("the " + writer.word(list_of(kind)), Gender::kNone);
    const bool is_new =
        std::none_of(out.begin(), out.end(), [&](const Subject& other) { return other.name == next.name; });
    if (is_new) out.push_back(std::move(next));
  }
  return out;
}

World draw_world(const Writer& writer, Kind kind, std::vector<Subject> subjects, size_t facts) {
  Dice& dice = writer.dice();
  World world{kind, std::move(subjects), {}};
  std::vector<std::string> relations = relations_of(writer.tables(), kind);
  // Something is left to be asked that nobody tells.
  facts = std::min(facts, relations.size() * world.subjects.size() - 1);
  dice.shuffle(relations);
  relations.resize(std::min(relations.size(), 1 + (facts + 1) / std::max<size_t>(1, world.subjects.size())));
  std::string k;
  for (size_t tries = 0; tries < 12 * facts && world.facts.size() < facts; ++tries) {
    // Everybody in turn, so that nobody is without a fact.
    Fact fact = draw_fact(writer, dice.pick(relations), world.facts.size() % world.subjects.size());
    // Of Mira the dog's name, of Bram the dog's too: what a reader has to tell apart.
    if (!fact.k.empty() && !k.empty() && dice.chance(0.5)) {
      const Fact* same = nullptr;
      for (const Fact& other : world.facts) same = other.relation == fact.relation ? &other : same;
      if (same != nullptr) {
        fact.k = same->k;
        fact.v = draw_value(writer, fact.relation, fact.k);
      }
    }
    k = fact.k.empty() ? k : fact.k;
    if (fits(world, fact)) world.facts.push_back(std::move(fact));
  }
  dice.shuffle(world.facts);
  return world;
}

Fact draw_untold(const Writer& writer, const World& world) {
  Dice& dice = writer.dice();
  const std::vector<std::string> relations = relations_of(writer.tables(), world.kind);
  for (;;) {
    const size_t subject = dice.below(world.subjects.size());
    const bool as_another = dice.chance(0.45);
    Fact fact = as_another ? dice.pick(world.facts) : draw_fact(writer, dice.pick(relations), subject);
    fact.subject = subject;
    const bool told = std::any_of(world.facts.begin(), world.facts.end(), [&](const Fact& other) {
      return other.subject == subject && is_same_question(fact, other);
    });
    if (!told) return fact;
  }
}

std::string draw_other_value(const Writer& writer, const World& world, const Fact& fact) {
  for (const Fact& other : world.facts) {  // another's is the best lie
    if (other.subject != fact.subject && is_same_question(fact, other) && writer.dice().chance(0.5)) return other.v;
  }
  for (;;) {
    std::string value = draw_value(writer, fact.relation, fact.k);
    if (value != fact.v) return value;
  }
}

std::string phrase(const Writer& writer, const Fact& fact, const Subject& subject, std::string_view form) {
  const Slots slots{&subject, {{"K", fact.k}, {"V", fact.v}}};
  return writer.draw(format("{}.{}", fact.relation, form), slots);
}

std::string plain_phrase(const Writer& writer, const Fact& fact, const Subject& subject, std::string_view form) {
  const Slots slots{&subject, {{"K", fact.k}, {"V", fact.v}}};
  return writer.draw_plain(format("{}.{}", fact.relation, form), slots);
}

std::string tell(const Writer& writer, const World& world) {
  Dice& dice = writer.dice();
  std::vector<Fact> facts = world.facts;
  if (dice.chance(0.5)) {
    dice.shuffle(facts);
  } else {
    std::stable_sort(facts.begin(), facts.end(), [](const Fact& a, const Fact& b) { return a.subject < b.subject; });
  }
  std::string out;
  const Fact* before = nullptr;
  bool is_plain = false;  // the sentence before: nothing is around it, nothing joined to it
  for (const Fact& fact : facts) {
    const Subject& subject = world.subjects[fact.subject];
    const bool again = before != nullptr && before->subject == fact.subject && !names_a_person(*before);
    const bool pronoun = again && subject.person == Subject::Person::kOther && dice.chance(0.6);
    const Subject shown = pronoun ? by_pronoun(subject) : subject;
    std::string sentence = phrase(writer, fact, shown, "say");
    const bool joined = pronoun && is_plain && sentence.starts_with(shown.name + " ") && dice.chance(0.3);
    if (joined) {
      out.replace(out.size() - 1, 1, dice.chance(0.5) ? ", and " : " and ");
      out += sentence;
    } else {
      if (!out.empty()) out += ' ';
      if (dice.chance(0.12)) out += writer.sentence("reading.filler") + " ";
      const std::string whole = framed(writer, sentence, shown, fact);
      is_plain = whole == capitalised(sentence);
      out += whole;
    }
    is_plain = is_plain && !joined;
    before = &fact;
  }
  if (dice.chance(0.08)) out += " " + writer.sentence("reading.filler");
  return out;
}

std::vector<std::string> tell_each(const Writer& writer, const World& world) {
  std::vector<std::string> out;
  for (const Fact& fact : world.facts) {
    const Subject& subject = world.subjects[fact.subject];
    out.push_back(framed(writer, phrase(writer, fact, subject, "say"), subject, fact));
  }
  return out;
}

}  // namespace andiron::ember
