#!/usr/bin/env python3
"""How much later an answer begins while the server trains. The aim: 100 ms at most.

    bench/give_way.py http://127.0.0.1:8080 [--model ember] [--chats 200]

Asks a running `andiron serve` one short chat after the other, streamed, with random pauses between them: first while
nothing else runs, then as many while a fine-tuning job trains on a text that this program sends. Every prompt is
another, and too short for the prefix cache to keep any of it. It fails where the job did not train all the while: it
must still run after the last chat, and have taken steps between the chats. The job is cancelled and discarded then, and
the text deleted, whatever happened. Printed: the time from a request to its first text, alone and while training, and
how many steps a minute the job took meanwhile, pauses and chats together. Nobody else should ask the server or teach
it; it must not run with --no-learn or --no-store. Only Python's own library.
"""
import argparse
import http.client
import json
import random
import statistics
import sys
import time

from clients import Connection, Refused, events_of, parsed, percentile

JOBS = "/v1/fine_tuning/jobs"
PAUSES = (0.2, 1.0)  # seconds, so that the job is at work again when the next chat comes
# More than the chats take: all of them must meet the job at work. At a hundredth of the usual rate the held-out loss,
# which ends a job where it falls no more, should fall for longer than that; a step costs as much.
EPOCHS, RATE = 1000, 0.01


def text_of(sentences):
    """So many sentences, each of its own."""
    people = ["The baker", "The teacher", "Old Anna", "The fisherman", "The doctor", "Little Tom", "The captain"]
    deeds = ["mends a net", "paints a boat", "reads a letter", "plants a pear tree", "sings to the gulls"]
    places = ["by the harbour", "behind the church", "on the long pier", "in the market hall", "near the lighthouse"]
    draw = random.Random(1)
    lines = [f"On day {i} {draw.choice(people)} {draw.choice(deeds)} {draw.choice(places)}." for i in range(sentences)]
    return "\n".join(lines) + "\n"


class Job:
    """A fine-tuning job, and the text that it learns from."""

    def __init__(self, url, options, stamp):
        self.connection = Connection(url)
        name = f"give-way-{stamp}"
        self.job = None
        self.file = self.connection.json("POST", "/v1/files", {
            "purpose": "fine-tune", "filename": f"{name}.txt", "content": text_of(options.sentences)})["id"]
        self.asked = {"model": options.model, "training_file": self.file, "suffix": name, "seed": 1, "study": "off",
                      "method": {"type": "supervised", "supervised": {"hyperparameters": {
                          "n_epochs": EPOCHS, "batch_size": 1, "learning_rate_multiplier": RATE}}}}

    def begin(self, seconds):
        """Returns when its events tell of a step."""
        self.job = self.connection.json("POST", JOBS, self.asked)["id"]
        end = time.monotonic() + seconds
        while self.step_told() == 0:
            self.check_running()
            if time.monotonic() > end:
                raise ValueError(f"the job has taken no step within {seconds:.0f} s")
            time.sleep(0.2)

    def now(self):
        return self.connection.json("GET", f"{JOBS}/{self.job}")

    def step(self):
        return self.now()["learning"]["step"]

    def step_told(self):
        """The last one of which an event tells; where there are thousands, some do."""
        events = self.connection.json("GET", f"{JOBS}/{self.job}/events?limit=100")["data"]
        return max((event["data"]["step"] for event in events if event["type"] == "metrics"), default=0)

    def check_running(self):
        job = self.now()
        if job["status"] not in ("queued", "running"):
            why = (job["error"] or {}).get("message", "it was to train to the last chat; --sentences makes it longer")
            raise ValueError(f"the job is {job['status']}: {why}")

    def remove(self):
        self.connection.close()  # it may stand in the middle of an answer
        if self.job is not None:
            try:
                self.connection.json("POST", f"{JOBS}/{self.job}/cancel", {})
            except Refused as error:
                if error.status != 409:  # it is over
                    raise
            self.discard(time.monotonic() + 120)
        self.connection.json("DELETE", f"/v1/files/{self.file}")

    def discard(self, end):
        """Once the step at hand is done."""
        while True:
            try:
                return self.connection.json("POST", f"{JOBS}/{self.job}/discard", {})
            except Refused as error:
                if error.status != 409 or time.monotonic() > end:
                    raise
            time.sleep(0.2)


def first_text(connection, model, prompt):
    """Seconds until it came, or, where there is none, until the answer's end."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 8,
                       "temperature": 0, "stream": True, "stream_options": {"include_usage": True}})
    begin = time.monotonic()
    first = None
    for now, text in events_of(connection.ask("POST", "/v1/chat/completions", body)):
        event = parsed(text)
        if first is None and any(choice["delta"].get("content") for choice in event["choices"]):
            first = now
        if event.get("usage") and event["usage"]["prompt_tokens_details"]["cached_tokens"] > 0:
            raise ValueError("a part of a prompt was in the prefix cache: start the server with --no-prefix-cache")
    return (first or time.monotonic()) - begin


def measure(url, options, name, after_each):
    """The seconds of all chats, with the same pauses each time."""
    connection = Connection(url)
    pauses = random.Random(1)
    seconds = []
    for number in range(options.chats):
        time.sleep(pauses.uniform(*PAUSES))
        seconds.append(first_text(connection, options.model, f"{name}.{number}: what is there to see in town today?"))
        after_each()
    connection.close()
    return seconds


def measure_training(url, options, stamp):
    """The seconds of all chats, and the job's steps in a minute."""
    job = Job(url, options, stamp)
    try:
        job.begin(options.wait)
        told, steps, begin = job.step_told(), [job.step()], time.monotonic()
        seconds = measure(url, options, f"{stamp}.2", lambda: steps.append(job.step()))
        minutes = (time.monotonic() - begin) / 60
        job.check_running()
        moved = sum(after > before for before, after in zip(steps, steps[1:]))
        if moved < options.chats / 10 or job.step_told() <= told:
            raise ValueError(f"the job took steps before {moved} of {options.chats} chats only")
        return seconds, (steps[-1] - steps[0]) / minutes
    finally:
        job.remove()


def row(name, seconds, steps):
    figures = [statistics.median(seconds), percentile(seconds, 99), max(seconds)]
    return f"| {name} | {len(seconds)} | " + " | ".join(f"{1000 * s:.1f} ms" for s in figures) + f" | {steps} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("--model", default="ember", help="as the server calls it, without adapters")
    parser.add_argument("--chats", type=int, default=200, help="of each of the two measurements")
    parser.add_argument("--sentences", type=int, default=200, help="of the text that is learned")
    parser.add_argument("--wait", type=float, default=600, help="seconds for the job's first step")
    options = parser.parse_args()
    stamp = int(time.time())
    try:
        measure(options.server, argparse.Namespace(chats=3, model=options.model), f"{stamp}.0", lambda: None)
        alone = measure(options.server, options, f"{stamp}.1", lambda: None)
        training, steps = measure_training(options.server, options, stamp)
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"{options.server}: {error}")
    later = [statistics.median(training) - statistics.median(alone), percentile(training, 99) - percentile(alone, 99)]
    print("| | chats | first text, median | p99 | max | steps a minute |\n|---|---:|---:|---:|---:|---:|")
    print(row("alone", alone, "-"))
    print(row("while training", training, f"{steps:.0f}"))
    print("| later by | | " + " | ".join(f"{1000 * s:+.1f} ms" for s in later) + " | | |")


if __name__ == "__main__":
    main()
