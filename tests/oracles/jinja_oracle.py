#!/usr/bin/python3
"""Renders templates with Python's jinja2, set up as Hugging Face transformers sets it up for chat templates.

The tests of src/text compare our own Jinja with this. Reads JSON from the file named first, writes JSON to the file
named second:

  in:  {"templates": [text, ...], "variables": [{name: value, ...}, ...],
        "now": [year, month, day, hour, minute, second] or null}
  out: for each template a list with {"text": ...} or {"error": ...} for each entry of "variables"

Needs Debian's python3-jinja2. Exits with 3 when it is not installed.
"""
import datetime
import json
import sys

try:
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    sys.exit(3)


class Generation(Extension):
    """{% generation %}...{% endgeneration %}: a call block, so that it has a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("render_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def render_body(self, caller):
        return caller()


class Environment(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj, attr, value):
        # Since 3.1.5 the sandbox hides these two as well; Debian 12 has 3.1.2.
        if isinstance(obj, list) and attr in ("pop", "clear"):
            return False
        return super().is_safe_attribute(obj, attr, value)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def make_environment(now):
    environment = Environment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    if now is not None:
        moment = datetime.datetime(*now)
        environment.globals["strftime_now"] = lambda format: moment.strftime(format)
    return environment


def refusal(error):
    return {"error": f"{type(error).__name__}: {error}"}


def render(template, variables):
    try:
        text = template.render(**variables)
        text.encode("utf-8")
        return {"text": text}
    except Exception as error:  # whatever it is, the template gives no text
        return refusal(error)


def main():
    sys.setrecursionlimit(2000)
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    environment = make_environment(request["now"])
    results = []
    for source in request["templates"]:
        try:
            template = environment.from_string(source)
            results.append([render(template, variables) for variables in request["variables"]])
        except Exception as error:
            results.append([refusal(error)] * len(request["variables"]))
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(results, file, ensure_ascii=False)


main()
