"""Directories of TIFF and BigTIFF files, as far as Pillow does not understand them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from mlcore.engine.films.errors import FilmError

_WIDTH, _HEIGHT, _BITS, _SAMPLE_FORMAT = 256, 257, 258, 339
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _SUB_DIRECTORIES = 254, 255, 330
_DNG_VERSION = 50706
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BIG_SIZES = {16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MAX_ENTRIES = 1000


@dataclass(frozen=True)
class Directory:
    """One image file directory.

    Attributes:
        entries: type, count and bytes of the values by tag.
        order: "<" or ">".
    """

    entries: dict[int, tuple[int, int, bytes]]
    order: str

    def integers(self, tag: int) -> list[int]:
        kind, count, value = self.entries.get(tag, (1, 0, b""))
        code = _CODES.get(kind)
        return list(struct.unpack(f"{self.order}{count}{code}", value)) if code else []

    def first(self, tag: int) -> int:
        return next(iter(self.integers(tag)), 0)

    @property
    def area(self) -> int:
        return self.first(_WIDTH) * self.first(_HEIGHT)


def check_main_image(data: bytes) -> None:
    """Refuse a file whose first directory, which is what gets decoded, is a preview.

    Raises:
        FilmError: thumbnail.
        ValueError, struct.error: the directory is damaged.
    """
    main = read_directory(data)
    is_reduced = main.first(_NEW_SUBFILE_TYPE) & 1 or main.first(_SUBFILE_TYPE) == 2
    larger = (
        read_directory(data, offset).area > main.area
        for offset in main.integers(_SUB_DIRECTORIES)[:100]
    )
    if is_reduced or _DNG_VERSION in main.entries or any(larger):
        raise FilmError("thumbnail", format="TIFF")


def is_unsigned_32_bit(data: bytes) -> bool:
    """Return whether the pixels are unsigned integers of 32 bits."""
    main = read_directory(data)
    is_integer = (main.first(_SAMPLE_FORMAT) or 1) == 1
    return is_integer and main.integers(_BITS) == [32]


def readable_by_pillow(data: bytes) -> bytes:
    """Return a file that Pillow can read: a big-endian one with another directory, if need be.

    Pillow reads BigTIFF only in little endian, and no unsigned 32-bit pixels in big endian: they
    are declared signed. The pixels stay where they are; a new directory is appended.

    Raises:
        ValueError, struct.error: the directory is damaged.
    """
    deep = data.startswith(b"MM") and is_unsigned_32_bit(data)
    if not data.startswith(b"MM\0+") and not deep:
        return data
    narrow = {16: 4, 17: 9, 18: 13}
    entries, values = [], b""
    main = read_directory(data)
    if deep:
        main.entries[_SAMPLE_FORMAT] = 3, 1, struct.pack(">H", 2)
    base = len(data) + len(data) % 2
    extra = base + 2 + 12 * len(main.entries) + 4
    for tag, (kind, count, value) in sorted(main.entries.items()):
        if kind in narrow:
            code = ">%di" if kind == 17 else ">%dI"
            wide = struct.unpack(f">{count}{'q' if kind == 17 else 'Q'}", value)
            kind, value = narrow[kind], struct.pack(code % count, *wide)
        if len(value) > 4:
            value, values = struct.pack(">I", extra + len(values)), values + value
            values += b"\0" * (len(values) % 2)
        entries.append(struct.pack(">HHI4s", tag, kind, count, value.ljust(4, b"\0")))
    directory = struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4) + values
    return b"MM\0*" + struct.pack(">I", base) + data[8:] + b"\0" * (len(data) % 2) + directory


def read_directory(data: bytes, offset: int | None = None) -> Directory:
    """Read a directory: the first one, or that at `offset`.

    Raises:
        ValueError, struct.error: it is damaged or has too many entries.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2)[0] == 43
    inline, number = (8, "Q") if is_big else (4, "I")
    if offset is None:
        (offset,) = struct.unpack_from(f"{order}{number}", data, 8 if is_big else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if is_big else 'H'}", data, offset)
    if count > _MAX_ENTRIES:
        raise ValueError(f"A directory has {count} entries; at most {_MAX_ENTRIES} are read.")
    at, entries = offset + (8 if is_big else 2), {}
    for _ in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HH{number}", data, at)
        size = (_SIZES | _BIG_SIZES).get(kind, 1) * length
        start = at + 4 + inline
        if size > inline:
            (start,) = struct.unpack_from(f"{order}{number}", data, start)
        if start + size > len(data):
            raise ValueError(f"Tag {tag} lies beyond the end of the file.")
        entries[tag] = kind, length, data[start : start + size]
        at += 4 + 2 * inline
    return Directory(entries, order)
