"""A mail server on the loopback interface that can stop in the middle of an email."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps what it receives.

    Attributes:
        received: every email that it accepted, in order.
        stop_at: the command at which it stops answering: "MAIL", before it has the email, or
            "DATA", after it has stored it; None to answer at once.
        stopped: set when it has stopped.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.received: list[bytes] = []
        self.stop_at: str | None = None
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"

    def ids(self) -> list[str]:
        return [str(message_from_bytes(data)["Message-ID"]) for data in self.received]

    def reach(self, command: str) -> None:
        while self.stop_at == command:
            self.stopped.set()
            threading.Event().wait(0.05)


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        try:
            self._converse()
        except ConnectionError:
            return  # the client was killed

    def _converse(self) -> None:
        self.wfile.write(b"220 tests\r\n")
        while line := self.rfile.readline():
            command = line[:4].decode().strip().upper()
            if command == "DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.received.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.server.reach(command)
            self.wfile.write(b"221 bye\r\n" if command == "QUIT" else b"250 ok\r\n")
            if command == "QUIT":
                return


@contextmanager
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.stop_at = None
            server.shutdown()
