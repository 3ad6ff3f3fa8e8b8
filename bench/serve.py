#!/usr/bin/env python3
"""Loads servers that speak OpenAI's API, in turns, and says how many tokens a second each writes.

    bench/serve.py http://127.0.0.1:8080 [http://127.0.0.1:8081 ...] [--clients 1,4,16] [--rounds 3] [--model NAME[,NAME...]]

Every client asks for one answer after the other, streamed, for --seconds; each prompt is its own but for a beginning that
all share. Printed, as medians of the rounds: tokens a second of all clients together, and the time to the first token
(median and 99th percentile). With more than one server the rounds alternate, and the ratio to the first is printed. With
several models the clients take them in turn: "ember,ember+a,ember+b" shows what adapters cost. Only Python's own library.
"""
import argparse
import http.client
import json
import statistics
import threading
import time
import urllib.parse

SHARED = "You answer questions about a small town by the sea, where people fish, bake bread and build boats. " * 4


class Client(threading.Thread):
    def __init__(self, url, model, number, options, until):
        super().__init__(daemon=True)
        self.url, self.model, self.number = urllib.parse.urlparse(url), model, number
        self.options, self.until = options, until
        self.tokens, self.first, self.error = 0, [], None

    def run(self):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=300)
        turn = 0
        try:
            while time.monotonic() < self.until:
                self.ask(connection, turn)
                turn += 1
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = error

    def ask(self, connection, turn):
        body = {"prompt": f"{SHARED}Visitor {self.number}, question {turn}: what is there to see on day {turn % 7}?",
                "max_tokens": self.options.tokens, "temperature": 0, "stream": True, "ignore_eos": True}
        if not self.options.ignore_eos:
            del body["ignore_eos"]
        if self.model:
            body["model"] = self.model
        begin = time.monotonic()
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {answer.read(500).decode(errors='replace')}")
        seen = 0
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            seen += 1
            now = time.monotonic()
            if seen == 1:
                self.first.append(now - begin)
            if now < self.until:
                self.tokens += 1


def measure(url, clients, options):
    """Tokens a second, and times to the first token."""
    models = options.model.split(",")
    begin = time.monotonic()
    threads = [Client(url, models[i % len(models)], i, options, begin + options.seconds) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [thread.error for thread in threads if thread.error]
    if errors:
        raise SystemExit(f"{url}: {errors[0]}")
    first = sorted(second for thread in threads for second in thread.first)
    return sum(thread.tokens for thread in threads) / options.seconds, first


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--tokens", type=int, default=128, help="tokens of an answer, at most")
    parser.add_argument("--ignore-eos", action="store_true", help="let llama.cpp's server go on after an answer's end")
    parser.add_argument("--model", default="", help="names, separated by commas, that the clients take in turn")
    options = parser.parse_args()
    for clients in map(int, options.clients.split(",")):
        rates = {url: [] for url in options.servers}
        first = {url: [] for url in options.servers}
        for _ in range(options.rounds):
            for url in options.servers:
                rate, times = measure(url, clients, options)
                rates[url].append(rate)
                first[url] += times
        base = statistics.median(rates[options.servers[0]])
        for url in options.servers:
            rate, times = statistics.median(rates[url]), sorted(first[url])
            late = times[min(len(times) - 1, len(times) * 99 // 100)]
            print(f"{clients:3} clients  {url}  {rate:8.1f} tokens/s ({rate / base:.2f} of the first server)  "
                  f"first token {statistics.median(times) * 1000:.0f} ms, p99 {late * 1000:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
