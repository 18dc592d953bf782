#!/usr/bin/env python3
"""Send the X-rays in a folder to an xraysite server, once each, whenever there is a connection.

One file for any Python from 3.11 on, without further packages: copy it to the computer in the van.

    xraysite_send.py DIR --server https://xray.example.org --token-file token.txt

Every finished file is copied to a queue on disk first, so it may be deleted or the computer may be
switched off before there is a connection. The key of a file is the SHA-256 of its content: the
server stores it once, however often it is sent, and this program sends it once, however often it
is found. Call it again, or with --watch, and it goes on where it stopped.

The token is read from a file that only you can read, or from XRAYSITE_TOKEN; it needs the scope
"readings:write". Exit status: 0 all files were sent, 1 the server refused some, 2 wrong usage,
3 some are still waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import ssl
import stat
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VERSION = "1"
# Into a batch of the token's account: what needs an answer waits in its inbox.
UPLOAD = "/api/v1/uploads"
FIELD = "file"
TOKEN_VARIABLE = "XRAYSITE_TOKEN"  # noqa: S105
TIMEOUT_S = 60
FIRST_DELAY_S, LONGEST_DELAY_S = 1.0, 600.0
# A token that was revoked may be replaced while the program watches.
REFUSED_TOKEN_DELAY_S = 300.0
MAX_REPLY = 2**20
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload")
NOT_FILMS = {"thumbs.db", "desktop.ini", "dicomdir", "lockfile"}
QUEUED, SENT, REFUSED = "queued", "sent", "refused"


class UsageError(Exception):
    """Raised when the program cannot begin: the message says what to change."""


# The queue --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A file of the queue."""

    sha256: str
    path: str
    size: int
    attempts: int


