"""Modes of private files and folders."""

import stat
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from xraysite.common import private_files
from xraysite.fsck.findings import Finding, Run


def files_are_private(run: Run) -> Iterator[Finding]:
    """Check that no other user of the machine can read patient data."""
    for path in _paths():
        run.checked["modes"] += 1
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if not mode & private_files.OTHERS:
                continue
            if run.repair:
                private_files.close_to_others(path)
            done = not path.stat().st_mode & private_files.OTHERS
        except FileNotFoundError:  # removed in the meantime
            continue
        except PermissionError:
            done = False
        text = f"Every user of this machine can use it (mode {mode:04o}); --repair closes it."
        yield Finding("open-to-others", str(path), text, done)


def _paths() -> Iterator[Path]:
    yield from private_files.private_paths()
    for folder in (Path(settings.PRIVATE_MEDIA_ROOT), Path(settings.BUNDLE_DIR)):
        yield from sorted(folder.rglob("*"))
