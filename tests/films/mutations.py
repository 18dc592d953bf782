"""Mutated film files: a film of each format, damaged in each of many ways.

`KINDS` names them; `mutated` draws one by a seed.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache

import pydicom

from tests.films import encode, encode_dicom, synthetic_film, zipped

Edit = Callable[[bytes, random.Random], bytes]

SIDE = 160
_SYNTAXES = (
    "explicit", "implicit", "big_endian", "deflated", "jpeg", "jpeg2000", "jpegls", "rle",
    "jpeg_lossless",
)  # fmt: skip
_FORMATS = (
    "jpeg", "jpeg_progressive", "jpeg_rgb", "png", "png16", "png_palette", "tiff", "tiff_lzw",
    "tiff16_deflate", "bmp", "webp", "webp_lossy",
)  # fmt: skip
BASES = (*_FORMATS, *(f"dicom_{name}" for name in _SYNTAXES))
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@cache
def base(name: str) -> bytes:
    """Return an undamaged film of a format in `BASES`."""
    film = synthetic_film("NORMAL", seed=3, size=SIDE)
    if name.startswith("dicom_"):
        return encode_dicom(film, transfer_syntax=name.removeprefix("dicom_"))
    return encode(film, name)


def _span(data: bytes, rng: random.Random, most: int = 512) -> tuple[int, int]:
    """Draw a part of the file: its start and its end."""
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, most))


def bit_flips(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for place in rng.sample(range(len(data)), min(len(data), 2 ** rng.randrange(8))):
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def header_bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(min(len(data), 400))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
    return bytes(changed)


def truncation(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def missing_start(data: bytes, rng: random.Random) -> bytes:
    return data[rng.randint(1, min(len(data) - 1, 600)) :]


def repeated_part(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.randint(1, 200) + data[end:]


def missing_part(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def swapped_parts(data: bytes, rng: random.Random) -> bytes:
    one, two, three = sorted(rng.randrange(len(data)) for _ in range(3))
    return data[:one] + data[two:three] + data[one:two] + data[three:]


def zeroed_part(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng, 4096)
    return data[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + data[end:]


def extreme_number(data: bytes, rng: random.Random) -> bytes:
    size, order = rng.choice((2, 4)), rng.choice("<>")
    place = rng.randrange(max(1, min(len(data) - size, 600)))
    value = rng.choice(EXTREMES) & (2 ** (8 * size) - 1)
    number = struct.pack(order + {2: "H", 4: "I"}[size], value)
    return data[:place] + number + data[place + size :]


def grown(data: bytes, rng: random.Random) -> bytes:
    """Add up to a megabyte after the end."""
    return data + rng.choice((b"\0", b"\xff", b"A")) * rng.randint(1, 2**20)


def polyglot_after(data: bytes, rng: random.Random) -> bytes:
    film = synthetic_film("NORMAL", seed=3, size=SIDE)
    other = (
        zipped(film),
        b"<script>alert(1)</script>",
        b"%PDF-1.4\n%%EOF",
        base(rng.choice(BASES)),
    )
    return data + rng.choice(other)


def polyglot_before(data: bytes, rng: random.Random) -> bytes:
    start = rng.choice(
        (b"GIF89a", b"%PDF-1.4\n", b"<html>", b"PK\3\4", b"BM", b"II*\0", b"\x89PNG")
    )
    return start + data


def other_format_inside(data: bytes, rng: random.Random) -> bytes:
    other = base(rng.choice(BASES))
    place, cut = rng.randrange(len(data)), rng.randrange(len(other))
    return data[:place] + other[cut:]


EDITS: dict[str, Edit] = {
    edit.__name__: edit
    for edit in (
        bit_flips, header_bytes, truncation, missing_start, repeated_part, missing_part,
        swapped_parts, zeroed_part, extreme_number, grown, polyglot_after, polyglot_before,
        other_format_inside,
    )
}  # fmt: skip


def _png_chunks(data: bytes) -> list[bytes]:
    chunks, place = [], 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        chunks.append(data[place:end])
        place = end
    return chunks


def png_size(data: bytes, rng: random.Random) -> bytes:
    """Claim another size, with a right checksum."""
    body = b"IHDR" + struct.pack(">II", rng.choice(EXTREMES), rng.choice(EXTREMES)) + data[24:29]
    return data[:12] + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


def png_chunks_repeated(data: bytes, rng: random.Random) -> bytes:
    chunks = _png_chunks(data)
    place = rng.randrange(len(chunks))
    chunks[place:place] = [rng.choice(chunks)] * rng.randint(1, 300)
    return data[:8] + b"".join(chunks)


def png_chunks_shuffled(data: bytes, rng: random.Random) -> bytes:
    chunks = _png_chunks(data)
    rng.shuffle(chunks)
    return data[:8] + b"".join(chunks)


def _jpeg_segment(data: bytes, rng: random.Random) -> tuple[int, int]:
    """Draw a segment before the scan: its start and its end."""
    found, place = [], 2
    while data[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        found.append((place, end))
        place = end
    return rng.choice(found)


def jpeg_segment_repeated(data: bytes, rng: random.Random) -> bytes:
    start, end = _jpeg_segment(data, rng)
    return data[:start] + data[start:end] * rng.randint(2, 200) + data[end:]


def jpeg_segment_missing(data: bytes, rng: random.Random) -> bytes:
    start, end = _jpeg_segment(data, rng)
    return data[:start] + data[end:]


def jpeg_segment_noise(data: bytes, rng: random.Random) -> bytes:
    start, end = _jpeg_segment(data, rng)
    return data[: start + 4] + rng.randbytes(end - start - 4) + data[end:]


def tiff_entries(data: bytes, rng: random.Random) -> bytes:
    """Change the type, the count or the value of entries of the first directory."""
    changed = bytearray(data)
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    for _ in range(rng.randint(1, 3)):
        entry = start + 2 + 12 * rng.randrange(count)
        part, size = rng.choice(((0, 2), (2, 2), (4, 4), (8, 4)))
        value = rng.choice(EXTREMES) & (2 ** (8 * size) - 1)
        changed[entry + part : entry + part + size] = value.to_bytes(size, "little")
    return bytes(changed)


def tiff_loop(data: bytes, rng: random.Random) -> bytes:
    """Let the list of directories go round in a circle."""
    start = int.from_bytes(data[4:8], "little")
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    return data[:end] + rng.choice((start, 8, end)).to_bytes(4, "little") + data[end + 4 :]


_ELEMENTS: dict[str, tuple[object, ...]] = {
    "Rows": (0, 1, 65535), "Columns": (0, 1, 65535), "BitsAllocated": (0, 1, 8, 12, 16, 32, 64),
    "BitsStored": (0, 1, 8, 12, 16, 99), "HighBit": (0, 7, 200), "SamplesPerPixel": (0, 2, 3, 9),
    "PixelRepresentation": (0, 1, 7), "NumberOfFrames": ("0", "2", "2000000000", "-1"),
    "PhotometricInterpretation": ("RGB", "PALETTE COLOR", "YBR_FULL", "", "x" * 16),
    "RescaleSlope": ("0", "-1", "1e308"), "WindowWidth": ("0", "-1", "1e308"),
    "SpecificCharacterSet": ("ISO_IR 999", "GB18030", ""), "PatientAge": ("999Y", "abc", "-01Y"),
    "StudyDate": ("00000000", "20269999", "1"), "Modality": ("CT", "", "x" * 16),
    "PatientName": ("\0" * 30, "^" * 60, "A" * 2000),
}  # fmt: skip


def dicom_elements(data: bytes, rng: random.Random) -> bytes:
    """Give elements of the header impossible values, in a well-formed file."""
    with pydicom.config.disable_value_validation():
        dataset = pydicom.dcmread(io.BytesIO(data))
        for keyword in rng.sample(sorted(_ELEMENTS), rng.randint(1, 3)):
            setattr(dataset, keyword, rng.choice(_ELEMENTS[keyword]))
        buffer = io.BytesIO()
        dataset.save_as(buffer)
    return buffer.getvalue()


_OF_FORMAT: dict[str, tuple[Edit, ...]] = {
    "png": (png_size, png_chunks_repeated, png_chunks_shuffled),
    "jpeg": (jpeg_segment_repeated, jpeg_segment_missing, jpeg_segment_noise),
    "tiff": (tiff_entries, tiff_loop),
    "dicom_explicit": (dicom_elements,),
    "dicom_jpeg": (dicom_elements,),
}

# By the kind's name, such as "png: bit_flips": the film's format, and what is done to it.
KINDS: dict[str, tuple[str, Edit]] = {
    f"{name}: {edit.__name__}": (name, edit)
    for name in BASES
    for edit in (*EDITS.values(), *_OF_FORMAT.get(name, ()))
}


def mutated(kind: str, seed: int) -> bytes:
    """Return a film damaged in one way; it always differs from the undamaged one.

    Args:
        kind: a key of `KINDS`.
        seed: the same seed gives the same file.
    """
    name, edit = KINDS[kind]
    data, rng = base(name), random.Random(f"{kind} {seed}")
    for _ in range(100):
        changed = edit(data, rng)
        if changed != data:
            return changed
    raise AssertionError(f"{kind} changes nothing")
