"""Runs EQL queries over events with the public Python engine and measures it: the peer of eql.rs.

Reads {"queries": [text...], "events": [document...]} from stdin; writes {"found": [[[id...] a result] a
query], "seconds": CPU seconds of matching alone}.
"""

import contextlib
import json
import sys
import time

import eql
from eql import Event, PythonEngine, parse_query
from eql.parser import allow_runs, elasticsearch_syntax


def main():
    asked = json.load(sys.stdin)
    with contextlib.ExitStack() as modes:
        for mode in (elasticsearch_syntax, allow_runs, eql.ignore_missing_fields):
            modes.enter_context(mode)
        queries = [parse_query(text) for text in asked["queries"]]
    events = [Event(one["event_type"], one["@timestamp"] * 10_000, one) for one in asked["events"]]
    found = []
    engines = []
    for query in queries:
        results = []
        found.append(results)
        engine = PythonEngine()
        engine.add_query(query)
        engine.add_output_hook(lambda output, results=results: results.append([e.data["id"] for e in output.events]))
        engines.append(engine)
    started = time.process_time()
    for engine in engines:
        engine.stream_events(events)
    json.dump({"found": found, "seconds": time.process_time() - started}, sys.stdout)


main()
