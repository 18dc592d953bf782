"""Looking at a folder again and again: what is finished is taken, what is done with is moved."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connections

from accounts.models import User
from diagnosis.batches import reading, running
from diagnosis.models import Team
from diagnosis.services.quotas import QuotaError
from exchange.orders.watching import folders, taking
from exchange.orders.watching.folders import Folder, Found, Ledger
from exchange.orders.watching.taking import Outcome, Verdict
from xraysite.common.background import tasks

logger = logging.getLogger(__name__)

# A problem that lasts is logged again after so many seconds.
REMIND_S = 600
LONGEST_PAUSE_S = 60.0

Owner = Callable[[], tuple[User, Team | None]]


@dataclass
class Counts:
    """How many files have ended how, since the watch began."""

    read: int = 0
    inbox: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return f"{self.read} read, {self.inbox} in the inbox, {self.refused} refused"


@dataclass
class Watcher:
    """A watched folder.

    Attributes:
        folder: the folder.
        owner: returns who reads its files, and the team; asked on each look.
        ledger: where files stay in their place: what became of them. None moves them.
        worker: name of what reads the files, without workers. The same for each process that
            watches the folder, so that it takes over at once what a killed one was reading.
        interval_s: seconds between looks.
        once: end as soon as every file is done with.
    """

    folder: Folder
    owner: Owner
    ledger: Ledger | None
    worker: str
    interval_s: float
    once: bool = False
    stopped: threading.Event = field(default_factory=threading.Event)
    counts: Counts = field(default_factory=Counts)
    _taken: dict[str, tuple[tuple[int, int], uuid.UUID | None]] = field(default_factory=dict)
    _failures: int = 0
    _logged: dict[str, float] = field(default_factory=dict)

    def run(self) -> Counts:
        """Watch until stopped, or with `once` until everything is done with."""
        while not self.stopped.is_set():
            is_done = self._look()
            if self.once and is_done:
                break
            self.stopped.wait(self._pause())
        logger.info("The watch ended: %s.", self.counts)
        return self.counts

    def _pause(self) -> float:
        if not self._failures:
            return self.interval_s
        return min(LONGEST_PAUSE_S, self.interval_s * 2 ** min(self._failures, 10))

    def _look(self) -> bool:
        """Look at the folder once; return whether nothing is left to be done."""
        try:
            doctor, team = self.owner()
            ready = self.folder.finished()
            waiting = [found for found in ready if not self._handle(found, doctor, team)]
            self._tidy()
        except QuotaError:
            self._fail("quota", "The doctor's storage is used up; files wait in the folder.")
        except PermissionDenied:
            self._fail("account", "The doctor's account may not read X-rays; files wait.")
        except DatabaseError as error:
            cause = type(error).__name__
            connections.close_all()  # the server may have been restarted
            self._fail("database", f"The database is not available ({cause}); files wait.")
        except OSError as error:
            self._fail("folder", f"The folder or the storage is not available: {_cause(error)}.")
        else:
            self._failures = 0
            return not waiting and self.folder.is_settled()
        return False

    def _handle(self, found: Found, doctor: User, team: Team | None) -> bool:
        """Take a finished file or look what has become of it; return whether it is done with."""
        if self.stopped.is_set():
            return False
        name = self.folder.shown(found)
        if self.ledger is not None and self.ledger.has(name, found):
            return True
        stamp, item_id = self._taken.get(name, (None, None))
        if stamp == found.stamp and item_id is not None:
            return self._end(found, taking.verdict_of(item_id, doctor))
        try:
            data = self.folder.read(found, settings.FILM_MAX_BYTES)
        except OSError as error:  # such as one that its program has locked: others go on
            self._say("file", f"A file cannot be read yet: {_cause(error)}.")
            return False
        if data is None:
            return False
        if reason := taking.refusal_of(name, data, doctor):
            return self._end(found, Verdict(Outcome.REFUSED, reason))
        item_id = taking.take(doctor=doctor, team=team, name=name, data=data)
        if item_id is None:
            return self._end(found, Verdict(Outcome.READ))
        logger.info("Took a file of %d bytes as %s.", len(data), item_id)
        self._taken[name] = found.stamp, item_id
        if not tasks.has_workers():
            reading.read_item(item_id=item_id, worker=self.worker)
        return self._end(found, taking.verdict_of(item_id, doctor))

    def _end(self, found: Found, verdict: Verdict) -> bool:
        """Move a file that is done with, or note it; return whether it is."""
        if verdict.outcome == Outcome.PENDING:
            return False
        name, is_refused = self.folder.shown(found), verdict.outcome == Outcome.REFUSED
        if self.ledger is None:
            into = folders.REFUSED if is_refused else folders.DONE
            try:
                self.folder.move(found, into, verdict.reason if is_refused else "")
            except OSError as error:
                self._say("move", f"A file cannot be moved yet: {_cause(error)}.")
                return False
        else:
            self.ledger.add(name, found)
        _stamp, item_id = self._taken.pop(name, (None, None))
        logger.info("A file %s (%s).", verdict.outcome.value, item_id or "known or no X-ray")
        self.counts.read += verdict.outcome == Outcome.READ
        self.counts.inbox += verdict.outcome == Outcome.INBOX
        self.counts.refused += is_refused
        return True

    def _tidy(self) -> None:
        """Forget files that are gone, keep the ledger, and revive what killed workers left."""
        present = self.folder.names()
        self._taken = {name: taken for name, taken in self._taken.items() if name in present}
        if self.ledger is not None:
            self.ledger.forget_all_but(present)
            self.ledger.save()
        if self._taken:
            running.revive()
            if not tasks.has_workers():
                running.read_waiting(self.worker)

    def _fail(self, code: str, text: str) -> None:
        """Note that a look failed, and say so."""
        self._failures += 1
        self._say(code, text)

    def _say(self, code: str, text: str) -> None:
        """Log a problem, but not each time."""
        now = time.monotonic()
        if now - self._logged.get(code, -REMIND_S) >= REMIND_S:
            self._logged[code] = now
            logger.error("%s", text)


def _cause(error: OSError) -> str:
    """Return the cause of an error without the path, which may contain a patient's name."""
    return error.strerror or type(error).__name__
