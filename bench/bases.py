#!/usr/bin/env python3
"""What the number format of the base costs a LoRA: memory, time and held-out loss, the rest being equal.

Makes a GGUF of every type from one model, trains an adapter on each with the same data, seed and steps, one after the
other, and prints a Markdown table: the size of the file, the most memory the whole process held, its processor time
(of all threads, measuring included), the tokens/s of the fastest step, and the held-out loss before and after; what else
the machine does slows the other steps, and the processor time hardly. Says under the table which tensors could not have their type.

    bench/bases.py MODEL DATA [-- OPTION OF ANDIRON LEARN ...]
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
GIB = 2**30


def run(command):
    """The output, the notes and what a process of its own used."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as notes:
        process = subprocess.Popen(command, stdout=out, stderr=notes)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), notes.seek(0)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{notes.read()[-2000:]}")
        return out.read(), notes.read(), usage


def size_text(size):
    return f"{size / 2**20:.1f} MiB" if size < GIB else f"{size / GIB:.2f} GiB"


def measure(arguments, kind, folder):
    base, out = os.path.join(folder, kind + ".gguf"), os.path.join(folder, kind)
    _, notes, _ = run([arguments.andiron, "quantize", arguments.model, base, "--type", kind])
    text, _, usage = run([arguments.andiron, "--no-cache", "--threads", arguments.threads, "learn", base,
                           arguments.data, "--out", out, "--json", *arguments.options])
    record = json.loads(text)
    with open(os.path.join(out, "loss.csv"), encoding="utf-8") as file:
        speeds = [float(row["tokens_per_s"]) for row in csv.DictReader(file)]
    return {
        "kind": kind, "file": os.path.getsize(base), "memory": usage.ru_maxrss * 1024,
        "seconds": usage.ru_utime + usage.ru_stime, "speed": max(speeds),
        "before": record["before"]["held_out_loss"], "after": record["after"]["held_out_loss"],
        "notes": [line.removeprefix("note: ") for line in notes.splitlines() if line.startswith("note: ")],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a float model: a .gguf or a Hugging Face folder")
    parser.add_argument("data")
    parser.add_argument("--types", default="f16,q8_0,q4_K_M,q4_0")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--andiron", default=os.path.join(ROOT, "build", "release", "andiron"))
    mine = sys.argv[1:sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    arguments = parser.parse_args(mine)
    arguments.options = sys.argv[len(mine) + 2:]
    print("| base | file | peak memory | processor time | tokens/s | held-out loss before | after |\n"
          "|---|---:|---:|---:|---:|---:|---:|")
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in arguments.types.split(","):
            row = measure(arguments, kind, folder)
            notes += [f"{kind}: {note}" for note in row["notes"]]
            print(f"| {kind} | {size_text(row['file'])} | {size_text(row['memory'])} | {row['seconds']:.1f} s | "
                  f"{row['speed']:.0f} | {row['before']:.4f} | {row['after']:.4f} |", flush=True)
    print("".join(f"\n{note}" for note in notes))


if __name__ == "__main__":
    main()
