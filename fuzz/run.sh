#!/bin/sh
# Builds the fuzz targets and runs each for so many seconds over its corpus: fuzz/run.sh SECONDS [NAME...]
# As many at a time as there are processors. What they find is in build/fuzz/findings, what they learn in
# build/fuzz/corpus. Fails on any finding: a crash, a sanitizer's report, an input that takes more than 10 s (by the clock:
# the targets share the processors with one another) or a single allocation above 128 MiB.
#   SEED=N   the order in which inputs are tried, to try the same again (default: another every time)
set -eu
cd "$(dirname "$0")/.."

# Runs target $1 for $2 seconds; says what came of it.
run_target() {
  mkdir -p "build/fuzz/corpus/$1" "fuzz/corpus/$1"
  log=build/fuzz/findings/$1.log
  if "build/fuzz/fuzz/$1_fuzz" -max_total_time="$2" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=128 \
      -max_len=65536 -seed="${SEED:-0}" -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$1-" \
      "build/fuzz/corpus/$1" "fuzz/corpus/$1" >"$log" 2>&1; then
    echo "$1: $(sed -n 's/.*number_of_executed_units: *//p' "$log") inputs, no finding"
  else
    tail -n 30 "$log"
    echo "$1: FOUND SOMETHING; see $log and build/fuzz/findings/$1-*"
    return 1
  fi
}

if [ "${1:-}" = --target ]; then
  run_target "$3" "$2"
  exit
fi
seconds=${1:?usage: fuzz/run.sh SECONDS [NAME...]}
shift
[ $# -gt 0 ] || set -- $(cd fuzz && ls *_fuzz.cpp | sed 's/_fuzz\.cpp$//')
cmake --preset fuzz >/dev/null
cmake --build build/fuzz --target $(printf '%s_fuzz ' "$@")
mkdir -p build/fuzz/findings
printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" fuzz/run.sh --target "$seconds"
