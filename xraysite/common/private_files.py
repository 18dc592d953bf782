"""Deny other users of the machine access to the site's files, regardless of the umask.

Folders are created with mode 0700 and databases with 0600. When a process starts, existing ones
lose the access of other users, and of the group unless the mode shows that it was granted on
purpose.
"""

import logging
import os
import stat
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

OTHERS = stat.S_IRWXO
GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# Files that SQLite keeps beside a database. New ones get the mode of the database.
SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents for this user alone (0700).

    An existing folder is not changed.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)


def close_to_others(path: Path) -> None:
    """Remove the access of group and others from an existing file or folder.

    Outside the checkout's own `var/`, a mode that admits the group but not the others, such as
    0750 or 0640, is an operator's decision and stays.

    Raises:
        OSError: the path does not exist, or its mode cannot be changed.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    own = path.is_relative_to(settings.BASE_DIR / "var")
    if mode & (GROUP_AND_OTHERS if own else OTHERS):
        path.chmod(mode & ~GROUP_AND_OTHERS)


def prepare() -> None:
    """Create the folders for patient data, and deny others what exists already.

    A folder that cannot be prepared is only logged, so that commands that do not need it still run.
    The system check `xraysite.W003` reports what other users can still access.
    """
    for folder in private_folders():
        try:
            make_folder(folder)
        except OSError as error:
            logger.warning("%s cannot be made: %s", folder, error.strerror)
    secrets = [Path(settings.VAR_DIR, "secret_key"), settings.AUDIT_ANCHOR]
    for path in (*private_paths(), *filter(None, secrets)):
        _try_to_close(path)


def private_paths() -> list[Path]:
    """Return the existing folders and SQLite files that hold patient data."""
    files = [
        file
        for database in settings.DATABASES.values()
        if database["ENGINE"] == "xraysite.sqlite"
        for file in database_files(Path(database["NAME"]).resolve())
    ]
    return [folder for folder in private_folders() if folder.exists()] + files


def private_folders() -> list[Path]:
    """Return the folders that hold patient data or secrets."""
    return [
        Path(folder)
        for folder in (
            settings.VAR_DIR,
            settings.PRIVATE_MEDIA_ROOT,
            settings.FILE_UPLOAD_TEMP_DIR,
        )
    ]


def prepare_database(path: Path) -> None:
    """Create an SQLite database with mode 0600, or restrict access to an existing one.

    Call this before SQLite opens the file; under the usual umask, SQLite would make it readable by
    everybody. If this fails, SQLite reports what is wrong with the path.
    """
    path = path.resolve()
    try:
        # An existing file is not opened: closing it would drop SQLite's locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        for file in database_files(path):
            _try_to_close(file)
    except OSError:
        return


def database_files(path: Path) -> list[Path]:
    """Return the existing files of an SQLite database: itself, its log and its index."""
    candidates = [path.with_name(path.name + suffix) for suffix in SQLITE_SUFFIXES]
    return [file for file in candidates if file.exists()]


def _try_to_close(path: Path) -> None:
    try:
        close_to_others(path)
    except FileNotFoundError:
        return  # no key in a file, or a log that another process has just removed
    except OSError as error:
        logger.warning("%s cannot be closed to other users: %s", path, error.strerror)