class Queue:
    """The files to be sent and those that were, in a folder; safe against kill -9 at any moment.

    Args:
        folder: where it is kept; created if missing, for this account only.

    Raises:
        UsageError: another process uses it.
    """

    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(OSError):
            folder.chmod(0o700)
        # Held until the process ends, however it ends.
        self._lock = sqlite3.connect(folder / "lock.sqlite3", timeout=0, isolation_level=None)
        try:
            self._lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise UsageError(f"Another xraysite-send uses the queue {folder}.") from error
        self._rows = sqlite3.connect(folder / "queue.sqlite3", isolation_level=None)
        self._rows.execute("PRAGMA synchronous = FULL")
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS files (sha256 TEXT PRIMARY KEY, path TEXT NOT NULL,"
            " size INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
            " due REAL NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '')"
        )
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS seen (path TEXT PRIMARY KEY, size INTEGER NOT NULL,"
            " mtime INTEGER NOT NULL)"
        )
        self._remove_leftovers()

    def close(self) -> None:
        self._rows.close()
        self._lock.close()

    def has_seen(self, path: Path, size: int, mtime: int) -> bool:
        """Return whether this very file has been taken before, without reading it."""
        row = self._rows.execute(
            "SELECT size, mtime FROM seen WHERE path = ?", [written(path)]
        ).fetchone()
        return row == (size, mtime)

    def add(self, path: Path, shown: str, size: int, mtime: int) -> bool:
        """Take a file; return whether its content is new.

        Raises:
            OSError: it cannot be read, or there is no space to keep it.
        """
        copy, sha256 = self._copied(path)
        try:
            after = path.stat()
            if (after.st_size, after.st_mtime_ns) != (size, mtime):
                return False  # it is still being written
            known = self.state_of(sha256)
            if known is None:
                copy.replace(self.spool / sha256)
                _sync_folder(self.spool)
            with self._transaction():
                if known is None:
                    self._rows.execute(
                        "INSERT INTO files (sha256, path, size, state) VALUES (?, ?, ?, ?)",
                        [sha256, shown, size, QUEUED],
                    )
                self._rows.execute(
                    "INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", [written(path), size, mtime]
                )
        finally:
            copy.unlink(missing_ok=True)
        return known is None

    def _copied(self, path: Path) -> tuple[Path, str]:
        digest = hashlib.sha256()
        descriptor, name = tempfile.mkstemp(dir=self.spool, prefix=".part-")
        try:
            with os.fdopen(descriptor, "wb") as target, path.open("rb") as source:
                while chunk := source.read(2**20):
                    digest.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name), digest.hexdigest()

    def state_of(self, sha256: str) -> str | None:
        row = self._rows.execute("SELECT state FROM files WHERE sha256 = ?", [sha256]).fetchone()
        return row[0] if row else None

    def next(self, now: float) -> Entry | None:
        """Return the file to be sent next, those that failed least often first."""
        row = self._rows.execute(
            "SELECT sha256, path, size, attempts FROM files WHERE state = ? AND due <= ?"
            " ORDER BY attempts, rowid LIMIT 1",
            [QUEUED, now],
        ).fetchone()
        return Entry(*row) if row else None

    def next_due(self) -> float | None:
        """Return when the next file may be sent; None if none waits."""
        row = self._rows.execute("SELECT MIN(due) FROM files WHERE state = ?", [QUEUED]).fetchone()
        return float(row[0]) if row and row[0] is not None else None

    def settle(self, entry: Entry, state: str, note: str) -> None:
        """Keep that a file was sent or refused.

        The copy of one that was refused stays: it may be the only one, and the cause a limit of a
        proxy.
        """
        self._rows.execute(
            "UPDATE files SET state = ?, note = ? WHERE sha256 = ?", [state, note, entry.sha256]
        )
        if state == SENT:
            (self.spool / entry.sha256).unlink(missing_ok=True)

    def postpone(self, entry: Entry, due: float, note: str) -> None:
        self._rows.execute(
            "UPDATE files SET attempts = attempts + 1, due = ?, note = ? WHERE sha256 = ?",
            [due, note, entry.sha256],
        )

    def forget(self, entry: Entry) -> None:
        """Forget a file whose copy is damaged or gone, so that it is taken again if found."""
        with self._transaction():
            self._rows.execute("DELETE FROM files WHERE sha256 = ?", [entry.sha256])
            self._rows.execute("DELETE FROM seen")
        (self.spool / entry.sha256).unlink(missing_ok=True)

    def retry_refused(self) -> None:
        """Let refused files be sent again."""
        self._rows.execute(
            "UPDATE files SET state = ?, attempts = 0, due = 0 WHERE state = ?", [QUEUED, REFUSED]
        )

    def counts(self) -> dict[str, int]:
        rows = self._rows.execute("SELECT state, COUNT(*) FROM files GROUP BY state")
        return {QUEUED: 0, SENT: 0, REFUSED: 0} | dict(rows.fetchall())

    def refused(self) -> list[tuple[str, str]]:
        """Return path and reason of the files that the server refused."""
        rows = self._rows.execute("SELECT path, note FROM files WHERE state = ?", [REFUSED])
        return [(str(path), str(note)) for path, note in rows]

    def _remove_leftovers(self) -> None:
        """Remove copies that a killed process left: unfinished ones, and those of sent files."""
        for copy in self.spool.iterdir():
            if self.state_of(copy.name) not in (QUEUED, REFUSED):
                copy.unlink(missing_ok=True)
        with self._transaction():
            waiting = self._rows.execute("SELECT sha256 FROM files WHERE state = ?", [QUEUED])
            gone = [key for (key,) in waiting.fetchall() if not (self.spool / key).exists()]
            for key in gone:
                self._rows.execute("DELETE FROM files WHERE sha256 = ?", [key])
            if gone:
                self._rows.execute("DELETE FROM seen")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._rows.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")


def _sync_folder(folder: Path) -> None:
    """Make a renamed file survive a loss of power, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Finding files ----------------------------------------------------------------------------------


@dataclass
class Folder:
    """A folder whose finished files are taken, with those in its subfolders.

    Attributes:
        path: the folder.
        settle_s: for how many seconds size and time of a file must not have changed.
    """

    path: Path
    settle_s: float
    _looks: dict[Path, tuple[int, int, float]] = field(default_factory=dict)

    def finished(self) -> Iterator[tuple[Path, int, int]]:
        """Yield the files that nobody writes to any more, with size and time."""
        looks, now = self._looks, time.monotonic()
        self._looks = {}
        for path, size, mtime in self.files():
            before = looks.get(path)
            since = before[2] if before and before[:2] == (size, mtime) else now
            self._looks[path] = (size, mtime, since)
            if size and now - since >= self.settle_s:
                yield path, size, mtime

    def is_settled(self) -> bool:
        """Return whether every file has been looked at for long enough."""
        now = time.monotonic()
        return all(now - since >= self.settle_s for _size, _time, since in self._looks.values())

    def files(self) -> Iterator[tuple[Path, int, int]]:
        """Yield files that may be X-rays, with size and time of change in nanoseconds."""
        for folder, names, files in os.walk(self.path):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                if is_ignored(name):
                    continue
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    found = path.lstat()
                    if stat.S_ISREG(found.st_mode):
                        yield path, found.st_size, found.st_mtime_ns


def written(path: Path) -> str:
    """Return a path as text: a file's name need not be one in the system's character set."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_ignored(name: str) -> bool:
    """Return whether a file is hidden, unfinished, or a system's own."""
    low = name.lower()
    return name[0] in ".~" or low.endswith(UNFINISHED) or low in NOT_FILMS


