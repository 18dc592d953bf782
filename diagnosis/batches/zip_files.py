"""Safe reading of ZIP files that somebody sent.

Nothing is extracted to a path. Entries are decompressed one at a time, within limits of their
number, of their size, of the sum of their sizes, and of how far they may be compressed.
"""

import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

from diagnosis.batches.names import clean_path, is_junk
from diagnosis.validators import refusal_text

# X-rays, even blank ones, are not compressed any further.
MAX_RATIO = 200
# Below this size, a high ratio does no harm.
SMALL = 2**20
MAX_TOTAL_BYTES = 2 * 2**30
CHUNK = 2**18
ENCRYPTED = 0x1
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b")

SENTENCES = {
    "zip_damaged": gettext_noop("The ZIP file is damaged or incomplete. Make it again."),
    "zip_too_many": gettext_noop(
        "The ZIP file contains %(count)d files; a batch takes %(limit)d. Divide it."
    ),
    "zip_too_large": gettext_noop(
        "The ZIP file contains more than %(limit)d GB. Divide it, or choose the folder instead."
    ),
    "zip_encrypted": gettext_noop(
        "The file is encrypted. Make the ZIP file without a password, or choose the folder instead."
    ),
    "zip_nested": gettext_noop("Archives inside a ZIP file are not opened. Extract it first."),
    "zip_bomb": gettext_noop(
        "The file is compressed far more than an X-ray can be, so it was not opened."
    ),
    "zip_method": gettext_noop(
        "The file is compressed by a method that is not supported. Make an ordinary ZIP file."
    ),
}


class ZipFileError(Exception):
    """Raised for a ZIP file, or one of its entries, that is not opened.

    Attributes:
        code: a key of `SENTENCES`, or a code of `FilmError`.
        params: the values of its placeholders.
    """

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code, self.params = code, params

    def __str__(self) -> str:
        """Return the message for the doctor, in the active language."""
        if self.code in SENTENCES:
            return gettext(SENTENCES[self.code]) % self.params
        return str(refusal_text(self.code, self.params))


@dataclass(frozen=True)
class Entry:
    """A file in a ZIP file.

    Attributes:
        path: its name with folders, for display.
        data: its content; None if it was refused.
        error: why it was refused.
    """

    path: str
    data: bytes | None = None
    error: ZipFileError | None = None


def is_zip(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is a ZIP file."""
    return head.startswith(ARCHIVES[:2])


def entries(file: IO[bytes]) -> Iterator[Entry]:
    """Yield the files in a ZIP file, CSV files first; without folders and junk of systems.

    Args:
        file: open for reading; the position may be anywhere.

    Raises:
        ZipFileError: nothing of it can be read, or it exceeds a limit.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield from _entries(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OverflowError) as error:
        raise ZipFileError("zip_damaged") from error


def _entries(archive: zipfile.ZipFile) -> Iterator[Entry]:
    found = [
        info for info in archive.infolist() if not info.is_dir() and not is_junk(_name_of(info))
    ]
    if len(found) > settings.BATCH_MAX_FILES:
        limit = settings.BATCH_MAX_FILES
        raise ZipFileError("zip_too_many", count=len(found), limit=limit)
    total = 0
    for info in sorted(found, key=lambda info: not _name_of(info).lower().endswith(".csv")):
        path = clean_path(_name_of(info))
        try:
            data = _content(archive, info)
        except ZipFileError as error:
            yield Entry(path, error=error)
            continue
        total += len(data)
        if total > MAX_TOTAL_BYTES:
            raise ZipFileError("zip_too_large", limit=MAX_TOTAL_BYTES // 2**30)
        yield Entry(path, data)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Decompress an entry, whatever its header says about its size.

    Raises:
        ZipFileError: it is encrypted, an archive itself, damaged, or too large.
    """
    if info.flag_bits & ENCRYPTED:
        raise ZipFileError("zip_encrypted")
    if info.compress_type not in METHODS:
        raise ZipFileError("zip_method")
    content = bytearray()
    try:
        with archive.open(info) as opened:
            while chunk := opened.read(CHUNK):
                content += chunk
                _check_size(len(content), info.compress_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise ZipFileError("zip_damaged") from error
    if bytes(content[:8]).startswith(ARCHIVES):
        raise ZipFileError("zip_nested")
    return bytes(content)


def _check_size(size: int, compressed: int) -> None:
    if size > settings.FILM_MAX_BYTES:
        raise ZipFileError("too_large", limit=settings.FILM_MAX_BYTES / 2**20)
    if size > SMALL and size > MAX_RATIO * max(1, compressed):
        raise ZipFileError("zip_bomb")


def _name_of(info: zipfile.ZipInfo) -> str:
    """Return an entry's name; Windows writes Chinese ones in Big5 without saying so."""
    name = info.filename
    if info.flag_bits & 0x800:
        return name
    try:
        raw = name.encode("cp437")
    except UnicodeEncodeError:
        return name
    for encoding in ("ascii", "utf-8", "cp950"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return name
