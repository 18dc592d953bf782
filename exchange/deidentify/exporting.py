"""Writing an export: films, what is known of them, and a report of what was removed."""

import csv
import datetime
import hashlib
import io
import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.db.models import QuerySet

from accounts.audit.recording import record_access
from diagnosis.models import Label, Reading
from diagnosis.services.films import FilmMissingError
from exchange.deidentify.burned_in import Boxes, states_no_text
from exchange.deidentify.films import (
    CleanFilm,
    LeakError,
    clean_film,
    patient_of,
    shifted_date,
)
from exchange.deidentify.identifiers import identifiers_in
from exchange.deidentify.keys import Key
from exchange.deidentify.profile import EDITION, METHODS
from mlcore.engine.films.errors import FilmError
from xraysite.common.atomic_write import write_atomically

logger = logging.getLogger(__name__)

CLASSES: Final = (Label.NORMAL.value, Label.PNEUMONIA.value)
COLUMNS: Final = [
    "file", "patient", "exam_date_shifted", "age_years", "sex", "confirmed_diagnosis",
    "confirmed_by", "doctor_opinion", "model", "bundle_sha256", "model_result",
    "pneumonia_probability", "width", "height", "sha256",
]  # fmt: skip
# The columns of text.
WORDS: Final = (
    "file", "patient", "exam_date_shifted", "sex", "confirmed_diagnosis", "confirmed_by",
    "doctor_opinion", "model", "model_result",
)  # fmt: skip
CHUNK: Final = 200


class ExportError(Exception):
    """Raised if nothing can be exported; the message says what to do."""


@dataclass(frozen=True)
class Options:
    """What is exported, and how.

    Attributes:
        boxes: regions to black out by reading; a reading named there has been looked at.
        text_checked: whether somebody has looked at all films for text.
        with_opinions: whether the manifest has the doctors' opinions.
        in_classes: whether films are in folders of their confirmed diagnosis, for training; those
            without one, or with another one than the model's classes, are left out.
        as_pictures: whether DICOM files become PNG files.
    """

    boxes: Boxes = field(default_factory=dict)
    text_checked: bool = False
    with_opinions: bool = False
    in_classes: bool = False
    as_pictures: bool = False


