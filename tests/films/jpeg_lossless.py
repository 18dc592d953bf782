"""An encoder of lossless JPEG, the counterpart of `films.dicom.jpeg_lossless`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

# Number of codes of 1 to 16 bits, for the 17 categories.
EQUAL_CODES = bytes([0, 0, 0, 0, 17, *[0] * 11])
UNEQUAL_CODES = bytes([0, 3, *[1] * 14])


def encode_jpeg_lossless(
    samples: npt.NDArray[Any],
    *,
    precision: int,
    predictor: int = 1,
    rows_per_restart: int = 0,
    code_counts: bytes = EQUAL_CODES,
    categories: Sequence[int] = range(17),
) -> bytes:
    """Compress a grey image by ITU-T T.81, process 14.

    Args:
        samples: unsigned (rows, columns), below 2 ** precision.
        precision: bits of a sample, 2 to 16.
        predictor: selection value, 1 (left) to 7.
        rows_per_restart: rows between restart markers, 0 for none.
        code_counts: how many Huffman codes have 1, 2, ... 16 bits.
        categories: the category of each code, shortest code first.
    """
    rows, columns = samples.shape
    out = jpeg_lossless_header(
        (rows, columns),
        precision=precision,
        predictor=predictor,
        restart_interval=rows_per_restart * columns,
        code_counts=code_counts,
        categories=categories,
    )
    codes = dict(zip(categories, _codes(code_counts), strict=True))
    step = rows_per_restart or rows
    for index, start in enumerate(range(0, rows, step)):
        if index:
            out += bytes([0xFF, 0xD0 + (index - 1) % 8])
        part = samples[start : start + step].astype(np.int64)
        out += _entropy_coded(_differences(part, precision, predictor), codes)
    return out + b"\xff\xd9"


def jpeg_lossless_header(
    shape: tuple[int, int],
    *,
    precision: int,
    predictor: int = 1,
    restart_interval: int = 0,
    code_counts: bytes = EQUAL_CODES,
    categories: Sequence[int] = range(17),
) -> bytes:
    """Return everything before the entropy-coded data, for a shape of (rows, columns)."""
    frame = struct.pack(">BHHB", precision, *shape, 1) + b"\x01\x11\x00"
    out = b"\xff\xd8" + _segment(0xC3, frame)
    out += _segment(0xC4, b"\0" + code_counts + bytes(categories))
    if restart_interval:
        out += _segment(0xDD, struct.pack(">H", restart_interval))
    return out + _segment(0xDA, bytes([1, 1, 0, predictor, 0, 0]))


def _codes(code_counts: bytes) -> Iterator[str]:
    """Yield the canonical Huffman codes, shortest first (T.81 annex C)."""
    code = 0
    for length, count in enumerate(code_counts, start=1):
        for _ in range(count):
            yield f"{code:0{length}b}"
            code += 1
        code <<= 1


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _entropy_coded(differences: npt.NDArray[np.int64], codes: dict[int, str]) -> bytes:
    bits = []
    for difference in differences.ravel().tolist():
        value = (difference + 32767) % 65536 - 32767  # -32767 to 32768
        category = abs(value).bit_length()
        bits.append(codes[category])
        if 0 < category < 16:
            bits.append(f"{value if value > 0 else value + 2**category - 1:0{category}b}")
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _differences(
    samples: npt.NDArray[np.int64], precision: int, predictor: int
) -> npt.NDArray[np.int64]:
    guess = np.empty_like(samples)
    left, up, up_left = samples[1:, :-1], samples[:-1, 1:], samples[:-1, :-1]
    guess[1:, 1:] = {
        1: left,
        2: up,
        3: up_left,
        4: left + up - up_left,
        5: left + ((up - up_left) >> 1),
        6: up + ((left - up_left) >> 1),
        7: (left + up) >> 1,
    }[predictor]
    guess[0, 1:] = samples[0, :-1]
    guess[1:, 0] = samples[:-1, 0]
    guess[0, 0] = 1 << (precision - 1)
    return samples - guess
