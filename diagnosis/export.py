"""Readings as rows of a table, for CSV export."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.answer import ANSWER_FIELDS
from diagnosis.models import Label, Reading
from diagnosis.models.discrepancies import summary

# Field by column. Times are in the site's time zone. docs/supervisors.md documents every column.
COLUMNS = {
    "reading": "pk",
    "read_at": "created_at",
    "doctor": "doctor__display_name",
    "doctor_email": "doctor__email",
    "hospital": "doctor__hospital",
    "patient_name": "patient_name",
    "patient_number": "patient_number",
    "patient_sex": "patient_sex",
    "patient_birth_date": "patient_birth_date",
    "patient_age_years": "patient_age_years",
    "exam_date": "exam_date",
    "result": "label",
    "probability_pneumonia": "probabilities",
    "rule": "rule",
    "normal_below": "normal_below",
    "pneumonia_from": "pneumonia_from",
    "ranking_threshold": "threshold",
    "scope_score": "scope_score",
    "scope_threshold": "scope_threshold",
    "scope_reasons": "scope_reasons",
    "scope_resembles": "scope_resembles",
    "image_hints": "image_hints",
    "model": "model_version__name",
    "bundle_sha256": "bundle_sha256",
    "own_reading": "review__verdict",
    "own_reading_note": "review__note",
    "own_reading_at": "review__updated_at",
    "doctor_and_model": "agreement",
    "film_sha256": "film_sha256",
    "film_format": "film_format",
    "file_name": "original_name",
    "file_mime_type": "film_mime_type",
    "file_and_form": "discrepancies",
    "header_disowned": "header_disowned",
    "deleted_at": "hidden_at",
    "deleted_because": "hidden_reason",
}
CHUNK_SIZE = 2000
RECORD_SIZE = 500


# What the file does not say to a doctor from whom the model's answer is withheld.
SEALED = {number for number, field in enumerate(COLUMNS.values()) if field in ANSWER_FIELDS}


def rows(
    readings: QuerySet[Reading],
    *,
    record: Callable[[list[Any]], None],
    seal: bool = False,
) -> Iterator[list[object]]:
    """Yield a row of `COLUMNS` for each reading, in the queryset's order.

    Keeps at most `CHUNK_SIZE` readings in memory.

    Args:
        readings: what is exported.
        record: called with the primary keys of the next `RECORD_SIZE` readings before the first of
            them is yielded, so that an export that is broken off is recorded as far as it went,
            and the log is locked for a moment only.
        seal: whether the model's answer is left out where it is withheld, as in every file for the
            readings' own doctor.
    """
    fields = readings.values_list(*COLUMNS.values(), "withheld").iterator(chunk_size=CHUNK_SIZE)
    while some := list(islice(fields, RECORD_SIZE)):
        record([values[0] for values in some])
        for *values, withheld in some:
            left_out = SEALED if seal and withheld else ()
            yield ["" if n in left_out else _cell(value) for n, value in enumerate(values)]


def _cell(value: Any) -> object:
    match value:
        case None:
            return ""
        case datetime():
            return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
        case dict():
            return value[Label.PNEUMONIA]
        case bool():
            return "yes" if value else ""
        case [dict(), *_]:
            return summary(value)
        case list():
            return " ".join(value)
    return value
