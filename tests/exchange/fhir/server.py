"""A small FHIR server on the loopback interface, which checks and stores what it gets."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from exchange.fhir.checking import checked

Resource = dict[str, Any]


class FhirStore:
    """What the server has stored, and what it was asked.

    Attributes:
        resources: by type and id.
        fails: HTTP statuses of the next answers instead of storing.
    """

    def __init__(self) -> None:
        self.resources: dict[tuple[str, str], Resource] = {}
        self.fails: list[int] = []
        self.asked: list[dict[str, Any]] = []
        self.url = ""
        self._count = 0

    def of(self, kind: str) -> list[Resource]:
        return [each for (stored, _key), each in self.resources.items() if stored == kind]

    def apply(self, bundle: Resource) -> Resource:
        """Carry out a transaction: conditional creates and updates by identifier."""
        checked(bundle)
        assert bundle["type"] == "transaction"
        keys, answers = {}, []
        for entry in bundle["entry"]:
            keys[entry["fullUrl"]], status = self._place(entry)
            answers.append({"response": {"status": status}})
        for entry in bundle["entry"]:
            kind, key = keys[entry["fullUrl"]]
            text = json.dumps(entry["resource"])
            for url, (other, place) in keys.items():
                text = text.replace(url, f"{other}/{place}")
            assert "urn:uuid" not in text
            if entry["request"]["method"] == "PUT" or (kind, key) not in self.resources:
                self.resources[kind, key] = json.loads(text)
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": answers}

    def _place(self, entry: Resource) -> tuple[tuple[str, str], str]:
        request, resource = entry["request"], entry["resource"]
        assert "id" not in resource
        kind = resource["resourceType"]
        query = request.get("ifNoneExist") or request["url"].partition("?")[2]
        [condition] = parse_qs(query)["identifier"]
        system, _bar, value = condition.partition("|")
        value = re.sub(r"\\(.)", r"\1", value)
        assert {"system": system, "value": value}.items() <= max(
            ({"system": each["system"], "value": each["value"]} for each in resource["identifier"]
             if each.get("system") == system), key=len,
        ).items()  # fmt: skip
        for (stored, key), each in self.resources.items():
            same = {(one.get("system"), one["value"]) for one in each["identifier"]}
            if stored == kind and (system, value) in same:
                return (kind, key), "200 OK"
        self._count += 1
        return (kind, f"{kind.lower()}-{self._count}"), "201 Created"


@contextmanager
def serving() -> Iterator[FhirStore]:
    """Run the server."""
    store = FhirStore()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            store.asked.append({"path": self.path, "headers": dict(self.headers)})
            status = store.fails.pop(0) if store.fails else 200
            answer: Resource = {"resourceType": "OperationOutcome", "issue": [
                {"severity": "error", "code": "processing", "diagnostics": "王小明"}]}  # fmt: skip
            if status == 200:
                answer = store.apply(json.loads(body))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}/r4"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