# Sending ----------------------------------------------------------------------------------------


class NoConnectionError(Exception):
    """Raised when the server cannot be reached; every file waits."""


class TokenError(Exception):
    """Raised when the server takes nothing with this token or account; every file waits."""


class TryAgainError(Exception):
    """Raised when the server cannot take this file now.

    Attributes:
        after_s: seconds to wait, as the server says; None if it does not.
    """

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class RefusedError(Exception):
    """Raised when the server will never take this file."""


@dataclass(frozen=True)
class Server:
    """Where files are sent.

    Attributes:
        url: scheme, host and port.
        token: the bearer token.
        context: how the server's certificate is verified; None for HTTP on this computer.
    """

    url: urllib.parse.SplitResult
    token: str
    context: ssl.SSLContext | None
    timeout_s: float = TIMEOUT_S

    def send(self, path: Path, entry: Entry) -> str:
        """Send a file; return what the server says about it.

        Raises:
            NoConnectionError, TokenError, TryAgainError, RefusedError: it has not been stored, or
                nobody knows.
        """
        boundary = uuid.uuid4().hex
        name = "".join(
            letter if letter.isprintable() and letter not in '"\\' else "_"
            for letter in Path(entry.path).name
        )
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{FIELD}"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Idempotency-Key": entry.sha256,
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
            "Accept": "application/json",
            "User-Agent": f"xraysite-send/{VERSION}",
        }
        connection = self._connected()
        try:
            address = f"{self.url.path.rstrip('/')}{UPLOAD}"
            body = _body(head, path, tail)
            # A server may refuse a file before it has received all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", address, body=body, headers=headers)
            reply = connection.getresponse()
            return _outcome(reply, reply.read(MAX_REPLY))
        except (OSError, http.client.HTTPException) as error:
            raise TryAgainError(f"The connection broke: {error or type(error).__name__}") from error
        finally:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        connection = self._connection()
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise NoConnectionError(f"The server's certificate is not valid: {error}") from error
        except OSError as error:
            raise NoConnectionError(str(error) or type(error).__name__) from error
        return connection

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self.url.hostname or "", self.url.port
        if self.context is None:
            return http.client.HTTPConnection(host, port, timeout=self.timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self.timeout_s, context=self.context)


def _body(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while chunk := file.read(2**16):
            yield chunk
    yield tail


def _outcome(reply: http.client.HTTPResponse, body: bytes) -> str:
    """Return what the server says about a file that it has taken."""
    status, text = reply.status, _sentence(body)
    if status in (200, 201):
        if not _is_receipt(body):
            # Such as the page of a proxy that says that the site is being updated.
            raise TryAgainError("The server's answer does not say that it has the file.")
        return text
    if status in (401, 403):
        raise TokenError(text or "The server does not accept the token.")
    if status in (408, 409, 423, 425, 429) or status >= 500:
        raise TryAgainError(text or f"The server answered {status}.", _seconds(reply))
    if 300 <= status < 400:
        raise NoConnectionError(f"The address is not the server's: it answered {status}.")
    if status in (404, 405):
        raise NoConnectionError(f"This server takes no uploads at {UPLOAD}: it answered {status}.")
    raise RefusedError(text or f"The server answered {status}.")


def _is_receipt(body: bytes) -> bool:
    """Return whether a reply is the API's list of the files that it has taken."""
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and isinstance(said.get("items"), list)


def _seconds(reply: http.client.HTTPResponse) -> float | None:
    text = reply.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None


def _sentence(body: bytes) -> str:
    """Return the sentence of a problem (RFC 9457), "" if the reply has none."""
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    detail = said.get("detail", "") if isinstance(said, dict) else ""
    return detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False)


# The program ------------------------------------------------------------------------------------


def delay_after(attempts: int) -> float:
    """Return seconds to wait after so many failures: twice as long each time, at random by 20 %."""
    delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(attempts, 20))
    return delay * random.uniform(0.8, 1.2)  # noqa: S311


