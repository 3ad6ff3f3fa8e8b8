#!/bin/sh
# Measures a model on every skill of the recipe: recipes/ember/skills.sh MODEL [DATA [EVAL OPTION...]]
# DATA is the folder that make.sh fills (default: build/ember/data). Prints a table in Markdown: beside what the model
# reaches its mark, what it is to reach; of story texts that is what another model of stories has. Below it stands what
# was measured. With options of eval the other model and the list of what was measured are left out.
#   REFERENCE=FOLDER   the other model (default ../shared/data/models/tinystories-656k; empty: none)
#   TEST_ROWS=500      rows that the data has of each skill
#   ANDIRON=FILE EMBER_DATA=FILE   the programs (default: those of build/release)
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
andiron=${ANDIRON:-$root/build/release/andiron}
ember_data=${EMBER_DATA:-$root/build/release/ember_data}
fail() { echo "$0: $*" >&2; exit 1; }
[ $# -gt 0 ] || { echo "usage: $0 MODEL [DATA [EVAL OPTION...]]" >&2; exit 2; }
model=$1
data=${2:-$root/build/ember/data}
shift
[ $# -eq 0 ] || shift
wanted=${TEST_ROWS:-500}
texts=$data/test/texts.jsonl

# What the program that writes the rows says of each: skill, metric, mark or -, rows at least (all: as many as asked for).
skills=$("$ember_data" --list) || fail "$ember_data --list failed"
[ -n "$skills" ] || fail "$ember_data --list names no skill"
# All before the first is measured.
while read -r skill metric mark least; do
  file=$data/test/$skill.jsonl
  [ -f "$file" ] || fail "$file: there are no such rows; make.sh makes them"
  rows=$(wc -l <"$file")
  [ "$least" != all ] && [ "$least" -lt "$wanted" ] || least=$wanted
  [ "$rows" -ge "$least" ] || fail "$file: expected $least rows and found $rows; say TEST_ROWS=$rows if so few were made"
done <<END
$skills
END
[ -f "$texts" ] || fail "$texts: there are no such rows; make.sh makes them"

# number NAME JSON: the first member of that name.
number() {
  printf '%s' "$2" | grep -o "\"$1\": *[-0-9.e+]*" | head -n 1 | grep -o '[-0-9.e+]*$' ||
    fail "eval told no $1: $2"
}
# Bytes and words of the first so many lines {"text": ...}.
size_of() {
  head -n "$2" "$1" | LC_ALL=C awk '
    { sub(/^\{"text": "/, ""); sub(/"\}$/, ""); gsub(/\\[\\"\/]/, "x"); gsub(/\\[nrt]/, " ")
      bytes += length($0); words += NF }
    END { print bytes, words }'
}
# read_texts MODEL FILE [EVAL OPTION...]: rows, loss, nats per byte and perplexity per word. Bytes and words are those of
# the rows as they were written, whatever form of them the model reads, so that models with other tokens compare.
read_texts() {
  reader=$1 file=$2
  shift 2
  result=$("$andiron" eval "$reader" --data "$file" --everything --split-long --quiet --json "$@")
  rows=$(number rows "$result")
  loss=$(number loss "$result")
  tokens=$(number tokens "$result")
  size_of "$texts" "$rows" | awk -v rows="$rows" -v loss="$loss" -v tokens="$tokens" '
    { printf "%d %.3f %.3f %.1f\n", rows, loss, loss * tokens / $1, exp(loss * tokens / $2) }'
}

# The other model, TinyStories-656K, begins a story with <|start_story|>, which eval puts there since its tokenizer says
# so, and has capital letters and single line ends between paragraphs. Of the forms that were tried this one is best for
# it (in all 151,600 nats for the stories of seed 1): paragraphs kept apart by an empty line cost it 157,400, all on one
# line 153,300, lower case 201,500, the token's name written out once more 155,300.
reference=${REFERENCE-$root/../shared/data/models/tinystories-656k}
byte_mark=- word_mark=-
if [ $# -eq 0 ] && [ -n "$reference" ]; then
  [ -e "$reference" ] || fail "$reference: this model is not there; name another, or none, with REFERENCE=FOLDER"
  form=$(mktemp)
  trap 'rm -f "$form"' EXIT
  sed -E 's/ *(\\n)+/\\n/g' "$texts" >"$form"
  measured=$(read_texts "$reference" "$form")
  read -r rows loss byte_mark word_mark <<END
$measured
END
  byte_mark="< $byte_mark" word_mark="< $word_mark"
fi

echo "| skill | metric | rows | result | mark | loss |"
echo "|---|---|---:|---:|---:|---:|"
while read -r skill metric mark least; do
  result=$("$andiron" eval "$model" --data "$data/test/$skill.jsonl" --metric "$metric" --seq-len 1024 --tokens 200 \
    --quiet --json "$@" </dev/null)
  rows=$(number rows "$result")
  loss=$(number loss "$result" | awk '{ printf "%.3f", $1 }')
  accuracy=$(number accuracy "$result")
  shown=-
  [ "$metric" = loss ] || shown=$(awk -v x="$accuracy" 'BEGIN { printf "%.1f%%", 100 * x }')
  [ "$mark" = - ] || mark=$mark%
  printf '| %s | %s | %s | %s | %s | %s |\n' "$skill" "$metric" "$rows" "$shown" "$mark" "$loss"
done <<END
$skills
END
measured=$(read_texts "$model" "$texts" "$@")
read -r rows loss per_byte per_word <<END
$measured
END
printf '| story text | nats per byte | %s | %s | %s | %s |\n' "$rows" "$per_byte" "$byte_mark" "$loss"
printf '| story words | perplexity per word | %s | %s | %s | %s |\n' "$rows" "$per_word" "$word_mark" "$loss"
[ $# -eq 0 ] || exit 0

hash_of() { sha256sum <"$1" | cut -c 1-16; }
echo
echo "Measured with $("$andiron" --version), \`andiron eval MODEL --data FILE --metric METRIC --seq-len 1024 --tokens 200\`"
echo "(story text and words: \`--everything --split-long\`), of SHA-256:"
echo
[ -d "$model" ] || [ ! -f "$model" ] || echo "- model: $(basename "$model") $(hash_of "$model")"
[ "$byte_mark" = - ] || echo "- mark of the story texts: $(basename "$reference"), of the same stories in the form it was trained on"
for file in "$data"/test/*.jsonl; do echo "- rows: $(basename "$file") $(hash_of "$file")"; done
