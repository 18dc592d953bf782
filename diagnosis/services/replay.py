"""Recompute a stored reading, to show that film, model and result are unchanged."""

from diagnosis.models import Label, Reading
from diagnosis.services.films import original_film
from diagnosis.services.readings import stated_of
from mlcore import inference

RELATIVE_TOLERANCE = 1e-4


def _limits(reading: Reading, again: inference.Prediction) -> dict[str, tuple[float, float]]:
    """Return stored and recomputed limits; none for a reading that has no stored ones."""
    if reading.limits is None:
        return {}
    now = (again.rule.lower, again.rule.upper)
    names = ("lower limit", "upper limit")
    return dict(zip(names, zip(reading.limits, now, strict=True), strict=True))


def replay(reading: Reading) -> list[str]:
    """Run the model that made a reading on the stored film again.

    Args:
        reading: the reading to recompute; it is not changed.

    Returns:
        A sentence for each value that differs from the stored one; empty if none does. Numbers may
        differ by `RELATIVE_TOLERANCE`.

    Raises:
        FilmMissingError: the film is missing or altered.
        mlcore.inference.ModelUnavailable: the model is gone, or its bundle has changed.
    """
    model = inference.model_named(reading.model_version.name, sha256=reading.bundle_sha256)
    again = inference.predict(original_film(reading), stated=stated_of(reading), model=model)
    values = {
        "label": (reading.label, again.label),
        "ranking threshold": (reading.threshold, again.threshold),
        **_limits(reading, again),
        "scope reasons": (reading.scope_reasons, list(again.scope_reasons)),
        "preprocessing": (reading.preprocessing_id, again.preprocessing_id),
    }
    # Readings made before the field existed have no value.
    if reading.scope_resembles:
        values["resemblance"] = (reading.scope_resembles, again.resembles)
    numbers = {
        "probability": (reading.probability, again.probabilities[Label.PNEUMONIA]),
        "scope score": (reading.scope_score, again.scope_score),
    }
    return [
        f"{name} was {stored}, is {now}" for name, (stored, now) in values.items() if stored != now
    ] + [
        f"{name} was {stored:.6f}, is {now:.6f}"
        for name, (stored, now) in numbers.items()
        if abs(stored - now) > RELATIVE_TOLERANCE * max(1, abs(stored))
    ]
