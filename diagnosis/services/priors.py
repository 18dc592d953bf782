"""Other films of the same patient: the only place that decides which these are."""

from typing import Any

from django.db.models import QuerySet

from diagnosis.models import Reading
from diagnosis.search import search_key
from diagnosis.services.patient_films import films_of

# More than are compared with. The newest exams come first.
MAX_PRIORS = 24


def prior_films(reading: Reading, user: Any) -> list[Reading]:
    """Return the readings of the patient's other films that `user` may see, latest exam first.

    These are the readings of the patient's row. A reading without a number has one of its own:
    readings with the same name and no number are taken for the same patient, so the page names
    the rule. Later films count too, so that the page of an earlier film leads to them. Copies of
    the very same film are left out.
    """
    sources = []
    if reading.study is not None:
        sources.append(films_of(user, reading.study.patient_id))
    if reading.study is None or not reading.patient_number:
        sources.append(_by_what_is_written(reading, user))
    found = {other.pk: other for source in sources for other in _others(source, reading, user)}
    newest = sorted(found.values(), key=lambda each: (each.exam_date, each.created_at))
    return newest[::-1][:MAX_PRIORS]


def _by_what_is_written(reading: Reading, user: Any) -> QuerySet[Reading]:
    """Return the readings with the same number; without one, the same name and no number."""
    readings = Reading.objects.visible_to(user)
    number = search_key(reading.patient_number)
    if number:
        return readings.filter(patient_number_key=number)
    return readings.filter(patient_name_key=search_key(reading.patient_name), patient_number="")


def _others(readings: QuerySet[Reading], reading: Reading, user: Any) -> list[Reading]:
    others = readings.filter(hidden_at__isnull=True).exclude(pk=reading.pk)
    others = others.exclude(film_sha256=reading.film_sha256).with_withheld(user)  # type: ignore[attr-defined]
    return list(others.order_by("-exam_date", "-created_at").defer("activation_map")[:MAX_PRIORS])
