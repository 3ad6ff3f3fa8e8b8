#!/usr/bin/env python3
"""Whether a server's memory stays where it is: what it holds after 1,000, 2,000, ... 10,000 requests.

    andiron --no-cache serve --metrics --quiet &
    bench/memory.py http://127.0.0.1:8080 $! [--forbid 1]

--clients ask at once, each prompt its own: for whole answers, for streams, for streams that they leave in the middle,
and for answers under more grammars than the server keeps; every other request is a chat. After each thousand the server
is left until it is idle; then its memory is read from /proc/PID/status: VmRSS, all that is resident, and RssAnon, without
the pages of files such as the model's. Beside it, from /metrics, what the server holds on purpose: the prefix cache, and
keys and values of answers at work, of which an idle server has none.

The prefix cache grows by design until it is full (1 GiB, or a quarter of the memory that was free at the start), and
prompts that are new fill it. So long prompts fill it first, uncounted, until it grows no more: with ember, whose context
is 1,024, about half a thousand. --no-fill leaves that out, for a server with --no-prefix-cache, or to see it grow: then
what RssAnon grows beyond the cache is lost. --no-cache keeps prefixes off the disk, which has a bound of its own and a
list in memory of what lies there. --forbid names the tokens that end an answer (ember: 1), so that streams are long
enough to be left. Only Python's own library.
"""
import argparse
import concurrent.futures
import http.client
import json
import random
import sys
import time

from clients import Connection, Refused, events_of, parsed

KINDS = ("whole", "stream", "left", "grammar")
GRAMMARS = 40  # the server keeps 32 (GrammarCache)
WORDS = ("sun", "cat", "rain", "boat", "snow", "moon", "tree", "bird", "sea", "town", "bread", "net", "gull", "pier")
MIB = 2**20
FILLS = 20_000  # long prompts at most; a server whose cache still grows then has too large a one for this
CACHE, KEYS_AND_VALUES = "andiron_prefix_cache_bytes", "andiron_kv_bytes"


def some_words(draw, count):
    return " ".join(draw.choice(WORDS) for _ in range(count))


class Asker:
    """Asks requests by their numbers; a number decides all of one."""

    def __init__(self, options):
        self.options = options
        self.stamp = int(time.time())  # no prompt of an earlier run is in the server's cache
        self.model = Connection(options.server).json("GET", "/v1/models")["data"][0]["id"]

    def plain(self, number, prompt, tokens):
        """The route and body of a request for a whole answer."""
        body = {"model": self.model, "max_tokens": tokens, "seed": abs(number)}
        if self.options.forbid:
            body["logit_bias"] = {token: -100 for token in self.options.forbid.split(",")}
        prompt = f"{self.stamp}.{number}: {prompt}"
        if number % 2 == 0:
            return "/v1/completions", body | {"prompt": prompt}
        return "/v1/chat/completions", body | {"messages": [{"role": "user", "content": prompt}]}

    def ask(self, connection, number):
        draw = random.Random(number)
        kind = draw.choice(KINDS)
        prompt = f"tell me of the {some_words(draw, draw.randint(3, 40))}."
        path, body = self.plain(number, prompt, 200 if kind == "left" else draw.randint(1, 12))
        if kind in ("stream", "left"):
            body["stream"] = True
        if kind == "grammar":
            body["grammar"] = f'root ::= "{number % GRAMMARS} " [a-z ]{{4,20}} "!"'
        answer = connection.ask("POST", path, json.dumps(body))
        if kind == "left":
            return leave(connection, answer, draw.randint(0, 8))
        if kind == "stream":
            for _, text in events_of(answer):
                parsed(text)
        else:
            answer.read()
        return None

    def fill(self, connection, number, words):
        prompt = some_words(random.Random(number), words)
        path, body = self.plain(number, prompt, 1)
        connection.ask("POST", path, json.dumps(body)).read()


