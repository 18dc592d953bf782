"""Keeping what the headers of films state, so that a search opens no file twice."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from pydicom.dataset import Dataset

from diagnosis import storage
from diagnosis.models import Reading
from exchange.dicomweb.models import FilmHeader
from exchange.dicomweb.names import joined, name_key, shown_name
from mlcore.engine.films.dicom.names import UndecodableError, text_of
from mlcore.engine.films.dicom.reader import parse
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS
from mlcore.engine.films.errors import FilmError

logger = logging.getLogger(__name__)

# Of the study, the series and the film; what the reading itself states is not kept twice.
STUDY = (
    "StudyTime", "StudyID", "StudyDescription", "ReferringPhysicianName", "TimezoneOffsetFromUTC",
    "InstitutionName",
)  # fmt: skip
SERIES = (
    "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime", "BodyPartExamined",
    "Laterality", "ProtocolName", "StationName", "Manufacturer", "ManufacturerModelName",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "RequestAttributesSequence",
)  # fmt: skip
FILM = (
    "InstanceNumber", "Rows", "Columns", "BitsAllocated", "BitsStored", "NumberOfFrames",
    "PhotometricInterpretation", "SamplesPerPixel", "ImageType", "ContentDate", "ContentTime",
    "AcquisitionDate", "AcquisitionTime", "ViewPosition", "PatientOrientation", "PixelSpacing",
    "ImagerPixelSpacing", "PresentationIntentType", "BurnedInAnnotation", "WindowCenter",
    "WindowWidth", "LossyImageCompression",
)  # fmt: skip
SYNTAX = "AvailableTransferSyntaxUID"
# Almost every header ends within these; otherwise the whole file is read.
HEADER_BYTES = 256 * 2**10
MAX_VALUE = 1000
# More files are not opened for one request.
MAX_OPENED = 200


def keep(reading: Reading) -> FilmHeader | None:
    """Keep what a reading's file states; None if the file is not DICOM or cannot be opened now."""
    if reading.film_format != "DICOM":
        return None
    dataset = _header_of(reading)
    if dataset is None:
        return None
    name = _name_in(dataset)
    values = {
        "attributes": attributes_of(dataset),
        "name": name,
        "name_key": name_key(shown_name(reading, name)),
    }
    header, _ = FilmHeader.objects.update_or_create(reading_id=reading.pk, defaults=values)
    return header


def keep_safely(reading: Reading) -> None:
    """Keep what a new reading's file states; if that fails, a search does it later."""
    try:
        with transaction.atomic():
            keep(reading)
    except DatabaseError as error:
        logger.warning("The header of reading %s is not kept yet: %s", reading.pk, error)


def keep_missing(*, limit: int | None = None) -> Iterator[tuple[Reading, bool]]:
    """Keep the headers that are not kept yet.

    Args:
        limit: the number of files to open; None for all.

    Yields:
        A reading, and whether its header was kept.
    """
    missing = Reading.objects.filter(film_format="DICOM", film_header=None)
    keys = list(missing.order_by("-created_at").values_list("pk", flat=True)[:limit])
    for start in range(0, len(keys), MAX_OPENED):
        some = Reading.objects.filter(pk__in=keys[start : start + MAX_OPENED])
        for reading in some.defer("activation_map"):
            yield reading, keep(reading) is not None


def with_headers(readings: Iterable[Reading]) -> dict[Any, FilmHeader]:
    """Return the headers of readings by key, opening the files of those not kept yet."""
    wanted = {reading.pk: reading for reading in readings if reading.film_format == "DICOM"}
    found: dict[Any, FilmHeader] = FilmHeader.objects.in_bulk(list(wanted))
    missing = [reading for key, reading in wanted.items() if key not in found]
    for reading in missing[:MAX_OPENED]:
        header = keep(reading)
        if header is not None:
            found[reading.pk] = header
    return found


def follow_name(reading: Reading) -> None:
    """Let a film be found by the name that is shown after a correction."""
    header = FilmHeader.objects.filter(pk=reading.pk).first()
    if header is None:
        return
    key = name_key(shown_name(reading, header.name))
    if key != header.name_key:
        header.name_key = key
        header.save(update_fields=["name_key"])


def attributes_of(dataset: Dataset) -> dict[str, Any]:
    """Return the elements that searches show, in DICOM JSON; unusable ones are left out.

    By keyword, because databases take a tag for the place of an item in a list.
    """
    found = {}
    for keyword in (*STUDY, *SERIES, *FILM):
        try:
            if keyword not in dataset:
                continue
            element = dataset[keyword]
            if element.is_empty or len(str(element.value)) > MAX_VALUE:
                continue
            found[keyword] = element.to_json_dict(None, MAX_VALUE)
        except PYDICOM_ERRORS:
            continue
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax:
        found[SYNTAX] = {"vr": "UI", "Value": [str(syntax)]}
    return found


def _name_in(dataset: Dataset) -> str:
    try:
        written = text_of(dataset, "PatientName")
    except UndecodableError:
        return ""
    groups = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), written.split("=")[:3],
                      strict=False))  # fmt: skip
    clean = {group: " ".join(text.split()).rstrip("^ ") for group, text in groups.items()}
    return joined(clean)[:400]


def _header_of(reading: Reading) -> Dataset | None:
    """Return the file's header; None if the file is missing, an empty one if it is damaged."""
    limit = settings.FILM_MAX_BYTES + 2 * settings.FILM_MAX_PIXELS
    try:
        with storage.films().open(storage.original_name(reading.film_sha256), "rb") as file:
            start = file.read(HEADER_BYTES)
            try:
                return parse(start, limit, header_only=True)
            except FilmError:
                return parse(start + file.read(), limit, header_only=True)
    except FilmError as error:
        logger.error("The header of reading %s cannot be read: %s", reading.pk, error.code)
        return None
    except OSError as error:
        logger.error("The film of reading %s cannot be read: %s", reading.pk, error)
        return None
