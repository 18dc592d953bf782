"""An encoder of lossless JPEG, the counterpart of `films.dicom.jpeg_lossless`."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt


def encode_jpeg_lossless(
    samples: npt.NDArray[Any], *, precision: int, predictor: int = 1, rows_per_restart: int = 0
) -> bytes:
    """Compress a grey image with ITU-T T.81 process 14.

    Args:
        samples: unsigned (rows, columns), below 2 ** precision.
        precision: bits of a sample, 2 to 16.
        predictor: selection value, 1 (left) to 7.
        rows_per_restart: rows between restart markers, 0 for none.
    """
    rows, columns = samples.shape
    # All 17 categories get five-bit codes: a valid Huffman table, though not a short one.
    table = bytes([0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17))
    frame = struct.pack(">BHHB", precision, rows, columns, 1) + b"\x01\x11\x00"
    scan = bytes([1, 1, 0, predictor, 0, 0])
    out = b"\xff\xd8" + _segment(0xC3, frame) + _segment(0xC4, b"\0" + table)
    if rows_per_restart:
        out += _segment(0xDD, struct.pack(">H", rows_per_restart * columns))
    out += _segment(0xDA, scan)
    step = rows_per_restart or rows
    for index, start in enumerate(range(0, rows, step)):
        if index:
            out += bytes([0xFF, 0xD0 + (index - 1) % 8])
        out += _entropy_coded(samples[start : start + step].astype(np.int64), precision, predictor)
    return out + b"\xff\xd9"


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _entropy_coded(samples: npt.NDArray[np.int64], precision: int, predictor: int) -> bytes:
    bits = []
    for difference in _differences(samples, precision, predictor).ravel().tolist():
        value = (difference + 32767) % 65536 - 32767  # -32767 to 32768
        category = abs(value).bit_length()
        bits.append(f"{category:05b}")
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
