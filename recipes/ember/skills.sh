#!/bin/sh
# Measures a model on every skill of the recipe: recipes/ember/skills.sh MODEL [DATA [EVAL OPTION...]]
# DATA is the folder that make.sh fills (default: build/ember/data). Prints a table in Markdown.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
andiron=${ANDIRON:-$root/build/release/andiron}
[ $# -gt 0 ] || { echo "usage: $0 MODEL [DATA [EVAL OPTION...]]" >&2; exit 2; }
model=$1
data=${2:-$root/build/ember/data}
[ $# -lt 2 ] && shift || shift 2

# What the program that writes the rows says of each: skill, metric.
"${EMBER_DATA:-$root/build/release/ember_data}" --list | {
  echo "| skill | metric | rows | accuracy | loss |"
  echo "|---|---|---:|---:|---:|"
  while read -r skill metric; do
    rows=$data/test/$skill.jsonl
    [ -f "$rows" ] || continue
    result=$("$andiron" eval "$model" --data "$rows" --metric "$metric" --seq-len 1024 --tokens 200 --quiet --json "$@")
    value() { printf '%s' "$result" | grep -o "\"$1\": *[-0-9.e+]*" | head -n 1 | grep -o '[-0-9.e+]*$'; }
    printf '| %s | %s | %s | %s | %s |\n' "$skill" "$metric" "$(value rows)" \
      "$(value accuracy | awk '{printf "%.1f%%", 100 * $1}')" "$(value loss | awk '{printf "%.3f", $1}')"
  done
}
