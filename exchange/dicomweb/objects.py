"""The DICOM object of a reading's film, and its frame, in the transfer syntax asked for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.conf import settings
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from diagnosis.models import Reading
from diagnosis.services.films import FilmMissingError, original_film
from exchange.dicomweb import corrections
from exchange.dicomweb.accept import FRAME_TYPES
from exchange.outgoing.objects import building
from mlcore.engine.films.dicom.names import UndecodableError, text_of
from mlcore.engine.films.dicom.reader import parse
from mlcore.engine.films.encoded import raise_error
from mlcore.engine.films.errors import FilmError
from xraysite.common.decoders import pool

ENDIAN = str(ExplicitVRLittleEndian)
_PREAMBLE = 128


class UnreadableError(Exception):
    """Raised when a stored film cannot be opened or decoded any more."""


@dataclass
class FilmObject:
    """A reading's film as a DICOM object.

    Attributes:
        reading: the reading.
        dataset: the data set as it leaves, with its file meta information.
        source: the file of the same image.
        is_original: whether `source` may leave as it is.
    """

    reading: Reading
    dataset: Dataset
    source: bytes
    is_original: bool

    @property
    def syntax(self) -> str:
        """The transfer syntax in which the film is stored."""
        return str(self.dataset.file_meta.TransferSyntaxUID)

    def offers(self, syntax: str) -> bool:
        """Return whether the object can be given in a transfer syntax."""
        return syntax in ("*", self.syntax, ENDIAN)

    def file(self, syntax: str) -> bytes:
        """Return the object as a file.

        Args:
            syntax: one that is offered; "*" for the stored one.

        Raises:
            UnreadableError: the frame cannot be decompressed.
        """
        if syntax in ("*", self.syntax):
            return self.source if self.is_original else _written(self.dataset)
        converted = _copy(self.dataset)
        if self.syntax == ExplicitVRBigEndian:
            _swap_words(converted)
        if UID(self.syntax).is_encapsulated or self.syntax == ExplicitVRBigEndian:
            self._decompress(converted)
        converted.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        return _written(converted)

    def native_frame(self) -> bytes:
        """Return the frame uncompressed, in little endian.

        Raises:
            UnreadableError: it cannot be decompressed.
        """
        is_little = UID(self.syntax).is_little_endian
        if not UID(self.syntax).is_encapsulated and is_little:
            return bytes(self.dataset.PixelData)
        return bytes(self._decoded()[1])

    def stored_frame(self) -> bytes:
        """Return the frame as it is stored."""
        if UID(self.syntax).is_encapsulated:
            return next(generate_frames(self.dataset.PixelData, number_of_frames=1))
        return self.native_frame()

    @property
    def frame_type(self) -> str:
        """The media type of the stored frame if it is compressed, "" otherwise."""
        return FRAME_TYPES.get(self.syntax, "")

    def _decoded(self) -> tuple[dict[str, Any], bytearray]:
        limits = {"max_bytes": settings.FILM_MAX_BYTES, "max_pixels": settings.FILM_MAX_PIXELS}
        return run_task("native", limits, self.source)

    def _decompress(self, converted: Dataset) -> None:
        facts, frame = self._decoded()
        bits = facts["bits"]
        converted.BitsAllocated = bits
        converted.BitsStored = min(int(converted.get("BitsStored") or bits), bits)
        converted.HighBit = converted.BitsStored - 1
        converted.PixelRepresentation = int(facts["is_signed"])
        converted.SamplesPerPixel = facts["samples"]
        converted.PhotometricInterpretation = facts["photometric"]
        if facts["samples"] > 1:
            converted.PlanarConfiguration = 0
        content = bytes(frame)
        del converted["PixelData"]
        vr = "OW" if bits > 8 else "OB"
        converted.add_new("PixelData", vr, content + b"\0" * (len(content) % 2))


def has_own_header(reading: Reading) -> bool:
    """Return whether a film leaves as the DICOM image that it came as.

    Not a picture; a file without UIDs, which nobody could refer to; nor one whose header the doctor
    disowned. Of these, what leaves is the Secondary Capture that is also sent with results, under
    the same UIDs: the film as pages show it, and nothing of its header.
    """
    stated = (
        reading.film_study_uid, reading.film_series_uid, reading.film_instance_uid,
        reading.film_sop_class_uid,
    )  # fmt: skip
    return reading.film_format == "DICOM" and not reading.header_disowned and all(stated)


def film_object(reading: Reading) -> FilmObject:
    """Return a reading's film as a DICOM object, under the patient whom its doctor confirmed.

    Raises:
        FilmMissingError: the stored film is missing or altered.
        UnreadableError: it cannot be opened any more.
    """
    try:
        if not has_own_header(reading):
            return _capture(reading)
        source = original_film(reading)
        dataset = parse(source, settings.FILM_MAX_BYTES + 2 * settings.FILM_MAX_PIXELS)
    except FilmError as error:
        raise UnreadableError(str(reading.pk)) from error
    is_original = not corrections.corrected(dataset, reading) and _is_complete(source, dataset)
    return FilmObject(reading, dataset, source, is_original)


def _capture(reading: Reading) -> FilmObject:
    data = building.film_alone(reading).data
    return FilmObject(reading, dcmread(io.BytesIO(data)), data, True)


def run_task(name: str, arguments: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytearray]:
    """Run a function of `decoding_task` in a decoder.

    Raises:
        UnreadableError: the film cannot be decoded.
    """
    task = f"exchange.dicomweb.decoding_task:{name}"
    try:
        reply, content = pool.run(task, arguments, data, in_turn=False)
        raise_error(reply)
    except (FilmError, pool.DecoderFailedError) as error:
        raise UnreadableError(name) from error
    return reply, content


def decoded_name(dataset: Dataset) -> str:
    """Return PatientName, also where the file's character set is missing; "" if in doubt."""
    try:
        return text_of(dataset, "PatientName")
    except UndecodableError:
        return ""


def _is_complete(source: bytes, dataset: Dataset) -> bool:
    """Return whether a stored file is one of PS3.10, with its preamble and meta information."""
    meta = dataset.file_meta
    named = "MediaStorageSOPInstanceUID" in meta and "MediaStorageSOPClassUID" in meta
    return source[_PREAMBLE : _PREAMBLE + 4] == b"DICM" and named


def _copy(dataset: Dataset) -> Dataset:
    """Return a copy to be written in any encoding; the values themselves are shared."""
    copied = Dataset()
    for element in dataset:
        copied.add(DataElement(element.tag, element.VR, element.value, already_converted=True))
    copied.file_meta = FileMetaDataset(dataset.file_meta)
    return copied


def _swap_words(dataset: Dataset) -> None:
    """Turn 16-bit words, which pydicom leaves as the file has them, into little endian."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap_words(item)
        elif element.VR == "OW" and element.value:
            element.value = np.frombuffer(element.value, ">u2").astype("<u2").tobytes()


def _written(dataset: Dataset) -> bytes:
    meta = dataset.file_meta
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


__all__ = [
    "ENDIAN", "FilmMissingError", "FilmObject", "UnreadableError", "decoded_name", "film_object",
    "run_task",
]  # fmt: skip