class Sender:
    """Takes files from a folder and sends what is in the queue, until it is stopped."""

    def __init__(
        self, folder: Folder, queue: Queue, server: Server, *, watch: bool, give_up_s: float | None
    ) -> None:
        self.folder, self.queue, self.server = folder, queue, server
        self.watch, self.give_up_s = watch, give_up_s
        self.stopped = threading.Event()
        self._failures = 0
        self._not_before = 0.0
        self._looks_again = False
        self._said = ""

    def run(self) -> int:
        """Send; return the exit status."""
        began, pause = time.monotonic(), 0.0
        while not self.stopped.wait(pause):
            self._looks_again = False
            self._take()
            pause = self._send_waiting()
            waiting = self.queue.counts()[QUEUED]
            is_done = not waiting and not self._looks_again and self.folder.is_settled()
            if is_done and not self.watch:
                break
            late = self.give_up_s is not None and time.monotonic() - began > self.give_up_s
            if late and not self.watch:
                break
        return self._end()

    def stop(self) -> None:
        self.stopped.set()

    def _take(self) -> None:
        for path, size, mtime in self.folder.finished():
            if self.queue.has_seen(path, size, mtime):
                continue
            try:
                self.queue.add(path, written(path.relative_to(self.folder.path)), size, mtime)
            except OSError as error:
                self._say(f"A file cannot be taken yet: {error.strerror or error}")

    def _send_waiting(self) -> float:
        """Send what is due; return the seconds until there may be something to do."""
        if (left := self._not_before - time.monotonic()) > 0:
            return self._pause(left)
        while (entry := self.queue.next(time.time())) is not None:
            if self.stopped.is_set():
                return 0.0
            copy = self.queue.spool / entry.sha256
            if not _is_intact(copy, entry):
                self.queue.forget(entry)
                self._looks_again = True
                continue
            try:
                said = self.server.send(copy, entry)
            except TokenError as error:
                self._say(f"The server takes nothing from this account: {error}")
                if not self.watch:
                    self.stop()
                return self._wait(REFUSED_TOKEN_DELAY_S)
            except NoConnectionError as error:
                self._failures += 1
                self._say(f"No connection: {error}")
                return self._wait(delay_after(self._failures - 1))
            except TryAgainError as error:
                wait = error.after_s if error.after_s is not None else delay_after(entry.attempts)
                self.queue.postpone(entry, time.time() + wait, str(error))
                self._say(f"The server cannot take a file now: {error}")
                continue
            except RefusedError as error:
                self.queue.settle(entry, REFUSED, str(error))
                self._say(f"Refused: {entry.path}: {error}")
            else:
                self.queue.settle(entry, SENT, said)
            self._failures = 0
            self._show_progress()
        due = self.queue.next_due()
        return self._pause(5.0 if due is None else max(0.1, due - time.time()))

    def _wait(self, seconds: float) -> float:
        """Send nothing for so long, but go on taking files."""
        self._not_before = time.monotonic() + seconds
        return self._pause(seconds)

    def _pause(self, seconds: float) -> float:
        """Return how long to wait: new files are looked for at least every five seconds."""
        return min(seconds, max(0.2, min(5.0, self.folder.settle_s or 5.0)))

    def _show_progress(self) -> None:
        counts = self.queue.counts()
        self._said = ""
        text = f"{counts[SENT]} sent, {counts[QUEUED]} waiting, {counts[REFUSED]} refused"
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r{text[:width]:<{width}}")
        else:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def _say(self, text: str) -> None:
        """Print a sentence, unless it is the one that was printed last."""
        if text != self._said:
            line_end = "\r\n" if sys.stderr.isatty() else ""
            sys.stderr.write(f"{line_end}{time.strftime('%H:%M:%S')} {text}\n")
            sys.stderr.flush()
        self._said = text

    def _end(self) -> int:
        counts = self.queue.counts()
        if sys.stderr.isatty():
            sys.stderr.write("\n")
        for path, reason in self.queue.refused():
            sys.stdout.write(f"refused: {path}: {reason}\n")
        sys.stdout.write(
            f"{counts[SENT]} sent, {counts[QUEUED]} waiting, {counts[REFUSED]} refused.\n"
        )
        if counts[QUEUED]:
            sys.stdout.write("Call the program again to send what is waiting.\n")
            return 3
        return 1 if counts[REFUSED] else 0


def _is_intact(copy: Path, entry: Entry) -> bool:
    """Return whether a copy is still what was taken, after a crash or with a failing disk."""
    try:
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except OSError:
        return False


