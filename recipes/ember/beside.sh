#!/bin/sh
# Puts two tables of skills.sh side by side: recipes/ember/beside.sh BEFORE AFTER [NAME NAME]
# Prints in Markdown what each has as a result, under these names (default: before, after), and by how much they differ:
# percentages in points. What has no result is left out.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 BEFORE AFTER [NAME NAME]" >&2; exit 2; }
for table in "$1" "$2"; do
  grep -q '^| skill | ' "$table" || { echo "$0: $table: expected a table of skills.sh" >&2; exit 1; }
done
printf '| skill | %s | %s | difference |\n|---|---:|---:|---:|\n' "${3:-before}" "${4:-after}"
awk -F ' *[|] *' '
  NF < 8 || $2 == "skill" || $2 ~ /^-/ || $5 == "-" { next }
  FNR == NR { before[$2] = $5; next }
  {
    form = $5 ~ /%$/ ? "%+.1f" : "%+.3f"
    printf "| %s | %s | %s | " form " |\n", $2, before[$2], $5, $5 - before[$2]
  }' "$1" "$2"
