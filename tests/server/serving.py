"""The server without the site: a WSGI application of the test's own in one process."""

import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from xraysite.server import listener
from xraysite.server.lanes import Lanes
from xraysite.server.limits import Limits


class Server:
    """A running server.

    Args:
        limits: what a client may use.
        application: answers the requests.
        is_proxy: whether an address is that of a trusted proxy.
        pages: threads for pages.
        uploads: threads for uploads.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        application: Callable[..., Iterable[bytes]],
        is_proxy: Callable[[str], bool] = lambda address: False,
        pages: int = 2,
        uploads: int = 2,
    ) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.socket.getsockname()
        self.connections = listener.Connections(limits, is_proxy=is_proxy)
        self.dispatcher = Lanes(pages=pages, uploads=uploads, session_cookie="sessionid")
        settings: Any = listener.adjustments(limits, threads=pages, session_cookie="sessionid")
        self.listener = listener.listen(
            application, self.socket, connections=self.connections, dispatcher=self.dispatcher,
            settings=settings,
        )  # fmt: skip
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(self.address, timeout=20, source_address=(source, 0))

    def run(self) -> None:
        while not self.stopping.is_set():
            self.connections.step(timeout=0.05)

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()
        for channel in self.connections.channels():
            channel.drop()
        self.listener.close()
        self.dispatcher.shutdown()
