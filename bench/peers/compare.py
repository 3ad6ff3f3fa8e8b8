#!/usr/bin/env python3
"""Compares andiron with llama.cpp on the same GGUF files, runs interleaved, and prints a Markdown table.

Each round runs andiron, then llama.cpp (A B, next round B A), both pinned to the same processors, each in a process
of its own. The table gives the median over the rounds of each side's speed and of the rounds' ratios
andiron / llama.cpp, with the least and the greatest ratio: a disturbance that lasts longer than a round hits both
sides, so the ratio is steadier than either speed. Above 1 andiron is faster.

llama.cpp runs with the best of the settings tried before the first round (--tune), weights repacked.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prefill (default 512)")
    parser.add_argument("--generate", type=int, default=128, help="tokens decoded (default 128)")
    parser.add_argument("--cpus", default=None, help="taskset list (default: the first --threads processors)")
    parser.add_argument("--isa", default=None, help="andiron's instruction set (default: its own choice)")
    parser.add_argument("--ubatch", default="128,256,512", help="llama.cpp micro-batches to try (default 128,256,512)")
    parser.add_argument("--no-tune", action="store_true", help="llama.cpp with flash attention and micro-batch 512")
    parser.add_argument("--start", action="store_true",
                        help="also compare what a second start takes to its first token, and peak memory")
    parser.add_argument("--andiron", default=os.path.join(ROOT, "build", "release", "andiron"))
    parser.add_argument("--peer", default=os.path.join(ROOT, "build", "peers", "llama_peer"))
    parser.add_argument("--peer-only", action="store_true", help="llama.cpp alone")
    parser.add_argument("--json", default=None, help="write every run's output to this file")
    arguments = parser.parse_args()
    if arguments.cpus is None:
        arguments.cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0))[: arguments.threads])
    return arguments


def run(cpus, command):
    command = ["taskset", "-c", cpus] + [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def run_start(cpus, command):
    """A process that writes its output when its first token is there: seconds until then, and its peak memory."""
    begin = time.monotonic()
    with subprocess.Popen(["taskset", "-c", cpus] + [str(part) for part in command], stdout=subprocess.PIPE) as process:
        first = process.stdout.read(1)
        seconds = time.monotonic() - begin
        out = json.loads(first + process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}")
    return {"first_token_s": seconds, "peak_rss_bytes": usage.ru_maxrss * 1024, "raw": out}


def median_of(speed):
    """A speed is a number, or an object with its median."""
    return speed["median"] if isinstance(speed, dict) else speed


def tune(arguments, model):
    """The flash attention and micro-batch with which llama.cpp is fastest at prefill; decode hardly depends on them."""
    if arguments.no_tune:
        return {"flash": "on", "ubatch": 512}
    tried = run(arguments.cpus, [arguments.peer, "bench", model, "--threads", arguments.threads, "--prompt",
                                 arguments.prompt, "--generate", 0, "--rounds", 3, "--flash", "on,off", "--ubatch",
                                 arguments.ubatch])["settings"]
    best = max(tried, key=lambda setting: setting["prefill_tokens_per_s"]["max"])
    return {"flash": "on" if best["flash"] else "off", "ubatch": best["ubatch"]}


def run_peer(arguments, model, setting):
    out = run(arguments.cpus, [arguments.peer, "bench", model, "--threads", arguments.threads, "--prompt",
                               arguments.prompt, "--generate", arguments.generate, "--rounds", 3, "--flash",
                               setting["flash"], "--ubatch", setting["ubatch"]])
    speeds = out["settings"][0]
    return {"prefill": median_of(speeds["prefill_tokens_per_s"]), "decode": median_of(speeds["decode_tokens_per_s"]),
            "raw": out}


def run_andiron(arguments, model):
    command = [arguments.andiron, "bench", model, "--json", "--threads", arguments.threads, "--pp", arguments.prompt,
               "--tg", arguments.generate, "--reps", 3]
    if arguments.isa:
        command += ["--isa", arguments.isa]
    out = run(arguments.cpus, command)
    return {"prefill": median_of(out["prefill_tokens_per_s"]), "decode": median_of(out["decode_tokens_per_s"]),
            "raw": out}


def compare_starts(arguments, model):
    """Both sides' starts, with the file in the page cache and andiron's packed weights kept by a start before."""
    command = [arguments.andiron, "run", model, "--quiet", "--json", "--greedy", "--ignore-end", "-n", 1, "--threads",
               arguments.threads, "-p", "once upon a time there was a dog " * 4]
    if arguments.isa:
        command += ["--isa", arguments.isa]
    prompt = run(arguments.cpus, command)["timings"]["prompt_tokens"]
    peer = [arguments.peer, "start", model, "--threads", arguments.threads, "--prompt", prompt]
    ours, theirs = [], []
    for number in range(arguments.rounds):
        sides = [(ours, command), (theirs, peer)]
        for results, side in sides if number % 2 == 0 else reversed(sides):
            results.append(run_start(arguments.cpus, side))
    return {"prompt": prompt, "andiron": ours, "llama.cpp": theirs}


def compare(arguments, model):
    setting = tune(arguments, model)
    ours, theirs = [], []
    for number in range(arguments.rounds):
        sides = [(theirs, lambda: run_peer(arguments, model, setting))]
        if not arguments.peer_only:
            sides.insert(number % 2, (ours, lambda: run_andiron(arguments, model)))
        for results, side in sides:
            results.append(side())
        print(f"{os.path.basename(model)} round {number + 1} of {arguments.rounds}", file=sys.stderr)
    starts = compare_starts(arguments, model) if arguments.start and not arguments.peer_only else None
    return {"model": model, "setting": setting, "andiron": ours, "llama.cpp": theirs, "start": starts}


def speed(results, what):
    return statistics.median(result[what] for result in results)


def rows(result):
    for what in ("prefill", "decode"):
        theirs = speed(result["llama.cpp"], what)
        if not result["andiron"]:
            yield f"| {os.path.basename(result['model'])} | {what} | | {theirs:.1f} | |"
            continue
        ratios = [a[what] / b[what] for a, b in zip(result["andiron"], result["llama.cpp"])]
        yield (f"| {os.path.basename(result['model'])} | {what} | {speed(result['andiron'], what):.1f} | {theirs:.1f} | "
               f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f}) |")


def start_line(start):
    def seconds(side):
        return statistics.median(one["first_token_s"] for one in start[side])

    def mib(side):
        return max(one["peak_rss_bytes"] for one in start[side]) / 2**20

    ratios = [b["first_token_s"] / a["first_token_s"] for a, b in zip(start["andiron"], start["llama.cpp"])]
    return (f"; from a second start to the first token after {start['prompt']} of prompt: andiron "
            f"{seconds('andiron'):.3f} s, llama.cpp {seconds('llama.cpp'):.3f} s, llama.cpp / andiron "
            f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); peak memory "
            f"{mib('andiron'):.0f} and {mib('llama.cpp'):.0f} MiB")


def processor_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main():
    arguments = parse_arguments()
    results = []
    for model in arguments.models:  # each is printed when it is done: an interruption loses one model
        result = compare(arguments, model)
        if not results:
            first = result["llama.cpp"][0]["raw"]
            print(f"{processor_name()}, {arguments.threads} threads on processors {arguments.cpus}; llama.cpp "
                  f"{first['release']} ({first['backend']}); {arguments.rounds} interleaved rounds; tokens/s, medians.\n")
            print("| model | test | andiron | llama.cpp | andiron / llama.cpp (range) |\n|---|---|---:|---:|---:|")
        print("\n".join(rows(result)), flush=True)
        results.append(result)
    print()
    for result in results:
        setting = result["setting"]
        line = f"{os.path.basename(result['model'])}: llama.cpp with flash attention {setting['flash']}, micro-batch {setting['ubatch']}"
        if result["start"]:
            line += start_line(result["start"])
        print(f"- {line}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
