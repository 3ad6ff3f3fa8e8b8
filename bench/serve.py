#!/usr/bin/env python3
"""Loads servers that speak OpenAI's API, in turns, and says how many tokens a second each writes.

    bench/serve.py http://127.0.0.1:8080 [http://127.0.0.1:8081 ...] [--clients 1,4,16] [--rounds 5] [--forbid 1]

Every client asks for one answer after the other, streamed, for --seconds; each prompt is its own, in every round, but for
a beginning that all share. The rounds alternate between the servers, forwards and backwards, after a warm-up of each.
Printed for each number of clients: tokens a second of all clients together, as the median of the rounds and their range;
its ratio to the first server, likewise of the rounds' own ratios; the time from a request to its first text, median and
99th percentile of all requests of all rounds; how long an answer was; and what this program itself took of a processor,
which the servers lacked. All servers get the same requests; --forbid names the tokens that end an answer (ember: 1), so
that all answers have --tokens. With several models the clients take them in turn: "ember,ember+a,ember+b" shows what
adapters cost. Only Python's own library.
"""
import argparse
import http.client
import json
import statistics
import threading
import time

from clients import Connection, events_of, parsed, percentile

SHARED = "You answer questions about a small town by the sea, where people fish, bake bread and build boats. " * 4


class Client(threading.Thread):
    """Asks until `until`. What came later is read, so that the next measurement finds an idle server, and not counted."""

    def __init__(self, url, model, name, options, until):
        super().__init__(daemon=True)
        self.url, self.model, self.name_in_prompts = url, model, name
        self.options, self.until = options, until
        self.tokens, self.lengths, self.first, self.error = 0.0, [], [], None

    def run(self):
        connection = Connection(self.url)
        turn = 0
        try:
            while time.monotonic() < self.until:
                self.ask(connection, turn)
                turn += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = error
        finally:
            connection.close()

    def body(self, turn):
        prompt = f"{SHARED}Visitor {self.name_in_prompts}, question {turn}: what is there to see on day {turn % 7}?"
        body = {"prompt": prompt, "max_tokens": self.options.tokens, "temperature": 0, "stream": True,
                "stream_options": {"include_usage": True}}
        if self.options.forbid:
            body["logit_bias"] = {token: -100 for token in self.options.forbid.split(",")}
        if self.model:
            body["model"] = self.model
        return json.dumps(body)

    def ask(self, connection, turn):
        body = self.body(turn)
        begin = time.monotonic()
        answer = connection.ask("POST", "/v1/completions", body)
        # Events hold about a token each, and not all are parsed: an answer's tokens are those that the server says, and
        # of an answer that goes on behind the end as large a part counts as of its events came before.
        events, inside, first, tokens = 0, 0, None, None
        for now, text in events_of(answer):
            is_usage = b'"completion_tokens"' in text
            if is_usage or first is None or text.startswith(b'{"error"'):
                event = parsed(text)
                if is_usage:
                    tokens = event["usage"]["completion_tokens"]
                if first is None and any(choice.get("text") for choice in event["choices"]):
                    first = now
            if not is_usage:
                events += 1
                inside += now < self.until
        if tokens is None:
            raise ValueError("a stream ended without \"usage\", which \"stream_options\" asked for")
        self.lengths.append(tokens)
        self.first.append((first or time.monotonic()) - begin)
        self.tokens += tokens * inside / max(events, 1)


class Figures:
    """Of one server and one number of clients, over all rounds."""

    def __init__(self):
        self.rates, self.first, self.lengths, self.own = [], [], [], []


def measure(url, clients, name, options, seconds, figures=None):
    models = options.model.split(",")
    begin, own = time.monotonic(), time.process_time()
    threads = [Client(url, models[i % len(models)], f"{name}.{i}", options, begin + seconds) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [thread.error for thread in threads if thread.error]
    if errors:
        raise SystemExit(f"{url}: {errors[0]}")
    if figures is None:
        return
    figures.rates.append(sum(thread.tokens for thread in threads) / seconds)
    figures.own.append((time.process_time() - own) / (time.monotonic() - begin))
    for thread in threads:
        figures.first += thread.first
        figures.lengths += thread.lengths


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def row(clients, url, figures, base):
    ratios = [rate / other for rate, other in zip(figures.rates, base.rates) if other > 0]
    cells = [str(clients), url, spread(figures.rates, 1), spread(ratios, 2) if ratios else "-",
             f"{statistics.median(figures.first) * 1000:.0f} ms", f"{percentile(figures.first, 99) * 1000:.0f} ms",
             str(len(figures.first)), f"{statistics.mean(figures.lengths):.1f}", f"{statistics.median(figures.own):.2f}"]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of one measurement")
    parser.add_argument("--warmup", type=float, default=3, help="seconds before the first, of each server")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of an answer, at most")
    parser.add_argument("--forbid", default="", help="ids of tokens, separated by commas, that no answer may have")
    parser.add_argument("--model", default="", help="names, separated by commas, that the clients take in turn")
    options = parser.parse_args()
    counts = [int(count) for count in options.clients.split(",")]
    stamp, number = int(time.time()), 0  # no prompt of an earlier run is in a server's cache
    for url in options.servers:
        number += 1
        measure(url, max(counts), f"{stamp}.{number}", options, options.warmup)
    print("| clients | server | tokens/s | ratio to the first | first text | p99 | requests | tokens of an answer | "
          "processors of the client |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for clients in counts:
        figures = {url: Figures() for url in options.servers}
        for turn in range(options.rounds):
            for url in options.servers if turn % 2 == 0 else reversed(options.servers):
                number += 1
                measure(url, clients, f"{stamp}.{number}", options, options.seconds, figures[url])
        for url in options.servers:
            print(row(clients, url, figures[url], figures[options.servers[0]]), flush=True)


if __name__ == "__main__":
    main()
