#!/bin/sh
# Makes ember again from its data: recipes/ember/make.sh [FOLDER] (default: build/ember). All seeds are fixed. The script
# may be ended at any moment and started again. A stage is skipped where it was made whole from the same files, variables
# and commands; otherwise it is made again, and what it makes differs for the stages after it. What stood there is kept
# beside it as NAME.before. (The program andiron is not among what is compared: a newer one need not train again.)
#   STORIES=FILE   stories in lower case, each after a line end, its paragraphs divided by empty lines: some MB of
#                  TinyStories (Eldan and Li 2023, arXiv 2305.07759; the dataset roneneldan/TinyStories,
#                  CDLA-Sharing-1.0; default ../shared/data/text/tinystories.txt)
#   P3=FILE        gzipped rows of other tasks to train on as they are (default: none, for their licences vary)
#   ROWS=300000    training rows to write
#   FRESH=12000    rows from which preferences are made
#   REFERENCE=FOLDER   the model beside which ember's stories are measured in the last stage: TinyStories-656K
#                  (raincandy-u/TinyStories-656K, Apache-2.0; default ../shared/data/models/tinystories-656k), or
#                  nothing for none
#   ANDIRON=FILE EMBER_DATA=FILE   the programs (default: those of build/release, which are built first)
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
here=$(dirname "$script")
root=$(cd "$here/../.." && pwd)
out=${1:-$root/build/ember}
stories=${STORIES-$root/../shared/data/text/tinystories.txt}
p3=${P3-}
rows=${ROWS:-300000}
fresh=${FRESH:-12000}
reference=${REFERENCE-$root/../shared/data/models/tinystories-656k}
is_built=${ANDIRON:+${EMBER_DATA:+yes}}
andiron=${ANDIRON:-$root/build/release/andiron}
ember_data=${EMBER_DATA:-$root/build/release/ember_data}
export ANDIRON="$andiron" EMBER_DATA="$ember_data" REFERENCE="$reference"

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
fail() { say "$*"; exit 1; }

# What a stage is made from, as one hash: its commands in this script, a line of variables, and files (those of a folder
# too) by content and name, wherever they lie.
hash_of() {
  commands=$(sed -n "/^$1() {/,/^}/p" "$script")
  [ -n "$commands" ] || fail "$1: no such stage"
  variables=$2
  shift 2
  for input in "$@"; do [ -e "$input" ] || fail "$input: expected by a stage, and not there"; done
  contents=$(find "$@" -type f -exec sha256sum {} + | sed 's,  .*/,  ,' | LC_ALL=C sort)
  printf '%s\n' "$commands" "$variables" "$contents" | sha256sum | cut -d ' ' -f 1
}

write_mark() {
  printf '%s\n' "$2" >"$1.part"
  mv "$1.part" "$1"
}

# stage NAME OUTPUT VARIABLES INPUT...: OUTPUT is there when the stage is done; all that the stage can go on with after it
# was ended is OUTPUT or in the folder of OUTPUT. NAME.done has the hash of what OUTPUT was made from and is written last;
# NAME.begun has that of what it is being made from, so that a run goes on only with what it began with.
stage() {
  name=$1
  output=$out/$2
  made=$out/${2%%/*}
  hash=$(shift 2 && hash_of "$name" "$@")
  if [ -e "$output" ] && [ "$(cat "$out/$name.done" 2>/dev/null)" = "$hash" ]; then
    say "$name: done before"
    return 0
  fi
  rm -f "$out/$name.done"
  if [ "$(cat "$out/$name.begun" 2>/dev/null)" != "$hash" ]; then
    if [ -e "$made" ]; then
      rm -rf "$made.before"
      mv "$made" "$made.before"
    fi
    write_mark "$out/$name.begun" "$hash"
  fi
  say "$name"
  "$name"
  [ -e "$output" ] || fail "$name: ended without $output"
  write_mark "$out/$name.done" "$hash"
}

# Quiet where it succeeds.
build() {
  log=$out/build.log
  if { [ -f "$root/build/release/build.ninja" ] || (cd "$root" && cmake --preset release); } >"$log" 2>&1 &&
    cmake --build "$root/build/release" --target andiron ember_data >>"$log" 2>&1; then
    return 0
  fi
  cat "$log" >&2
  fail "the programs could not be built"
}

data() {
  "$ember_data" --out "$out/data" --rows "$rows" --seed 1 --tables "$here/tables" --stories "$stories"
  rm -f "$out/data/train/p3.jsonl"
  if [ -n "$p3" ]; then gzip -dc "$p3" >"$out/data/train/p3.jsonl"; fi
}

tokenizer() {
  # Words as the template shows them: behind a space also where a message or a line begins.
  rm -rf "$out/words"
  mkdir "$out/words"
  for rows in "$out"/data/train/*.jsonl; do
    sed 's/"content": "/& /g; s/\\n/& /g' "$rows" >"$out/words/${rows##*/}"
  done
  "$andiron" tokenizer train "$out/words" --out "$out/tokenizer.json" --force --vocab 4096 --pre qwen2 \
    --special "<|begin|>" --special "<|end|>" --special "<|system|>" --special "<|user|>" \
    --special "<|assistant|>" --special "<|pad|>" --bos "<|begin|>" --eos "<|end|>" --pad "<|pad|>" \
    --chat-template "$here/template.jinja"
  rm -rf "$out/words"
}

