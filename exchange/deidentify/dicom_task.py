"""What a decoder process does for an export; it runs without Django's settings."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import MutableSequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from exchange.deidentify.profile import CODES, KEPT, KINDS, METHODS, TABLES
from mlcore.decoding_task import allow
from mlcore.engine.films.budget import listening
from mlcore.engine.films.dicom.pixels import decode
from mlcore.engine.films.dicom.reader import opened
from mlcore.engine.films.encoded import error_of
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.redaction import Box

Reply = tuple[dict[str, Any], bytes]
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")
# Texts this short are in any file by chance.
_SHORTEST: Final = 4
_TEXTS: Final = frozenset(
    ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "UI", "DA", "DT", "TM", "AE", "AS", "UR")
)


def cleaned(arguments: dict[str, Any], data: bytes) -> Reply:
    """Make a DICOM file that holds nothing of another but its pixels and the list `profile.KEPT`.

    Args:
        arguments: `max_bytes` and `max_pixels` of the film, `boxes` to black out as fractions, and
            `values` by keyword.
        data: the file.

    Returns:
        By `removed`, how many elements of each name were left out; `burned_in`, what the file says
        of text in the image; `leaks`, how many texts of the file the new header holds all the same,
        which must be none; and the new file, empty if its grey levels need tables or colours.
    """
    limits = {name: arguments[name] for name in ("max_bytes", "max_pixels")}
    with listening(allow):
        try:
            source, _header = opened(data, **limits)
            stored, photometric = decode(source)
        except FilmError as error:
            return error_of(error), b""
    removed = _removed(source)
    burned_in = str(source.get("BurnedInAnnotation", ""))
    reply: dict[str, Any] = {"removed": dict(removed), "leaks": 0, "burned_in": burned_in}
    if stored.ndim != 2 or photometric not in _GREY or any(name in source for name in TABLES):
        return reply, b""
    made = _kept(source)
    made.PhotometricInterpretation = photometric
    for name, value in arguments["values"].items():
        setattr(made, name, value)
    _add_method(made)
    reply["leaks"] = _leaks(source, made)
    _add_pixels(made, _blacked(stored, photometric, arguments["boxes"]), source)
    return reply, _written(made)


def _removed(source: Dataset) -> Counter[str]:
    """Count the elements that are left out, by name and never with a value."""
    found: Counter[str] = Counter()
    for element in source.iterall():
        name = keyword_for_tag(element.tag)
        if element.tag.is_private:
            found[f"private elements of group {element.tag.group:04X}"] += 1
        elif not name:
            found[f"unknown or repeating element of group {element.tag.group:04X}"] += 1
        elif name not in KEPT and name != "PixelData":
            found[name] += 1
    return found


def _kept(source: Dataset) -> Dataset:
    made = Dataset()
    for name in KEPT:
        tag = tag_for_keyword(name)
        assert tag is not None  # noqa: S101
        if tag not in source:
            continue
        try:
            value = _plain(source[tag].value, name)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        if value not in (None, "", []):
            setattr(made, name, value)
    return made


def _plain(value: Any, name: str) -> Any:
    """Return a value that says nothing but what the list of kept elements allows, or None."""
    if isinstance(value, MutableSequence):
        parts = [_plain(each, name) for each in value]
        return None if None in parts else parts
    if name in CODES:
        return str(value) if str(value) in CODES[name] else None
    if name in KINDS:
        return UID(str(value)) if UID(str(value)).type == "SOP Class" else None
    number = float(value)
    if not math.isfinite(number):
        return None
    return f"{number:.10g}" if dictionary_VR(name) == "DS" else int(number)


def _add_method(made: Dataset) -> None:
    made.PatientIdentityRemoved = "YES"
    made.LongitudinalTemporalInformationModified = "MODIFIED"
    made.DeidentificationMethod = "PS3.15 Basic Profile with options, by a list of what is kept"
    codes = []
    for code, meaning in METHODS:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning[:64]
        codes.append(item)
    made.DeidentificationMethodCodeSequence = codes


def _blacked(
    stored: npt.NDArray[Any], photometric: str, boxes: list[list[float]]
) -> npt.NDArray[Any]:
    if not boxes:
        return stored
    drawn = stored.copy()
    black = drawn.min() if photometric == "MONOCHROME2" else drawn.max()
    height, width = drawn.shape
    for box in boxes:
        drawn[Box(*box).pixels(width, height)] = black
    return drawn


def _add_pixels(made: Dataset, stored: npt.NDArray[Any], source: Dataset) -> None:
    """Store the values again, uncompressed: streams of JPEG can hold comments."""
    bits = 8 * stored.dtype.itemsize
    states = source.get("BitsStored")
    made.Rows, made.Columns = stored.shape
    made.SamplesPerPixel = 1
    made.BitsAllocated = bits
    made.BitsStored = states if isinstance(states, int) and 0 < states <= bits else bits
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(stored.dtype.kind == "i")
    content = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder("<")).tobytes()
    made.add_new("PixelData", "OB" if bits == 8 else "OW", content + b"\0" * (len(content) % 2))


def _leaks(source: Dataset, made: Dataset) -> int:
    """Return how many texts of the file are in the new header: there must be none."""
    header = _written(made)
    own = {
        str(element.value) for element in made.iterall() if element.VR in ("CS", "UI", "SH", "AS")
    }
    found = 0
    for element in source.iterall():
        if element.VR not in _TEXTS or element.tag.is_private:
            continue
        for text in re.split(r"[\\^=]", str(element.value)):
            text = text.strip()
            if len(text.encode()) >= _SHORTEST and text not in own:
                found += text.encode() in header
    return found


def _written(made: Dataset) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", UID(""))
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
