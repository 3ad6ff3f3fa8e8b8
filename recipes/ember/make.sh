#!/bin/sh
# Makes ember again from its data: recipes/ember/make.sh [FOLDER] (default: build/ember). Every stage is skipped where
# what it makes is there and whole, so the script may be ended and started again at any time. All seeds are fixed.
#   STORIES=FILE   short stories in lower case, one a line (TinyStories; default ../shared/data/text/tinystories.txt)
#   P3=FILE        gzipped rows of other tasks to train on as they are (default: none, for their licences vary)
#   ROWS=300000    training rows to write
#   FRESH=12000    rows from which preferences are made
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/recipes/ember
out=${1:-$root/build/ember}
stories=${STORIES-$root/../shared/data/text/tinystories.txt}
p3=${P3-}
rows=${ROWS:-300000}
fresh=${FRESH:-12000}
andiron=$root/build/release/andiron
ember_data=$root/build/release/ember_data

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
# A stage whose mark is there is done: the mark is made last.
stage() {
  name=$1
  shift
  [ -f "$out/$name.done" ] && { say "$name: done before"; return 0; }
  say "$name"
  "$@"
  : >"$out/$name.done"
}

build() {
  [ -f "$root/build/release/build.ninja" ] || (cd "$root" && cmake --preset release >/dev/null)
  cmake --build "$root/build/release" --target andiron ember_data >/dev/null
}

data() {
  [ -f "$stories" ] || { say "$stories: no stories are there; name the file with STORIES=FILE"; return 1; }
  "$ember_data" --out "$out/data" --rows "$rows" --seed 1 --tables "$here/tables" --stories "$stories"
  rm -f "$out/data/train/p3.jsonl"
  if [ -n "$p3" ]; then gzip -dc "$p3" >"$out/data/train/p3.jsonl"; fi
}

tokenizer() {
  "$andiron" tokenizer train "$out/data/train" --out "$out/tokenizer.json" --vocab 4096 --pre qwen2 \
    --special "<|begin|>" --special "<|end|>" --special "<|system|>" --special "<|user|>" \
    --special "<|assistant|>" --special "<|pad|>" --bos "<|begin|>" --eos "<|end|>" --pad "<|pad|>" \
    --chat-template "$here/template.jinja"
}

pretrain() {
  cp "$here/ember.toml" "$out/ember.toml"
  # A run that was ended goes on where its last checkpoint is.
  resume=
  [ ! -f "$out/run/run.json" ] || resume=--resume
  "$andiron" pretrain "$out/ember.toml" "$out/data/train" --out "$out/run" $resume
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
  done
}

prefer() {
  resume=
  [ ! -f "$out/prefer/run.json" ] || resume=--resume
  "$andiron" learn "$out/run/model.gguf" "$out"/pairs/*.jsonl --method full --loss dpo --lr 5e-6 --epochs 1 \
    --seq-len 512 --seed 1 --out "$out/prefer" $resume
}

quantize() { "$andiron" quantize "$out/prefer/model.gguf" "$out/ember.gguf" --type Q8_0; }

measure() {
  "$here/skills.sh" "$out/ember.gguf" "$out/data" >"$out/skills.md.part"
  mv "$out/skills.md.part" "$out/skills.md"
  cat "$out/skills.md"
}

build
mkdir -p "$out"
stage data data
stage tokenizer tokenizer
stage pretrain pretrain
stage preferences preferences
stage prefer prefer
stage quantize quantize
stage measure measure
say "ember: $out/ember.gguf"
