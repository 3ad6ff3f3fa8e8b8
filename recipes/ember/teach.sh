#!/bin/sh
# Teaches a model about somebody and shows what came of it: recipes/ember/teach.sh MODEL [OUT [DATA]]
# Asks ten questions about about-me.md in other words than its own, learns the document for at most two minutes on two
# threads, asks the same ten, and measures every skill without what was learned and with it. Prints how many were answered
# (and how many the model had asked itself in the very words while it studied), what was answered, and the skills.
#   OUT     folder of what is made (default: build/ember/taught; what an earlier run left there is replaced)
#   DATA    the folder that make.sh fills, for the skills (default: build/ember/data; "none": skills are not measured)
#   LEARN   further options of `andiron learn`
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/recipes/ember
andiron=${ANDIRON:-$root/build/release/andiron}
[ $# -gt 0 ] || { echo "usage: $0 MODEL [OUT [DATA]]" >&2; exit 2; }
model=$1
out=${2:-$root/build/ember/taught}
data=${3:-$root/build/ember/data}

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
questions=$here/about-me.questions.jsonl
# asked NAME [EVAL OPTION...]: how many of the ten are answered, from the JSON of eval, which is kept in OUT beside the
# answers.
asked() {
  json=$out/$1.json answers=$out/$1.answers
  shift
  "$andiron" eval "$model" --data "$questions" --metric contains --tokens 60 --no-base -q --json --answers "$answers" \
    "$@" >"$json"
  grep -o '"right": *[0-9][0-9]*' "$json" | head -n 1 | grep -o '[0-9]*$' || fail "$json: eval counted no right answers"
}

# Before two minutes of learning.
[ "$data" = none ] || [ -d "$data/test" ] || fail "$data: no test rows are there; make.sh makes them, or say none"
mkdir -p "$out"
rm -rf "$out/adapter"
before=$(asked before)
say "before: $before of 10"
begun=$(date +%s)
# shellcheck disable=SC2086
"$andiron" learn "$model" "$here/about-me.md" --out "$out/adapter" --budget 2m --threads 2 ${LEARN-} >"$out/learn.txt"
seconds=$(($(date +%s) - begun))
after=$(asked after --adapter "$out/adapter")
sed 's/.*"user", "content": "\([^"]*\)".*/\1/' "$questions" >"$out/questions.txt"
known=0
while read -r question; do
  ! grep -qiF "\"$question\"" "$out/adapter/study.jsonl" 2>/dev/null || known=$((known + 1))
done <"$out/questions.txt"

printf '| | right of 10 |\n|---|---:|\n| before | %s |\n| after %s s of learning | %s |\n' "$before" "$seconds" "$after"
printf '| of the ten, asked itself in the same words | %s |\n' "$known"

# What each of ten was answered, as the lines of eval have it; * where that is wrong.
given() { sed -n 's/.*"given": "\(.*\)", "right": true}$/\1/p; s/.*"given": "\(.*\)", "right": false}$/\1 */p' "$1"; }
given "$out/before.answers" >"$out/before.txt"
given "$out/after.answers" >"$out/after.txt"
printf '\n| asked (* not right) | before | after |\n|---|---|---|\n'
paste -d '|' "$out/questions.txt" "$out/before.txt" "$out/after.txt" | sed 's/|/ | /g; s/^/| /; s/$/ |/'
[ "$data" != none ] || exit 0
# Without the other model, which is only a mark that this table does not show.
REFERENCE='' "$here/skills.sh" "$model" "$data" >"$out/skills-before.md"
"$here/skills.sh" "$model" "$data" --adapter "$out/adapter" --no-base >"$out/skills-after.md"

echo
"$here/beside.sh" "$out/skills-before.md" "$out/skills-after.md"
