"""A gunicorn worker that receives requests completely before a thread works on them."""

import logging
import os
import resource
import tempfile
import time
from typing import Any

from gunicorn.workers.base import Worker

from xraysite.server import listener, succession
from xraysite.server.lanes import Lanes
from xraysite.server.limits import Limits

# Descriptors for everything but connections: the database, films, decoders, temporary files.
OTHER_FILES = 200
# Time for a new worker to load the site and the model, even on a busy machine.
SUCCESSOR_SECONDS = 90


class BufferingWorker(Worker):
    """Runs waitress on gunicorn's listening sockets."""

    alive: bool
    stop_signals = 0
    listeners: tuple[Any, ...] = ()

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.stop_signals += 1
        super().handle_exit(sig, frame)
        for each in self.listeners:
            each.pull_trigger()

    def run(self) -> None:
        self._listen()
        if self.alive:
            succession.note_ready(self.age)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            self.connections.step(timeout=1.0)
            if self.connections.requests >= self.max_requests:
                self.log.info("Worker renewed after %d requests.", self.connections.requests)
                self.alive = False
        self._await_successor()
        self._drain()

    def _await_successor(self) -> None:
        """Go on until a new worker is ready; a second signal to stop ends that."""
        until = time.monotonic() + SUCCESSOR_SECONDS
        while (
            self.stop_signals == 1
            and succession.is_needed(self.age)
            and self.ppid == os.getppid()
            and time.monotonic() < until
        ):
            self.notify()
            self.connections.step(timeout=0.2)

    def _listen(self) -> None:
        from django.conf import settings

        from xraysite.common import private_files
        from xraysite.common.client_address import is_trusted_proxy
        from xraysite.common.decoders.turns import MAX_PER_ACCOUNT

        # Bodies and responses that do not fit into memory are as private as films.
        private_files.make_folder(settings.FILE_UPLOAD_TEMP_DIR)
        tempfile.tempdir = str(settings.FILE_UPLOAD_TEMP_DIR)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        limits = Limits(
            keep_alive_seconds=self.cfg.keepalive,
            connections=_affordable(self.cfg.worker_connections),
            connections_per_address=settings.WEB_CONNECTIONS_PER_ADDRESS,
        )
        self.connections = listener.Connections(limits, is_proxy=is_trusted_proxy)
        self.dispatcher = Lanes(
            pages=self.cfg.threads,
            uploads=MAX_PER_ACCOUNT * settings.DECODERS,
            session_cookie=settings.SESSION_COOKIE_NAME,
        )
        adjustments = listener.adjustments(
            limits, threads=self.cfg.threads, session_cookie=settings.SESSION_COOKIE_NAME
        )
        self.listeners = tuple(
            listener.listen(
                self.wsgi, each.sock, connections=self.connections,
                dispatcher=self.dispatcher, settings=adjustments,
            )
            for each in self.sockets
        )  # fmt: skip

    def _drain(self) -> None:
        """Finish what has begun, for at most `graceful_timeout` seconds.

        Idle connections stay open for a moment, because their client may be sending a request
        already; it is answered, and the connection closed.
        """
        self.connections.draining = True
        until = time.monotonic() + self.cfg.graceful_timeout
        while self.connections.channels() and time.monotonic() < until:
            self.notify()
            self.connections.step(timeout=0.2)
        self.dispatcher.shutdown(timeout=0.5)


def _affordable(wanted: int) -> int:
    """Return how many connections this process may open, raising its limit of files first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(10, min(wanted, soft - OTHER_FILES))
    return wanted
