#!/usr/bin/env python3
"""Validates JSON texts with python3-jsonschema.

    json_schema_oracle.py SCHEMAS INSTANCES

SCHEMAS: lines of {"schema": ...}. INSTANCES: lines of [number of the schema's line, JSON text]. Prints what is not
valid; exits with 0 (all are), 1 (some are not) or 3 (no jsonschema here).
"""
import json
import sys

try:
    import jsonschema
except ImportError:
    sys.exit(3)


def main():
    # Not FormatChecker(): its "time" is that of draft 3, which knows no offset from UTC.
    checker = getattr(jsonschema.Draft202012Validator, "FORMAT_CHECKER", None) or jsonschema.draft202012_format_checker
    with open(sys.argv[1], encoding="utf-8") as file:
        schemas = [json.loads(line)["schema"] for line in file]
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    validators = [jsonschema.Draft202012Validator(schema, format_checker=checker) for schema in schemas]
    wrong = count = 0
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            number, text = json.loads(line)
            count += 1
            try:
                validators[number].validate(json.loads(text))
            except (ValueError, jsonschema.ValidationError) as error:
                wrong += 1
                print(f"schema {number}: {text}: {str(error).splitlines()[0]}")
    print(f"{count} texts looked at, {wrong} not valid")
    sys.exit(1 if wrong or count == 0 else 0)


main()