pretrain() {
  cp "$here/ember.toml" "$out/ember.toml"
  # A run that was ended goes on where its last checkpoint is.
  resume=
  [ ! -f "$out/run/run.json" ] || resume=--resume
  "$andiron" pretrain "$out/ember.toml" "$out/data/train" --out "$out/run" $resume
}

# Rows of every skill that it has not seen, for `andiron learn` to hold on to.
general() {
  # What it knows and what it does not is what learning moves most.
  for part in facts:60 yesno:30 json:15 words:20 arithmetic:15 calendar:15 sentiment:15 persona:30; do
    head -n "${part#*:}" "$out/fresh/train/${part%:*}.jsonl"
  done >"$out/ember.general.jsonl"
  # Of a text only: "Where do I live?", of which nobody has told, is what somebody may want to teach.
  grep 'The text does not say' "$out/fresh/train/unknown.jsonl" | head -n 100 >>"$out/ember.general.jsonl"
}

# The model answers rows that it has not seen; what it got wrong, beside what is right, are preferences.
preferences() {
  "$ember_data" --out "$out/fresh" --rows "$fresh" --test-rows 1 --seed 2 --tables "$here/tables" --stories "$stories"
  rm -rf "$out/pairs"
  mkdir -p "$out/pairs"
  for skill in facts unknown yesno json words arithmetic calendar sentiment persona; do
    "$andiron" eval "$out/run/model.gguf" --data "$out/fresh/train/$skill.jsonl" --metric exact --seq-len 1024 \
      --tokens 100 --answers "$out/pairs/$skill.answers" --quiet
    "$ember_data" --prefer "$out/fresh/train/$skill.jsonl" "$out/pairs/$skill.answers" --out "$out/pairs/$skill.jsonl"
    # Nothing wrong, no pairs.
    [ -s "$out/pairs/$skill.jsonl" ] || rm "$out/pairs/$skill.jsonl"
  done
}

# Where the model got nothing wrong there is nothing to prefer.
prefer() {
  set -- "$out"/pairs/*.jsonl
  if [ ! -e "$1" ]; then
    say "prefer: there are no pairs, so the model stays the pretrained one"
    mkdir -p "$out/prefer"
    cp "$out/run/model.gguf" "$out/prefer/model.gguf"
    return 0
  fi
  resume=
  [ ! -f "$out/prefer/run.json" ] || resume=--resume
  "$andiron" learn "$out/run/model.gguf" "$@" --loss dpo --epochs 1 --seq-len 512 --seed 1 \
    --out "$out/prefer" $resume
  rm -f "$out/prefer/model.gguf"
  "$andiron" adapters merge "$out/prefer" --into "$out/run/model.gguf" --out "$out/prefer/model.gguf" --quiet
}

quantize() {
  "$andiron" quantize "$out/prefer/model.gguf" "$out/ember.gguf" --type Q8_0
}

# What ships, and beside it the float model that it was quantised from.
measure() {
  "$here/skills.sh" "$out/ember.gguf" "$out/data" >"$out/skills.md.part"
  REFERENCE='' "$here/skills.sh" "$out/prefer/model.gguf" "$out/data" >"$out/skills-f32.md"
  beside=$("$here/beside.sh" "$out/skills-f32.md" "$out/skills.md.part" F32 Q8_0)
  printf '\n%s\n' "$beside" >>"$out/skills.md.part"
  mv "$out/skills.md.part" "$out/skills.md"
  cat "$out/skills.md"
}

[ -f "$stories" ] || fail "$stories: no stories are there; name a file of TinyStories with STORIES=FILE"
[ -z "$p3" ] || [ -f "$p3" ] || fail "$p3: P3 names no file"
[ -z "$reference" ] || [ -e "$reference" ] ||
  fail "$reference: the model to measure stories beside is not there; name it, or none, with REFERENCE=FOLDER"
mkdir -p "$out"
[ -n "$is_built" ] || build
stage data data "$rows" "$ember_data" "$here/tables" "$stories" ${p3:+"$p3"}
stage tokenizer tokenizer.json "" "$out/data/train" "$here/template.jinja"
stage pretrain run/model.gguf "" "$here/ember.toml" "$out/tokenizer.json" "$out/data/train"
stage preferences pairs "$fresh" "$out/run/model.gguf" "$ember_data" "$here/tables" "$stories"
stage general ember.general.jsonl "" "$out/fresh/train"
stage prefer prefer/model.gguf "" "$out/run/model.gguf" "$out/pairs"
stage quantize ember.gguf "" "$out/prefer/model.gguf"
stage measure skills.md "" "$out/ember.gguf" "$out/prefer/model.gguf" "$out/data/test" "$here/skills.sh" \
  "$here/beside.sh" ${reference:+"$reference"}
say "ember: $out/ember.gguf"
