#!/usr/bin/env python3
"""What prompt lookup gains on a prompt that asks for its own text back, corrected.

Makes a model that recites (andiron synth SHAPE --recite), lets it recite, spoils every tenth word, and measures greedy
decoding of the correct text after the spoiled one, with --lookup and without, interleaved. The tokens must be the same.
Prints the medians, their ratio, and the least and greatest ratio of a round.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))


def run(andiron, model, prompt, tokens, *options):
    command = [andiron, "run", model, "-p", prompt, "-n", str(tokens), "--greedy", "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="tinyllama-1.1b")
    parser.add_argument("--type", default="q4_0")
    parser.add_argument("--words", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--andiron", default=os.path.join(ROOT, "build", "release", "andiron"))
    parser.add_argument("--model", default=None, help="a model made earlier by synth --recite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or os.path.join(folder, "recite.gguf")
        if arguments.model is None:
            subprocess.run([arguments.andiron, "-q", "synth", arguments.shape, model, "--type", arguments.type,
                            "--recite"], check=True)
        options = ("--threads", arguments.threads)
        words = run(arguments.andiron, model, "baba", arguments.words, *options)["text"].split()
        spoiled = [words[(7 * i) % len(words)] if i % 10 == 9 else word for i, word in enumerate(words)]
        prompt = " ".join(spoiled) + " baba"
        plain, guessed, ratios = [], [], []
        for _ in range(arguments.rounds):
            a = run(arguments.andiron, model, prompt, arguments.words, *options)
            b = run(arguments.andiron, model, prompt, arguments.words, "--lookup", *options)
            if a["ids"] != b["ids"]:
                sys.exit("lookup changed the tokens")
            plain.append(a["timings"]["decode_tokens_per_s"])
            guessed.append(b["timings"]["decode_tokens_per_s"])
            ratios.append(guessed[-1] / plain[-1])
    print(f"{arguments.shape} {arguments.type}, {len(words)} words, every tenth spoiled: plain "
          f"{statistics.median(plain):.1f} tokens/s, with --lookup {statistics.median(guessed):.1f}, ratio "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), same tokens")


if __name__ == "__main__":
    main()
