"""What the programs here that ask a server share: connections, streams of events, the numbers of /metrics."""
import http.client
import json
import math
import time
import urllib.parse


class Refused(ValueError):
    """An answer whose status is not 200."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class Connection:
    """To one server; opened with the first request, and anew after close(). One thread at a time."""

    def __init__(self, url):
        parts = urllib.parse.urlparse(url)
        self.http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=300)
        self.was_used = False

    def close(self):
        """Also in the middle of an answer, whose client has then left."""
        self.http.close()
        self.was_used = False

    def send(self, method, path, text):
        headers = {} if text is None else {"Content-Type": "application/json"}
        try:
            self.http.request(method, path, text, headers)
            return self.http.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if not self.was_used:
                raise
        self.close()  # a server may end a connection after some answers
        return self.send(method, path, text)

    def ask(self, method, path, text=None):
        """The answer to a request, whose body, if it has one, is JSON. What it says is to be read before the next."""
        answer = self.send(method, path, text)
        self.was_used = True
        if answer.status != 200:
            raise Refused(answer.status, answer.read()[:500].decode(errors="replace"))
        return answer

    def json(self, method, path, body=None):
        return json.loads(self.ask(method, path, None if body is None else json.dumps(body)).read())

    def metrics(self):
        """What /metrics tells, by "name" or "name{labels}"."""
        lines = self.ask("GET", "/metrics").read().decode().splitlines()
        parts = [line.rpartition(" ") for line in lines if line and not line.startswith("#")]
        return {name: float(value) for name, _, value in parts}


def events_of(answer):
    """When each event of a stream came, and its JSON as bytes: of most it is enough that they came."""
    for line in answer:
        if line.startswith(b"data: {"):
            yield time.monotonic(), line[6:]


def parsed(event):
    out = json.loads(event)
    if "error" in out:
        raise ValueError(f"in a stream: {out['error']}")
    return out


def percentile(values, percent):
    """The smallest that as many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
