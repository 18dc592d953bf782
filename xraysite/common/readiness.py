"""Whether the site can work now: checks that really try, each shared by concurrent callers.

Apps register their checks when Django starts. A check is tried at most once in `TTL_S` seconds by
each process, so neither a page nor a monitor can make it expensive.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

# Seconds for which an outcome counts, and for which a caller waits for another one's try.
TTL_S = 10.0
WAIT_S = 5.0


class NotReadyError(Exception):
    """Raised by a check that fails.

    Attributes:
        code: why, in a word that everybody may read, such as "full".
        detail: further information for operators.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        name: the check.
        code: "" if all is well, otherwise a word such as "full".
        detail: for operators; may contain paths.
        is_vital: whether the site cannot do its work if this fails.
    """

    name: str
    code: str = ""
    detail: str = ""
    is_vital: bool = True

    @property
    def is_ok(self) -> bool:
        return not self.code


@dataclass
class _Check:
    name: str
    run: Callable[[], None]
    is_vital: bool
    lock: threading.Lock = field(default_factory=threading.Lock)
    outcome: Outcome | None = None
    at: float = float("-inf")


_CHECKS: dict[str, _Check] = {}


def register(name: str, run: Callable[[], None], *, is_vital: bool = True) -> None:
    """Add a check.

    Args:
        name: what is checked, in lower case, such as "database".
        run: tries it and raises `NotReadyError` if that fails.
        is_vital: whether the site cannot do its work if it fails.
    """
    _CHECKS[name] = _Check(name, run, is_vital)


def outcomes(names: Iterable[str] | None = None) -> list[Outcome]:
    """Return what the checks find now, or found at most `TTL_S` seconds ago.

    Args:
        names: the checks to try; defaults to all.
    """
    chosen = _CHECKS.values() if names is None else [_CHECKS[name] for name in names]
    return [_outcome(check) for check in chosen]


def forget() -> None:
    """Try every check again when it is next asked for."""
    for check in _CHECKS.values():
        check.at = float("-inf")


def _outcome(check: _Check) -> Outcome:
    if not check.lock.acquire(timeout=WAIT_S):
        return Outcome(check.name, "slow", f"A try has been running for {WAIT_S:g} s or longer.")
    try:
        if check.outcome is None or time.monotonic() - check.at >= TTL_S:
            check.outcome = _tried(check, check.outcome)
            check.at = time.monotonic()
        return check.outcome
    finally:
        check.lock.release()


def _tried(check: _Check, before: Outcome | None) -> Outcome:
    try:
        check.run()
    except NotReadyError as error:
        found = Outcome(check.name, error.code, error.detail, check.is_vital)
    except Exception as error:
        logger.exception("The check of %s failed.", check.name)
        found = Outcome(check.name, "error", repr(error), check.is_vital)
    else:
        found = Outcome(check.name, is_vital=check.is_vital)
    if found.code != (before.code if before else ""):
        level = logging.INFO if found.is_ok else logging.ERROR
        logger.log(level, "Readiness of %s: %s", check.name, found.detail or found.code or "ok")
    return found


def code_of(error: OSError) -> str:
    """Return the code of an error of a storage: "full", "read-only" or "unreachable"."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "full"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "read-only"
    return "unreachable"
