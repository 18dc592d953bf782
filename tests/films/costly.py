"""Small files that cost a decoder much time or memory, drawn by code."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless

from tests.films.dicom import edited_dicom
from tests.films.jpeg_lossless import encode_jpeg_lossless, jpeg_lossless_header


def progressive_jpeg(scans: int, side: int) -> bytes:
    """Return a progressive JPEG whose last scan is repeated, to about `scans` in all."""
    buffer = io.BytesIO()
    flat = Image.new("L", (side, side), 90)
    flat.putpixel((0, 0), 200)
    flat.save(buffer, "JPEG", progressive=True, quality=60)
    data = buffer.getvalue()
    start = data.rindex(b"\xff\xda")
    end = start + 2
    while not (data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))):
        end += 1
    return data[:start] + data[start:end] * scans + data[end:]


def in_dicom(stream: bytes, side: int, syntax: str, **elements: Any) -> bytes:
    """Wrap a compressed stream of `side` × `side` pixels in a DICOM file."""

    def change(dataset: Any) -> None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.Rows = dataset.Columns = side
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        dataset.PixelData = encapsulate([stream])
        dataset["PixelData"].VR = "OB"

    return edited_dicom(np.zeros((64, 64), np.uint8), change)


def scans_dicom(scans: int, side: int) -> bytes:
    return in_dicom(progressive_jpeg(scans, side), side, JPEGBaseline8Bit)


def flat_webp(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (90, 90, 90)).save(buffer, "WEBP", quality=1, method=0)
    return buffer.getvalue()


def rle_bitmap(side: int, run: int = 1) -> bytes:
    """Return an 8-bit run-length encoded bitmap with runs of `run` pixels."""
    row = bytes([run, 90]) * (side // run)
    body = (row + b"\0\0") * side + b"\0\1"
    palette = b"".join(bytes([level, level, level, 0]) for level in range(256))
    offset = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + palette + body


def chunky_png(chunks: int, side: int = 512) -> bytes:
    """Return a PNG with so many empty text chunks."""
    buffer = io.BytesIO()
    level = np.add.outer(np.arange(side), np.arange(side)) * 255 // (2 * side)
    Image.fromarray(level.astype(np.uint8)).save(buffer, "PNG")
    data = buffer.getvalue()
    body = b"prIv"
    empty = struct.pack(">I", 0) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + empty * chunks + data[33:]


def cut_jpeg_ls(side: int) -> bytes:
    """Return a DICOM file with the first half of a JPEG-LS stream of noise."""
    import jpeg_ls

    noise = np.random.default_rng(1).integers(0, 255, (side, side), dtype=np.uint8)
    stream = bytes(jpeg_ls.encode_array(noise))
    return in_dicom(stream[: len(stream) // 2], side, JPEGLSLossless)


def lossless_jpeg(side: int) -> bytes:
    """Return a DICOM file with a lossless JPEG stream that repeats eight rows of noise."""
    rows = np.random.default_rng(1).integers(0, 16, (8, side), dtype=np.uint16)
    options: dict[str, Any] = {"precision": 8}
    strip = encode_jpeg_lossless(rows, rows_per_restart=1, **options)
    header = jpeg_lossless_header((side, side), restart_interval=side, **options)
    strip_header = jpeg_lossless_header((8, side), restart_interval=side, **options)
    body = strip[len(strip_header) : -2]
    stream = header + b"\xff\xd7".join([body] * (side // 8)) + b"\xff\xd9"
    return in_dicom(stream, side, JPEGLosslessSV1)


def endless_tiff(directories: int) -> bytes:
    """Return a TIFF with so many directories after the first one."""
    buffer = io.BytesIO()
    level = np.add.outer(np.arange(256), np.arange(256)) // 2
    Image.fromarray(level.astype(np.uint8)).save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    first = bytes(data[start : start + 2 + 12 * count])
    link = start + len(first)
    for _ in range(directories):
        data[link : link + 4] = len(data).to_bytes(4, "little")
        link = len(data) + len(first)
        data += first + bytes(4)
    return bytes(data)


def costly_files(share: float = 1.0) -> dict[str, bytes]:
    """Return one file of each kind that was seen to be costly, by name.

    Args:
        share: factor for sides and counts; 1 is the size that was seen.
    """
    side, scans = round(8000 * share) // 8 * 8, round(3000 * share)
    return {
        "progressive JPEG, thousands of scans": progressive_jpeg(scans, side),
        "the same in DICOM": scans_dicom(scans, side),
        "progressive JPEG in DICOM, 90 scans": scans_dicom(90, side),
        "WebP, 64 MP": flat_webp(side),
        "WebP, 25 MP": flat_webp(round(5000 * share)),
        "cut JPEG-LS in DICOM": cut_jpeg_ls(side // 5),
        "lossless JPEG in DICOM, 31 MP": lossless_jpeg(side * 7 // 80 * 8),
        "RLE BMP": rle_bitmap(side // 2),
        "RLE BMP within the limit": rle_bitmap(round(1400 * share)),
        "PNG, 2.5 million chunks": chunky_png(round(2_500_000 * share)),
        "TIFF, 100,000 pages": endless_tiff(round(100_000 * share)),
    }
