"""What keeps the site from working although its code is right: full, read-only or locked storage.

Each state has a code for the log, and a page that says what to do instead of a general error.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Fault:
    """A state of the server in which a request cannot be answered.

    Attributes:
        code: for the log and the administrator.
        title: the page's heading.
        text: what it means for the reader, and what to do.
        retry_after: seconds after which to try again.
    """

    code: str
    title: str | Promise
    text: str | Promise
    retry_after: int


STORAGE_FULL = Fault(
    "storage-full",
    _("The server's storage is full"),
    _(
        "Nothing was saved. X-rays that are stored already can still be viewed. Ask your system "
        "administrator to free space, then send it again."
    ),
    300,
)
STORAGE_READ_ONLY = Fault(
    "storage-read-only",
    _("The server's storage cannot be written"),
    _(
        "Nothing was saved. X-rays that are stored already can still be viewed. Ask your system "
        "administrator to make the storage writable, then send it again."
    ),
    300,
)
STORAGE_FAILED = Fault(
    "storage-failed",
    _("The server's storage has a hardware error"),
    _("Nothing was saved. Inform your system administrator before you try again."),
    300,
)
DATABASE_LOCKED = Fault(
    "database-locked",
    _("The database is busy"),
    _("Nothing was saved. Wait a few seconds, then try again."),
    10,
)
DATABASE_FULL = Fault(
    "database-full",
    _("The database's disk is full"),
    _("Nothing was saved. Ask your system administrator to free space, then try again."),
    300,
)
DATABASE_READ_ONLY = Fault(
    "database-read-only",
    _("The database cannot be written"),
    _("Nothing was saved. Ask your system administrator to make it writable, then try again."),
    300,
)
DATABASE_DAMAGED = Fault(
    "database-damaged",
    _("The database cannot be read"),
    _("Inform your system administrator. Nothing more is saved until the database is repaired."),
    600,
)
DATABASE_UNREACHABLE = Fault(
    "database-unreachable",
    _("The database cannot be reached"),
    _(
        "It is unknown whether your last change was saved. Try again in a minute, and look whether "
        "it is there before you send it again."
    ),
    30,
)

_BY_ERRNO = {
    errno.ENOSPC: STORAGE_FULL,
    errno.EDQUOT: STORAGE_FULL,
    errno.EROFS: STORAGE_READ_ONLY,
    errno.EACCES: STORAGE_READ_ONLY,
    errno.EPERM: STORAGE_READ_ONLY,
    errno.EIO: STORAGE_FAILED,
}
# Beginnings of SQLite's messages.
_BY_MESSAGE = {
    "database is locked": DATABASE_LOCKED,
    "database table is locked": DATABASE_LOCKED,
    "database or disk is full": DATABASE_FULL,
    "attempt to write a readonly database": DATABASE_READ_ONLY,
    "disk i/o error": DATABASE_DAMAGED,
    "database disk image is malformed": DATABASE_DAMAGED,
    "file is not a database": DATABASE_DAMAGED,
    "unable to open database file": DATABASE_UNREACHABLE,
}
# Beginnings of PostgreSQL's codes; see "PostgreSQL Error Codes" in its documentation.
_BY_SQLSTATE = {
    "53100": DATABASE_FULL,
    "25006": DATABASE_READ_ONLY,
    "40P01": DATABASE_LOCKED,
    "55P03": DATABASE_LOCKED,
    "57014": DATABASE_LOCKED,
    "XX001": DATABASE_DAMAGED,
    "XX002": DATABASE_DAMAGED,
    "08": DATABASE_UNREACHABLE,
    "53": DATABASE_UNREACHABLE,
    "57P": DATABASE_UNREACHABLE,
}


def fault_of(error: BaseException) -> Fault | None:
    """Return the state of the server that caused an exception; None if it is another error.

    An error that was merely raised while another one was handled is an error of its own.
    """
    for each in _chain(error):
        if isinstance(each, DatabaseError | InterfaceError):
            fault = _of_database(each)
        elif isinstance(each, OSError):
            fault = _BY_ERRNO.get(each.errno or 0)
        else:
            continue
        if fault is not None:
            return fault
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _of_database(error: Exception) -> Fault | None:
    message = str(error).lower()
    for start, fault in _BY_MESSAGE.items():
        if message.startswith(start):
            return fault
    cause = error.__cause__
    if not type(cause).__module__.startswith("psycopg"):
        return None
    state = getattr(cause, "sqlstate", None)
    if state is None:  # no answer from the server
        is_lost = type(cause).__name__ in ("OperationalError", "InterfaceError")
        return DATABASE_UNREACHABLE if is_lost else None
    return next((fault for start, fault in _BY_SQLSTATE.items() if state.startswith(start)), None)
