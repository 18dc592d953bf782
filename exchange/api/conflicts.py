"""What has to be decided before a reading is stored, as a problem; and decisions that were sent."""

from typing import Any

from django.http import QueryDict
from django.utils.translation import gettext as _

from diagnosis import access_log
from diagnosis.forms.conflicts import (
    FILM_REASON,
    NUMBER_REASON,
    NUMBER_RIGHT,
    SAME_NUMBER,
    ConflictForm,
)
from diagnosis.models import Reading, Source
from diagnosis.services.conflicts import Conflicts, Decisions
from exchange.api.problems import Problem
from exchange.api.schemas.readings import DecisionsIn


def conflict(found: Conflicts, *, errors: list[dict[str, str]] | None = None) -> Problem:
    """Return the problem that states what has to be decided, and record whom it names."""
    if found.earlier:
        access_log.record_list(found.earlier, what="same-film")
    if found.same_number:
        access_log.record_list(found.same_number, what="same-number")
    detail = _(
        "File, form and earlier readings disagree. Nothing was stored. Have a person decide, and "
        "send it again with “decisions”."
    )
    more: dict[str, Any] = {"conflicts": _stated(found)}
    if errors:
        more["errors"] = errors
    return Problem(409, "conflict", detail, **more)


def _stated(found: Conflicts) -> dict[str, Any]:
    return {
        "fields": [
            {
                "field": each.field,
                "file": each.file,
                "form": each.form,
                "choices": _choices(each.field, found),
            }
            for each in found.differences
        ],
        "validated_ages": list(found.validated_ages) if found.validated_ages else None,
        "same_film": [_earlier(reading) for reading in found.earlier],
        "same_number": [_earlier(reading) for reading in found.same_number],
        "doubtful_numbers": list(found.doubtful),
    }


def _choices(field: str, found: Conflicts) -> list[str]:
    choices = [Source.FILE, Source.FORM]
    if field == "patient_age_years" and found.validated_ages:
        choices.append(Source.DISOWNED)
    return [each.value for each in choices]


def _earlier(reading: Reading) -> dict[str, Any]:
    return {
        "id": str(reading.pk),
        "patient_name": reading.patient_name,
        "patient_number": reading.patient_number,
        "exam_date": reading.exam_date.isoformat(),
    }


def decided(found: Conflicts, sent: DecisionsIn, entered: dict[str, str]) -> Decisions:
    """Return what was decided, checked as on the page that asks for it.

    Raises:
        Problem: a decision is missing or contradicts another one.
    """
    form = ConflictForm(_data(found, sent), conflicts=found, entered=entered)
    if form.is_valid():
        return form.decisions()
    errors = [
        {"field": "" if name == "__all__" else name.removeprefix("choose_"), "detail": str(each)}
        for name, problems in form.errors.items()
        for each in problems
    ]
    raise conflict(found, errors=errors)


def _data(found: Conflicts, sent: DecisionsIn) -> QueryDict:
    data = QueryDict(mutable=True)
    for field, choice in sent.fields.items():
        data[f"choose_{field}"], data[f"reason_{field}"] = choice.choose, choice.reason
    # Readings that were made since the program asked have not been seen.
    data["seen"] = " ".join(str(key) for key in sent.seen)
    if sent.film_reason:
        data[FILM_REASON] = sent.film_reason
    if sent.same_as is not None:
        data[SAME_NUMBER] = str(sent.same_as)
    elif sent.number_reason:
        data[SAME_NUMBER], data[NUMBER_REASON] = Source.OTHER.value, sent.number_reason
    if sent.number_is_right:
        data[NUMBER_RIGHT] = "on"
    return data
