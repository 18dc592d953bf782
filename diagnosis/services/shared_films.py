"""X-rays that are stored under several patients, by any doctor: for supervisors."""

from typing import TYPE_CHECKING, Any

from django.db.models import Count, Max, TextField, Value
from django.db.models.functions import Concat

from diagnosis.models import Reading

if TYPE_CHECKING:
    from accounts.models import User

# Readings shown of one X-ray; the counts are of all.
MAX_READINGS = 20


def shared_films(supervisor: "User") -> Any:
    """Return the X-rays of several patients, the most recently read first.

    Patients are told apart by name and number, without regard to case and width. X-rays are
    recognised by their pixels; those without a hash of the pixels are not in the list until
    `hash_pixels` has run.

    Args:
        supervisor: who asks; others than supervisors find their own readings at most.

    Returns:
        For each X-ray `film_pixels_sha256`, and the numbers of `patients`, `doctors` and `count`
        of readings.
    """
    hashed = Reading.objects.visible_to(supervisor).exclude(film_pixels_sha256="")
    patient = Concat(
        "patient_name_key", Value("\n"), "patient_number_key", output_field=TextField()
    )
    return (
        hashed.order_by()
        .values("film_pixels_sha256")
        .annotate(
            patients=Count(patient, distinct=True),
            doctors=Count("doctor", distinct=True),
            count=Count("pk"),
            last=Max("created_at"),
        )
        .filter(patients__gt=1)
        .order_by("-last", "film_pixels_sha256")
    )


def readings_of(films: list[dict[str, Any]], *, by: "User") -> list[dict[str, Any]]:
    """Add to each X-ray its newest `readings`, at most `MAX_READINGS`."""
    readings = Reading.objects.visible_to(by).select_related("doctor").defer("activation_map")
    return [
        film
        | {
            "readings": list(
                readings.filter(film_pixels_sha256=film["film_pixels_sha256"]).order_by(
                    "-created_at", "-id"
                )[:MAX_READINGS]
            )
        }
        for film in films
    ]
