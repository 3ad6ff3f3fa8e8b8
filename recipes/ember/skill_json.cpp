// Rows that put what a sentence says into a JSON object of a given shape.
#include <array>

#include "base/json.h"
#include "base/strings.h"
#include "skills.h"

namespace andiron::ember {

namespace {

enum Field { kName, kNumber, kDate, kPlace };
constexpr std::array<const char*, 4> kKeyRules = {"json.name_key", "json.number_key", "json.date_key",
                                                  "json.place_key"};

// What a sentence says of each field; empty: nothing.
using Values = std::array<std::string, 4>;

std::string draw_date(const Writer& writer) {
  const std::string day = writer.expand("{#1-28}"), month = writer.word("month"), year = writer.expand("{#1950-2049}");
  switch (writer.dice().below(6)) {
    case 0: return format("{} {}", month, day);
    case 1: return format("{} {} {}", day, month, year);
    case 2: return format("{} {}, {}", month, day, year);
    case 3: return writer.word("day");
    case 4: {
      const int number = writer.dice().between(1, 12);
      return format("{}-{:02}-{:02}", year, number, writer.number(1, 28));
    }
    default: return format("{} {}", day, month);
  }
}

Values draw_values(const Writer& writer) {
  Dice& dice = writer.dice();
  Values out;
  constexpr double kMissing = 0.18;
  if (!dice.chance(kMissing)) {
    out[kName] = writer.somebody().name;
    if (dice.chance(0.25)) out[kName] += " " + writer.invented_name();
  }
  if (!dice.chance(kMissing)) out[kNumber] = writer.expand(dice.chance(0.7) ? "{#2-99}" : "{#100-999}");
  if (!dice.chance(kMissing)) out[kDate] = draw_date(writer);
  if (!dice.chance(kMissing)) out[kPlace] = writer.expand(dice.chance(0.8) ? "{town}" : "{country}");
  return out;
}

std::string write_sentence(const Writer& writer, const Values& values) {
  const std::string place = values[kPlace].empty() ? "" : " in " + values[kPlace];
  const std::string date = values[kDate].empty() ? "" : " on " + values[kDate];
  const auto leading = [](const std::string& part) { return part.empty() ? "" : capitalised(part.substr(1)) + ", "; };
  const bool has_number = !values[kNumber].empty();
  Slots slots;
  slots.values = {{"W", values[kName]}, {"NUM", values[kNumber]}, {"P", place},
                  {"D", date},          {"PX", leading(place)},   {"DX", leading(date)}};
  if (values[kName].empty()) return writer.sentence(has_number ? "json.nobody" : "json.nothing", slots);
  slots.values.emplace_back("A", writer.draw(has_number ? "json.act" : "json.plain", slots));
  return writer.sentence("json.full", slots);
}

// "name, number and place" as people say it, or "name, number, place".
std::string list_keys(const Writer& writer, const std::vector<std::string>& keys) {
  const bool with_and = writer.dice().chance(0.5);
  std::string out;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) out += with_and && i + 1 == keys.size() ? " and " : ", ";
    out += keys[i];
  }
  return out;
}

std::string list_shape(const Writer& writer, const std::vector<std::string>& keys, const std::vector<Field>& fields) {
  const int form = writer.dice().between(0, 2);
  std::string out;
  for (size_t i = 0; i < keys.size(); ++i) {
    const char* empty = form == 0 ? "..." : form == 1 ? "null" : fields[i] == kNumber ? "0" : "\"\"";
    out += format("{}\"{}\": {}", i > 0 ? ", " : "", keys[i], empty);
  }
  return "{" + out + "}";
}

std::string answer_of(const Values& values, const std::vector<std::string>& keys, const std::vector<Field>& fields) {
  std::string out;
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string& value = values[fields[i]];
    const std::string shown = value.empty() ? "null" : fields[i] == kNumber ? value : json_quote(value);
    out += format("{}\"{}\": {}", i > 0 ? ", " : "", keys[i], shown);
  }
  return "{" + out + "}";
}

}  // namespace

Conversation json_row(const Desk& desk) {
  const Writer& writer = desk.writer;
  Dice& dice = writer.dice();
  Conversation out;
  const size_t turns = writer.is_test() ? 1 : 2 + dice.below(3);
  for (size_t turn = 0; turn < turns; ++turn) {
    const Values values = draw_values(writer);
    std::vector<Field> fields = {kName, kNumber, kDate, kPlace};
    if (dice.chance(0.5)) dice.shuffle(fields);
    if (dice.chance(0.4)) fields.resize(2 + dice.below(2));
    std::vector<std::string> keys;
    keys.reserve(fields.size());
    const bool usual = dice.chance(0.5);
    for (const Field field : fields) {
      const auto& known = writer.tables().options(kKeyRules[field], writer.part());
      keys.push_back(usual ? known.front() : dice.pick(known));
    }
    std::string text = write_sentence(writer, values);
    if (dice.chance(0.15)) text += " " + writer.sentence("reading.filler");
    if (dice.chance(0.08)) text.insert(0, writer.sentence("reading.filler") + " ");
    out.ask(writer.sentence(
                "fill.ask",
                {nullptr,
                 {{"TEXT", text}, {"KEYS", list_keys(writer, keys)}, {"SHAPE", list_shape(writer, keys, fields)}}}),
            answer_of(values, keys, fields));
  }
  return out;
}

}  // namespace andiron::ember
