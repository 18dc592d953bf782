"""What `soak` compares at the end: what clients were told, and what the site has stored."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import ROOT
from soak_site import STORED, Journal


def lost(journal: Journal) -> Iterator[str]:
    """Yield a sentence for everything that is not as it should be."""
    yield from journal.wrong
    yield from _readings(journal)
    yield from _refused(journal)
    yield from _fsck()
    yield from _audit()


def _readings(journal: Journal) -> Iterator[str]:
    from diagnosis.models import Reading

    rows: dict[str, list[Any]] = {}
    for pk, number, sha256 in Reading.objects.values_list("pk", "patient_number", "film_sha256"):
        rows.setdefault(number, []).append((str(pk), sha256))
    for attempt in journal.attempts:
        stored = rows.pop(attempt.number, [])
        if attempt.reading and (attempt.reading, attempt.sha256) not in stored:
            yield f"The acknowledged reading {attempt.reading} is missing or of another film."
        elif attempt.reading and not _film_is_whole(attempt.sha256):
            yield f"The film of the reading {attempt.reading} is missing or damaged."
        elif stored and not set(attempt.answers) & (set(STORED) - {"asked"}):
            yield f"{attempt.kind}: stored although it was only {attempt.outcome}."
        if len(stored) > 1:
            yield f"{attempt.kind}: stored {len(stored)} times."
    for number in rows:
        yield f"The reading of patient {number} was sent by nobody."


def _original(sha256: str) -> Path:
    from django.core.files.storage import storages

    from diagnosis import storage

    return Path(storages["films"].path(storage.original_name(sha256)))


def _film_is_whole(sha256: str) -> bool:
    try:
        return hashlib.sha256(_original(sha256).read_bytes()).hexdigest() == sha256
    except OSError:
        return False


def _refused(journal: Journal) -> Iterator[str]:
    """Check that no file stays of an upload that was refused."""
    kept = {each.sha256 for each in journal.attempts if set(each.answers) & set(STORED)}
    for attempt in journal.attempts:
        if attempt.sha256 not in kept and _original(attempt.sha256).exists():
            yield f"{attempt.kind}: refused, but its file was kept."


def _manage(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def _fsck() -> Iterator[str]:
    done = _manage("fsck", "--json")
    try:
        findings = json.loads(done.stdout)["findings"]
    except (ValueError, KeyError):
        yield f"fsck failed: {done.stderr[-500:]}"
        return
    for code, count in Counter(each["code"] for each in findings).items():
        example = next(each for each in findings if each["code"] == code)
        yield f"fsck: {count} × {code}, for example {json.dumps(example)}"


def _audit() -> Iterator[str]:
    done = _manage("verify_audit")
    if done.returncode:
        yield f"verify_audit: {(done.stdout + done.stderr)[-500:]}"