@dataclass
class Exported:
    """What an export did.

    Attributes:
        rows: of the manifest.
        removed: how many elements of each name were left out of headers.
        left_out: readings that were left out, by reason.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


def chosen_readings(
    *,
    ids: Collection[uuid.UUID] = (),
    first: datetime.date | None = None,
    last: datetime.date | None = None,
    only_signed: bool = False,
) -> QuerySet[Reading]:
    """Return the readings that an export may hold; deleted ones are left out."""
    found = Reading.objects.counted()
    if ids:
        found = found.filter(pk__in=list(ids))
    if first is not None:
        found = found.filter(exam_date__gte=first)
    if last is not None:
        found = found.filter(exam_date__lte=last)
    if only_signed:
        found = found.filter(review__signed_at__isnull=False)
    return (
        found.select_related("doctor", "model_version", "study", "review", "diagnosis")
        .defer("activation_map", "model_version__card")
        .order_by("pk")
    )


def export(
    out: Path,
    readings: QuerySet[Reading],
    *,
    key: Key,
    options: Options,
    on_film: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write an export to a folder that does not exist yet, or is empty.

    Raises:
        ExportError: the folder holds something.
        OSError: a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"{out} exists already. Choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    exported, number = Exported(), readings.count()
    for done, reading in enumerate(readings.iterator(chunk_size=CHUNK), start=1):
        reason = _obstacle(reading, options) or _written(out, reading, key, options, exported)
        if reason:
            exported.left_out[reason] += 1
        if on_film is not None:
            on_film(done, number)
    _describe(out, exported, key)
    return exported


def _obstacle(reading: Reading, options: Options) -> str:
    """Return why a reading is left out before its film is looked at, "" if it is not."""
    if reading.header_disowned:
        return "the file's header is wrong or somebody else's"
    if options.in_classes and _diagnosis(reading) not in CLASSES:
        return "no confirmed diagnosis of a class"
    is_checked = options.text_checked or reading.pk in options.boxes
    if reading.film_format != "DICOM" and not is_checked:
        return "the image may hold text: look at it"
    return ""


def _written(out: Path, reading: Reading, key: Key, options: Options, exported: Exported) -> str:
    """Write a film and its row; return why it was left out, "" if it was not."""
    boxes = options.boxes.get(reading.pk, [])
    try:
        film = clean_film(reading, key=key, boxes=boxes, as_picture=options.as_pictures)
    except (FilmMissingError, FilmError) as error:
        logger.warning("Reading %s is not exported: %s", reading.pk, error)
        return "the X-ray is missing or cannot be read"
    except LeakError:
        logger.exception("Reading %s is not exported.", reading.pk)
        return "an identifier would have been left"
    is_checked = options.text_checked or reading.pk in options.boxes
    if not is_checked and not states_no_text(film.burned_in):
        return "the image may hold text: look at it"
    row = _row(reading, film, key, options)
    # Hashes and numbers hold any short text by chance. So do pixels; the header beside them was
    # checked when it was made.
    texts = json.dumps([row[name] for name in WORDS], ensure_ascii=False).encode()
    if identifiers_in(reading, texts) or key.is_in(texts) or key.is_in(film.data):
        logger.error("Reading %s is not exported: an identifier was left.", reading.pk)
        return "an identifier would have been left"
    path = out / row["file"]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Recorded before the file exists, so that an export that breaks off is on record too.
    detail = {"to": out.name, "sha256": row["sha256"]}
    record_access(reading, what="deidentified", detail=detail)
    write_atomically(path, film.data)
    exported.rows.append(row)
    exported.removed.update(film.removed)
    return ""


def _row(reading: Reading, film: CleanFilm, key: Key, options: Options) -> dict[str, Any]:
    patient = patient_of(reading, key)
    folder = _diagnosis(reading) if options.in_classes else patient.pseudonym
    name = f"{patient.pseudonym}_{key.file_name(str(reading.pk))}.{film.ending}"
    diagnosis, review = getattr(reading, "diagnosis", None), getattr(reading, "review", None)
    has_opinion = options.with_opinions and review is not None and review.is_signed
    # The model's answer comes after its doctor's own opinion, here too.
    has_result = not reading.withheld
    return {
        "file": f"{folder}/{name}",
        "patient": patient.pseudonym,
        "exam_date_shifted": shifted_date(reading, key).isoformat(),
        "age_years": min(90, reading.patient_age_years),
        "sex": reading.patient_sex,
        "confirmed_diagnosis": _diagnosis(reading),
        "confirmed_by": diagnosis.source if diagnosis else "",
        "doctor_opinion": review.verdict if review and has_opinion else "",
        "model": reading.model_name if has_result else "",
        "bundle_sha256": reading.bundle_sha256 if has_result else "",
        "model_result": reading.label if has_result else "",
        "pneumonia_probability": round(reading.probability, 6)
        if has_result and not reading.is_out_of_scope
        else "",
        "width": reading.film_width,
        "height": reading.film_height,
        "sha256": hashlib.sha256(film.data).hexdigest(),
    }


def _diagnosis(reading: Reading) -> str:
    diagnosis = getattr(reading, "diagnosis", None)
    return str(diagnosis.value) if diagnosis else ""


def _describe(out: Path, exported: Exported, key: Key) -> None:
    exported.rows.sort(key=lambda row: str(row["file"]))
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(exported.rows)
    report = {
        "version": 1,
        "films": len(exported.rows),
        "patients": len({row["patient"] for row in exported.rows}),
        "profile": {"edition": EDITION, "methods": [meaning for _code, meaning in METHODS]},
        "removed_elements": dict(sorted(exported.removed.items())),
        "left_out": dict(exported.left_out),
    }
    files = {
        "manifest.csv": text.getvalue(),
        "manifest.json": json.dumps(exported.rows, indent=1),
        "report.json": json.dumps(report, indent=1),
    }
    for name, content in files.items():
        if key.is_in(content.encode()):
            raise ExportError(f"The key would have been written to {name}.")
        write_atomically(out / name, content.encode())