def leave(connection, answer, after):
    """Some events after the first."""
    for count, (_, text) in enumerate(events_of(answer)):
        parsed(text)
        if count == after:
            return connection.close()
    return None  # it was shorter


def ask_all(options, begin, end, ask):
    """ask(connection, number) for all numbers from `begin` up to `end`, of all clients."""
    def client(first):
        connection = Connection(options.server)
        try:
            for number in range(first, end, options.clients):
                ask(connection, number)
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(options.clients) as pool:
        list(pool.map(client, range(begin, begin + options.clients)))


def idle(connection, seconds=120):
    """What /metrics tells once nothing runs, waits or is owed an answer, but for the question itself."""
    end = time.monotonic() + seconds
    while True:
        now = connection.metrics()
        if now["andiron_answers_running"] == now["andiron_answers_waiting"] == 0 and now["andiron_http_requests"] <= 1:
            return now
        if time.monotonic() > end:
            raise ValueError(f"the server is not idle after {seconds} s")
        time.sleep(0.1)


def words_that_fit(connection):
    """So many that a prompt of them takes about eight tenths of the context."""
    sample = 200
    tokens = connection.json("POST", "/tokenize", {"content": some_words(random.Random(0), sample)})["count"]
    return int(0.8 * idle(connection)["andiron_context_tokens"] * sample / tokens)


def fill(options, asker, connection):
    """Asks long prompts, whose numbers are below 0, until the prefix cache grows no more. How many those were."""
    words, step = words_that_fit(connection), 4 * options.clients
    size = idle(connection)[CACHE]
    for asked in range(step, FILLS, step):
        ask_all(options, -asked, step - asked, lambda client, number: asker.fill(client, number, words))
        before, size = size, idle(connection)[CACHE]
        if size <= before:
            return asked
    raise ValueError(f"the prefix cache is not full after {FILLS} long prompts: {size / MIB:.0f} MiB")


def memory_of(pid):
    """Bytes that are resident."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        fields = dict(line.split(":", 1) for line in file)
    return {name: 1024 * int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon")}


def row(asked, memory, now):
    held = [memory["VmRSS"], memory["RssAnon"], now[CACHE], now[KEYS_AND_VALUES]]
    return f"| {asked:,} | " + " | ".join(f"{value / MIB:.1f} MiB" for value in held) + " |"


def measure(options):
    asker, connection = Asker(options), Connection(options.server)
    if options.fill:
        print(f"The prefix cache has grown no more after {fill(options, asker, connection):,} long prompts.\n")
    print("| requests | VmRSS | RssAnon | prefix cache | keys and values |\n|---:|---:|---:|---:|---:|")
    print(row(0, memory_of(options.pid), idle(connection)), flush=True)
    held = []
    for begin in range(0, options.requests, options.every):
        ask_all(options, begin, begin + options.every, asker.ask)
        now = idle(connection)
        held.append(memory_of(options.pid))
        print(row(begin + options.every, held[-1], now), flush=True)
    grown = ", ".join(f"{name} {(held[-1][name] - held[0][name]) / MIB:+.1f} MiB" for name in held[0])
    print(f"\nFrom {options.every:,} to {options.every * len(held):,} requests: {grown}; "
          f"{now['andiron_answers_cancelled_total']:,.0f} answers were left")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server")
    parser.add_argument("pid", type=int, help="of the server's process")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=1000, help="requests between one row and the next")
    parser.add_argument("--forbid", default="", help="ids of tokens, separated by commas, that no answer may have")
    parser.add_argument("--no-fill", dest="fill", action="store_false", help="as the prefix cache is now")
    options = parser.parse_args()
    try:
        measure(options)
    except Refused as error:
        hint = "; the server needs --metrics" if error.status == 404 else ""
        sys.exit(f"{options.server}: {error}{hint}")
    except KeyError as error:
        sys.exit(f"{options.server}: /metrics does not tell of {error}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        sys.exit(f"{options.server}: {error}")


if __name__ == "__main__":
    main()
