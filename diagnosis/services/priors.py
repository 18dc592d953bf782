"""Other films of the same patient: the only place that decides which these are."""

from typing import Any

from diagnosis.models import Reading
from diagnosis.search import search_key

# More than are compared with. The newest exams come first.
MAX_PRIORS = 24


def prior_films(reading: Reading, user: Any) -> list[Reading]:
    """Return the readings of the patient's other films that `user` may see, latest exam first.

    The patient is recognised by the number; without one, by the same name without a number. Later
    films count too, so that the page of an earlier film leads to them. Copies of the very same film
    are left out.
    """
    others = Reading.objects.visible_to(user).filter(hidden_at__isnull=True)
    number = search_key(reading.patient_number)
    if number:
        others = others.filter(patient_number_key=number)
    else:
        name = search_key(reading.patient_name)
        others = others.filter(patient_name_key=name, patient_number="")
    others = others.exclude(pk=reading.pk).exclude(film_sha256=reading.film_sha256)
    newest = others.order_by("-exam_date", "-created_at").defer("activation_map")
    return list(newest[:MAX_PRIORS])
