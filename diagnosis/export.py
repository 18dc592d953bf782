"""Readings as rows of a table, for CSV export."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from diagnosis.models import Label, Reading

# Field by column. Times are in the site's time zone. docs/supervisors.md documents every column.
COLUMNS = {
    "reading": "pk",
    "read_at": "created_at",
    "doctor": "doctor__display_name",
    "doctor_email": "doctor__email",
    "hospital": "doctor__hospital",
    "patient_name": "patient_name",
    "patient_number": "patient_number",
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
    "model": "model_version__name",
    "bundle_sha256": "bundle_sha256",
    "own_reading": "review__verdict",
    "own_reading_note": "review__note",
    "own_reading_at": "review__updated_at",
    "doctor_and_model": "agreement",
    "film_sha256": "film_sha256",
    "film_format": "film_format",
    "deleted_at": "hidden_at",
    "deleted_because": "hidden_reason",
}
CHUNK_SIZE = 2000


def rows(readings: QuerySet[Reading]) -> Iterator[list[object]]:
    """Yield a row of `COLUMNS` for each reading, in the queryset's order.

    Keeps at most `CHUNK_SIZE` readings in memory.
    """
    fields = readings.values_list(*COLUMNS.values())
    for values in fields.iterator(chunk_size=CHUNK_SIZE):
        yield [_cell(value) for value in values]


def _cell(value: Any) -> object:
    match value:
        case None:
            return ""
        case datetime():
            return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
        case dict():
            return value[Label.PNEUMONIA]
        case list():
            return " ".join(value)
    return value
