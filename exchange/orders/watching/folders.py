"""The files of a watched folder: which are finished, and where they go. No database."""

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from diagnosis.batches.names import is_junk
from xraysite.common.atomic_write import write_atomically

DONE, REFUSED = "done", "refused"
# What copying programs call a file until it is complete.
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".!ut")


@dataclass(frozen=True)
class Found:
    """A file of the folder: where it is, and what tells whether it has changed."""

    path: Path
    size: int
    mtime: int
    inode: tuple[int, int]

    @property
    def stamp(self) -> tuple[int, int]:
        return self.size, self.mtime


@dataclass
class Folder:
    """A folder with subfolders, perhaps on a network share: it is looked at, not notified.

    Attributes:
        root: the folder.
        settle_s: for how many seconds size and time of a file must stay as they are.
    """

    root: Path
    settle_s: float
    _looks: dict[Path, tuple[tuple[int, int], float]] = field(default_factory=dict)
    _growing: set[tuple[int, int]] = field(default_factory=set)

    def finished(self) -> list[Found]:
        """Return the files that nobody writes to any more.

        A file that was seen under an unfinished name is finished as soon as it is renamed.

        Raises:
            OSError: the folder cannot be read, such as a share without its server.
        """
        looks, self._looks = self._looks, {}
        growing, self._growing = self._growing, set()
        now, ready = time.monotonic(), []
        for found in self._files():
            if found.path.name.lower().endswith(UNFINISHED):
                self._growing.add(found.inode)
                continue
            stamp, since = looks.get(found.path, (found.stamp, now))
            since = since if stamp == found.stamp else now
            self._looks[found.path] = found.stamp, since
            if found.inode in growing or now - since >= self.settle_s:
                self._looks[found.path] = found.stamp, now - self.settle_s
                ready.append(found)
        return ready

    def is_settled(self) -> bool:
        """Return whether every file of the last look was finished."""
        now = time.monotonic()
        settled = (now - since >= self.settle_s for _stamp, since in self._looks.values())
        return all(settled) and not self._growing

    def _files(self, folder: Path | None = None) -> Iterator[Found]:
        here = folder or self.root
        with os.scandir(here) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            if entry.name.startswith((".", "~")) or is_junk(entry.name):
                continue
            path = Path(entry.path)
            if path in (self.root / DONE, self.root / REFUSED):
                continue
            # A file may be gone since the folder was read.
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    yield from self._files(path)
                elif entry.is_file(follow_symlinks=False):
                    facts = path.lstat()
                    inode = (facts.st_dev, facts.st_ino)
                    yield Found(path, facts.st_size, facts.st_mtime_ns, inode)

    def names(self) -> set[str]:
        """Return the files of the last look, as `shown`."""
        return {self._written(path) for path in self._looks}

    def shown(self, found: Found) -> str:
        """Return a file's name with its folders, as seen from the watched folder."""
        return self._written(found.path)

    def _written(self, path: Path) -> str:
        """Return a path as text: a file's name need not be in the system's character set."""
        name = path.relative_to(self.root).as_posix()
        return os.fsencode(name).decode("utf-8", "backslashreplace")

    def read(self, found: Found, limit: int) -> bytes | None:
        """Return the content of a file; None if it has changed meanwhile.

        Raises:
            OSError: it cannot be read.
        """
        descriptor = os.open(found.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(limit + 1)
            facts = os.fstat(file.fileno())
        is_same = stat.S_ISREG(facts.st_mode) and len(data) == min(found.size, limit + 1)
        return data if is_same and (facts.st_size, facts.st_mtime_ns) == found.stamp else None

    def move(self, found: Found, into: str, reason: str = "") -> None:
        """Move a file to `done` or `refused`, with its folders; beside it a text with the reason.

        Raises:
            OSError: it cannot be moved.
        """
        if not is_unchanged(found):
            return  # another file of this name: it has its own turn
        target = _free(self.root / into / found.path.relative_to(self.root))
        target.parent.mkdir(parents=True, exist_ok=True)
        if reason:
            target.with_name(f"{target.name}.txt").write_text(f"{reason}\n", encoding="utf-8")
        found.path.rename(target)
        self._looks.pop(found.path, None)


def is_unchanged(found: Found) -> bool:
    """Return whether a file is still the one that was looked at."""
    try:
        facts = found.path.lstat()
    except FileNotFoundError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == found.stamp


def _free(path: Path) -> Path:
    """Return a path that no file has: with a number before its ending, if need be."""
    number, free = 1, path
    while free.exists() or free.with_name(f"{free.name}.txt").exists():
        number += 1
        free = path.with_name(f"{path.stem} ({number}){path.suffix}")
    return free


class Ledger:
    """What became of files that stay where they are, so that they are not read again.

    Losing it costs time and nothing else: the database knows each file by its content.

    Args:
        path: a JSON file, written as a whole; None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, list[int]] = {}
        self._is_changed = False
        if path is not None:
            with contextlib.suppress(FileNotFoundError, ValueError):
                known = json.loads(path.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}

    def has(self, name: str, found: Found) -> bool:
        return self._known.get(name) == list(found.stamp)

    def add(self, name: str, found: Found) -> None:
        """Note that a file is done with; `save` writes it."""
        self._known[name] = list(found.stamp)
        self._is_changed = True

    def save(self) -> None:
        """Write what has changed.

        Raises:
            OSError: it cannot be written.
        """
        if self._path is not None and self._is_changed:
            content = json.dumps(self._known, ensure_ascii=False, indent=0)
            write_atomically(self._path, content.encode())
        self._is_changed = False

    def forget_all_but(self, names: set[str]) -> None:
        """Forget files that are no longer in the folder."""
        kept = {name: stamp for name, stamp in self._known.items() if name in names}
        self._is_changed = self._is_changed or len(kept) < len(self._known)
        self._known = kept
