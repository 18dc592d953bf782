"""Two groups of threads: uploads wait for one of theirs, and never keep a page waiting.

A request that waits here holds its body, in memory or in a file, and nothing else: no thread, no
connection to the database.
"""

import time
from collections import OrderedDict, deque
from typing import Any

from waitress.task import ThreadedTaskDispatcher

from xraysite.server.channel import Channel, session_of

# A smaller form holds no image worth waiting for, and is answered like a page.
LEAST_BYTES = 8 * 2**10
# Uploads of one session that wait. Further ones are answered by the threads for pages, where
# `xraysite.common.decoders.turns` limits how many of an account and of all may wait.
MAX_OF_SESSION = 8


class _Upload:
    """An upload that waits for a thread, or has one."""

    def __init__(self, channel: Channel, key: str, queue: "FairQueue") -> None:
        self.channel, self.key, self.queue = channel, key, queue
        self.since = time.monotonic()

    def service(self) -> None:
        self.channel.waited = time.monotonic() - self.since
        try:
            self.channel.service()
        finally:
            self.queue.end(self.key)

    def cancel(self) -> None:
        self.channel.cancel()


class FairQueue:
    """Uploads by session: one of a session at a time, and the sessions take turns.

    What waitress's dispatcher needs of its queue, which it uses under its lock. It is empty while
    nothing in it may begin.
    """

    def __init__(self, dispatcher: ThreadedTaskDispatcher) -> None:
        self._dispatcher = dispatcher
        self._waiting: OrderedDict[str, deque[_Upload]] = OrderedDict()
        self._running: set[str] = set()

    def __len__(self) -> int:
        return sum(key not in self._running for key in self._waiting)

    def append(self, upload: _Upload) -> None:
        self._waiting.setdefault(upload.key, deque()).append(upload)

    def popleft(self) -> _Upload:
        """Return the next upload of the session that has waited for the longest since its last.

        Raises:
            IndexError: nothing may begin.
        """
        key = next((key for key in self._waiting if key not in self._running), None)
        if key is None:
            raise IndexError
        uploads = self._waiting[key]
        first = uploads.popleft()
        if uploads:
            self._waiting.move_to_end(key)
        else:
            del self._waiting[key]
        self._running.add(key)
        return first

    def waiting_of(self, key: str) -> int:
        """Return how many uploads of a session wait."""
        return len(self._waiting.get(key, ()))

    def end(self, key: str) -> None:
        """Note that a session's upload has been answered, and let its next one begin."""
        with self._dispatcher.lock:
            self._running.discard(key)
            if key in self._waiting:
                self._dispatcher.queue_cv.notify()


class Lanes:
    """Dispatches requests to the threads of a web process.

    Args:
        pages: threads for all requests but uploads.
        uploads: threads for uploads.
        session_cookie: name of the cookie that tells sessions apart; programs have tokens.
    """

    def __init__(self, *, pages: int, uploads: int, session_cookie: str) -> None:
        self._cookie = session_cookie
        self._pages, self._uploads = ThreadedTaskDispatcher(), ThreadedTaskDispatcher()
        self._queue = self._uploads.queue = FairQueue(self._uploads)
        self._pages.set_thread_count(pages)
        self._uploads.set_thread_count(uploads)

    def add_task(self, channel: Channel) -> None:
        """Queue the request that a channel has received completely."""
        channel.waited = None
        request = channel.requests[0]
        if not request.error and is_upload(request):
            key = session_of(request, self._cookie) or f"address {channel.address}"
            with self._uploads.lock:
                has_room = self._queue.waiting_of(key) < MAX_OF_SESSION
            if has_room:
                self._uploads.add_task(_Upload(channel, key, self._queue))
                return
        self._pages.add_task(channel)

    def shutdown(self, timeout: float = 5) -> None:
        """Let the threads end, and drop what waits."""
        self._uploads.shutdown(timeout=timeout)
        self._pages.shutdown(timeout=timeout)


def is_upload(request: Any) -> bool:
    """Return whether a request carries a file."""
    kind = request.headers.get("CONTENT_TYPE", "").lower()
    return (
        request.command == "POST"
        and kind.startswith(("multipart/form-data", "multipart/related"))
        and request.body_bytes_received >= LEAST_BYTES
    )
