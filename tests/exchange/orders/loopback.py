"""A small server for tests of clients: it takes uploads, and breaks connections as it is told."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

FILE = re.compile(rb'name="file"; filename="([^"]*)"\r\n[^\r]*\r\n\r\n(.*)\r\n--', re.S)


class Uploads(ThreadingHTTPServer):
    """Stores each idempotency key once.

    Attributes:
        plan: for each request in turn: "ok", "cut" (closes while the body arrives), "deaf" (stores
            the file and closes without a reply), or status, headers and body. Then always "ok".
        stored: content by key; requests: how often each key was sent.
    """

    daemon_threads = True

    def __init__(self, plan: list[Any]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = list(plan)
        self.stored: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.headers: list[Any] = []
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about connections that the test breaks."""


class Handler(BaseHTTPRequestHandler):
    server: Uploads

    def do_POST(self) -> None:
        key, length = self.headers["Idempotency-Key"], int(self.headers["Content-Length"])
        with self.server.lock:
            self.server.requests[key] += 1
            self.server.headers.append(self.headers)
            step = self.server.plan.pop(0) if self.server.plan else "ok"
        if step == "cut":
            self.rfile.read(min(100, length))
            self.close_connection = True
            self.connection.close()
            return
        body = self.rfile.read(length)
        if isinstance(step, tuple):
            self.reply(*step)
            return
        found = FILE.search(body)
        assert found is not None
        with self.server.lock:
            self.server.names[key] = found[1].decode()
            self.server.stored.setdefault(key, found[2])
        if step == "deaf":
            self.close_connection = True
            self.connection.close()
            return
        self.reply(201, {}, {"items": [{"sha256": key}], "new": 1, "problems": []})

    def reply(self, status: int, headers: dict[str, str], body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(*plan: Any, tls: SSLContext | None = None) -> Iterator[Uploads]:
    """Serve uploads inside the block."""
    server = Uploads(list(plan))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
