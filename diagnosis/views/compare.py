"""Films to show beside a reading's film: other ones of the patient, and any other."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from diagnosis import access_log, serving
from diagnosis.models import Reading
from diagnosis.services.films import MAX_DEEP_PIXELS
from diagnosis.services.lungs import outline_state
from diagnosis.services.patients import is_same_name
from diagnosis.services.priors import prior_films

MAX_FOUND = 12


def has_depth(reading: Reading) -> bool:
    """Return whether a film is small enough to be shown at its stored depth."""
    return reading.film_width * reading.film_height <= MAX_DEEP_PIXELS


def choices(reading: Reading, others: Iterable[Reading]) -> list[dict[str, Any]]:
    """Return films to compare a reading's with, for `_comparison.html`; nothing of the model."""
    found = []
    for other in others:
        days = (other.exam_date - reading.exam_date).days
        found.append(
            {
                "reading": other,
                "days": days,
                "days_apart": abs(days),
                "has_depth": has_depth(other),
                "is_other_name": not is_same_name(other.patient_name, reading.patient_name),
            }
        )
    return found


def viewer_context(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    """Return what the viewer needs; the list of other films is recorded."""
    priors = prior_films(reading, request.user)
    if priors:
        access_log.record_list(priors, what="priors")
    return {
        "priors": choices(reading, priors),
        "has_depth": has_depth(reading),
        "lung_outline": "" if reading.is_sealed else outline_state(reading),
    }


@require_POST
def other_films(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """List films of any patient whose name or number matches; the newest without a text.

    A POST, because the text is a patient's name or number and stays out of the URL.
    """
    reading = serving.reading_for(request, pk)
    query = request.POST.get("q", "").strip()
    found = Reading.objects.visible_to(request.user).with_withheld(request.user)
    found = found.filter(hidden_at__isnull=True)
    if query:
        oversees = request.user.has_perm("diagnosis.oversee_reading")
        found = found.beginning_with(query) if oversees else found.about(query)
    others = found.exclude(pk=pk).defer("activation_map")[:MAX_FOUND]
    shown = choices(reading, others)
    if shown:
        access_log.record_list([each["reading"] for each in shown], what="other-films")
    context = {"choices": shown, "query": query}
    return render(request, "diagnosis/_other_films.html", context)
