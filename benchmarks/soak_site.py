"""A temporary site for `soak`, its clients, and a journal of what they were told."""

import hashlib
import http.client
import os
import re
import shutil
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

READING = re.compile(r"^/readings/([0-9a-f-]{36})/$")
CHECK = re.compile(r"^/readings/new/check/[0-9a-f-]{36}/$")
# Tries after which a file is never answered finally: the doctor would try for ever.
MOST_TRIES = 200
# How an upload may end. The first three are final answers.
FINAL = ("acknowledged", "asked", "refused")
STORED = ("acknowledged", "asked", "unanswered", "error", "unavailable")


@dataclass
class Attempt:
    """An upload: what was sent, and every answer to it.

    Attributes:
        number: the patient number, different for each upload.
        kind: "load", or the kind of the mutated file.
        sha256: of the file.
        answers: outcomes in the order of the tries, all with one submission number.
        reading: the reading's id, if it was acknowledged.
        slowest: seconds of the slowest answer.
    """

    number: str
    kind: str
    sha256: str
    answers: list[str] = field(default_factory=list)
    reading: str = ""
    slowest: float = 0.0

    @property
    def outcome(self) -> str:
        return self.answers[-1]


@dataclass
class Journal:
    """What the clients were told, shared by all threads."""

    attempts: list[Attempt] = field(default_factory=list)
    pages: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def complain(self, text: str) -> None:
        with self.lock:
            self.wrong.append(text)


@dataclass(frozen=True)
class Answer:
    status: int
    location: str
    retry_after: str
    seconds: float

    @property
    def outcome(self) -> str:
        if self.status == 302:
            if READING.match(self.location):
                return "acknowledged"
            return "asked" if CHECK.match(self.location) else "error"
        if self.status == 503:
            return "busy" if self.retry_after else "unavailable"
        if self.status == 507:  # no room for the request itself
            return "unavailable"
        if self.status == 429:
            return "limited"
        return "error" if self.status >= 500 else "refused"


class Client:
    """A signed-in doctor.

    Args:
        port: of the server, on this machine.
        headers: as of `serving.signed_in`.
        journal: where answers are noted.
        deadline: seconds for an answer; a later one counts as wrong.
    """

    def __init__(self, port: int, headers: dict[str, str], journal: Journal, deadline: float):
        self.port, self.headers, self.journal = port, headers, journal
        self.deadline = deadline

    def ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> Answer | None:
        """Send a request; None if the connection broke before the answer."""
        headers = self.headers | ({"Content-Type": kind} if kind else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10 * self.deadline)
        started = time.perf_counter()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return Answer(
            response.status,
            response.headers.get("Location", ""),
            response.headers.get("Retry-After", ""),
            time.perf_counter() - started,
        )

    def view(self, path: str) -> None:
        answer = self.ask("GET", path)
        outcome = "unanswered" if answer is None else str(answer.status)
        with self.journal.lock:
            self.journal.pages[outcome] += 1
        if answer is not None and answer.status == 500:
            self.journal.complain(f"GET {path.split('/')[-2] or path} answered 500")

    def send(
        self, data: bytes, *, name: str, kind: str, stop: threading.Event, pause: float = 0.5
    ) -> Attempt:
        """Upload a file, again and again until the answer is final, as a doctor would."""
        from django.core.files.uploadedfile import SimpleUploadedFile
        from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

        submission = uuid.uuid4()
        attempt = Attempt(submission.hex[:16], kind, hashlib.sha256(data).hexdigest())
        fields = {
            "patient_name": "Doe Jane", "patient_number": attempt.number, "patient_age_years": 3,
            "exam_date": "2026-01-02", "submission": str(submission),
            "film": SimpleUploadedFile(name, data, "application/octet-stream"),
        }  # fmt: skip
        body = encode_multipart(BOUNDARY, fields)
        while not attempt.answers or (attempt.outcome not in FINAL and not stop.is_set()):
            answer = self.ask("POST", "/readings/new/", body, MULTIPART_CONTENT)
            attempt.answers.append("unanswered" if answer is None else answer.outcome)
            if answer is not None:
                self._note(attempt, answer)
            if len(attempt.answers) >= MOST_TRIES:
                said = dict(Counter(attempt.answers))
                self.journal.complain(f"{attempt.kind}: no final answer in {MOST_TRIES}: {said}")
                break
            if attempt.outcome not in FINAL:
                stop.wait(pause)
        with self.journal.lock:
            self.journal.attempts.append(attempt)
        return attempt

    def _note(self, attempt: Attempt, answer: Answer) -> None:
        attempt.slowest = max(attempt.slowest, answer.seconds)
        if answer.outcome == "error":
            self.journal.complain(f"{attempt.kind}: answered {answer.status}")
        if answer.outcome in FINAL and answer.seconds > self.deadline:
            self.journal.complain(f"{attempt.kind}: answered after {answer.seconds:.0f} s")
        if answer.outcome == "acknowledged":
            attempt.reading = READING.match(answer.location)[1]  # type: ignore[index]
            with self.journal.lock:
                self.journal.seconds.append(answer.seconds)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a disk of this size, where that is permitted; yields whether it is."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mount = shutil.which("mount")
    options = f"size={megabytes}m,mode=700"
    command = [str(mount), "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = mount and os.geteuid() == 0 and not subprocess.run(
        command, check=False, capture_output=True
    ).returncode  # fmt: skip
    try:
        yield bool(done)
    finally:
        if done:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