def token_of(path: Path | None) -> str:
    """Return the token.

    Raises:
        UsageError: no token is set, or others can read its file.
    """
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise UsageError(f"Give a token, by --token-file FILE or in {TOKEN_VARIABLE}.")
        return token
    try:
        mode, token = path.stat().st_mode, path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The token file {path} cannot be read: {error}") from error
    if os.name == "posix" and mode & 0o077:
        raise UsageError(f"Others can read the token. Run: chmod 600 {path}")
    if not token or not token.isprintable():
        raise UsageError(f"The token file {path} has no token.")
    return token


def server_of(address: str, token: str, ca_file: Path | None) -> Server:
    """Return the server at an address.

    Raises:
        UsageError: it is no address, or would be sent patients' data in the clear.
    """
    url = urllib.parse.urlsplit(address)
    try:
        is_valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_valid = False
    if not is_valid or url.username or url.query:
        raise UsageError(f"No address of a server: {address!r}. Give https://HOST.")
    if url.scheme == "http":
        if url.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UsageError("Patients' data are sent encrypted only: the address begins https://.")
        return Server(url, token, None)
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise UsageError(f"The certificates {ca_file} cannot be read: {error}") from error
    return Server(url, token, context)


def default_queue(address: str) -> Path:
    """Return the folder of the queue for a server, in the account's own files."""
    if os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "xraysite-send" / hashlib.sha256(address.encode()).hexdigest()[:16]


def dry_run(folder: Folder, queue: Path) -> int:
    """List what would be sent, without queue, token or connection."""
    known: set[tuple[str, int, int]] = set()
    rows = queue / "queue.sqlite3"
    if rows.exists():
        with contextlib.closing(sqlite3.connect(f"{rows.as_uri()}?mode=ro", uri=True)) as found:
            known = set(found.execute("SELECT path, size, mtime FROM seen"))
    count = total = 0
    for path, size, mtime in folder.files():
        if size and (written(path), size, mtime) not in known:
            shown = written(path.relative_to(folder.path))
            sys.stdout.write(f"{shown}  {size / 2**20:.1f} MB\n")
            count, total = count + 1, total + size
    sys.stdout.write(f"{count} files to send, {total / 2**20:.1f} MB. Nothing was sent.\n")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="xraysite-send",
        description="Send the X-rays in a folder to an xraysite server, once each.",
    )
    made.add_argument("dir", type=Path, metavar="DIR", help="the folder, with its subfolders")
    made.add_argument("--server", required=True, metavar="URL", help="such as https://HOST")
    made.add_argument("--token-file", type=Path, metavar="FILE", help="readable by you alone")
    made.add_argument("--ca-file", type=Path, metavar="PEM", help="the hospital's own certificates")
    made.add_argument("--queue", type=Path, metavar="DIR", help="where files wait to be sent")
    made.add_argument("--watch", action="store_true", help="go on until stopped")
    made.add_argument("--dry-run", action="store_true", help="list the files and send nothing")
    made.add_argument("--retry-refused", action="store_true", help="send refused files again")
    made.add_argument(
        "--settle", type=float, default=5, metavar="SECONDS",
        help="take a file when it has not changed for so long (default: 5)",
    )  # fmt: skip
    made.add_argument(
        "--give-up-after", type=float, metavar="SECONDS",
        help="end then, although files are waiting (default: never)",
    )  # fmt: skip
    made.add_argument("--version", action="version", version=f"xraysite-send {VERSION}")
    return made


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        if not options.dir.is_dir():
            raise UsageError(f"No such folder: {options.dir}")
        folder = Folder(options.dir.resolve(), max(0.0, options.settle))
        place = (options.queue or default_queue(options.server)).resolve()
        if place.is_relative_to(folder.path):
            raise UsageError("The queue must not be in the folder that is sent.")
        if options.dry_run:
            return dry_run(folder, place)
        server = server_of(options.server, token_of(options.token_file), options.ca_file)
        return _run(options, folder, place, server)
    except UsageError as error:
        sys.stderr.write(f"xraysite-send: {error}\n")
        return 2
    except (OSError, sqlite3.Error) as error:
        sys.stderr.write(f"xraysite-send: the queue cannot be used: {error}\n")
        return 2


def _run(options: Any, folder: Folder, place: Path, server: Server) -> int:
    queue = Queue(place)
    if options.retry_refused:
        queue.retry_refused()
    sender = Sender(folder, queue, server, watch=options.watch, give_up_s=options.give_up_after)
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: sender.stop())
    try:
        return sender.run()
    finally:
        queue.close()


if __name__ == "__main__":
    sys.exit(main())
