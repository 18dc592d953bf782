"""Atomic writing of files. Imports no Django: the engine uses it too."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write_atomically(path: Path, content: bytes | Iterable[bytes], *, mode: int = 0o600) -> None:
    """Write a file completely or not at all, replacing one that exists.

    The content goes to a temporary file in the same folder, is flushed to disk and then renamed,
    so that neither a full disk nor a killed process leaves a partial file under `path`. A killed
    process may leave the temporary file, whose name starts with ".part-".

    Args:
        path: the file; its folder must exist.
        content: the file's bytes, or chunks of them.
        mode: the file's permissions.

    Raises:
        OSError: the file cannot be written; a previous file is unchanged.
    """
    temporary = write_beside(path, content, mode=mode)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_beside(path: Path, content: bytes | Iterable[bytes], *, mode: int = 0o600) -> Path:
    """Write a temporary file in the folder of `path`, flushed to disk, to be renamed to `path`.

    Args:
        path: the file that it is to become; its folder must exist.
        content: the file's bytes, or chunks of them.
        mode: the file's permissions.

    Returns:
        The temporary file, whose name starts with ".part-".

    Raises:
        OSError: the file cannot be written; nothing is left of it.
    """
    chunks = [content] if isinstance(content, bytes) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
