#!/bin/sh
# Builds the fuzz targets and runs each for so many seconds over its corpus: fuzz/run.sh SECONDS [NAME...]
# What they find is in build/fuzz/findings, what they learn in build/fuzz/corpus. Fails on any finding: a crash, a
# sanitizer's report, an input that takes more than 5 s or a single allocation above 128 MiB.
#   SEED=N   the order in which inputs are tried, to try the same again (default: another every time)
set -eu
cd "$(dirname "$0")/.."
seconds=${1:?usage: fuzz/run.sh SECONDS [NAME...]}
shift
[ $# -gt 0 ] || set -- $(cd fuzz && ls *_fuzz.cpp | sed 's/_fuzz\.cpp$//')
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target $(printf '%s_fuzz ' "$@")
mkdir -p build/fuzz/findings
failed=
for name; do
  mkdir -p "build/fuzz/corpus/$name" "fuzz/corpus/$name"
  log=build/fuzz/findings/$name.log
  if "build/fuzz/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=128 \
      -max_len=65536 -seed="${SEED:-0}" -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name-" \
      "build/fuzz/corpus/$name" "fuzz/corpus/$name" >"$log" 2>&1; then
    echo "$name: $(sed -n 's/.*number_of_executed_units: *//p' "$log") inputs, no finding"
  else
    tail -n 30 "$log"
    echo "$name: FOUND SOMETHING; see $log and build/fuzz/findings/$name-*"
    failed=1
  fi
done
[ -z "$failed" ]
