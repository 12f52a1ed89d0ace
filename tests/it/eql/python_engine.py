"""Runs EQL queries with the public Python engine: the oracle of python.rs.

Reads {"queries": [text...], "streams": [[{"type", "time", "data"}...]...]} from stdin; writes, for each
query, either {"error": text} or {"streams": [[[id...] a result]... a stream]}.
"""

import contextlib
import json
import sys

import eql
from eql import Event, PythonEngine, parse_query
from eql.parser import allow_runs, elasticsearch_syntax


def results(query, stream):
    found = []
    engine = PythonEngine()
    engine.add_query(query)
    engine.add_output_hook(lambda output: found.append([event.data["id"] for event in output.events]))
    engine.stream_events([Event(one["type"], one["time"], one["data"]) for one in stream])
    return found


def main():
    asked = json.load(sys.stdin)
    answers = []
    for text in asked["queries"]:
        try:
            with contextlib.ExitStack() as modes:
                for mode in (elasticsearch_syntax, allow_runs, eql.ignore_missing_fields):
                    modes.enter_context(mode)
                query = parse_query(text)
        except Exception as error:  # whatever it is, the test shows it
            answers.append({"error": str(error)})
            continue
        answers.append({"streams": [results(query, stream) for stream in asked["streams"]]})
    json.dump(answers, sys.stdout)


main()
