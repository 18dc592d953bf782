"""Recomputing a stored reading, to show that film, model and result are the ones stored."""

from diagnosis.models import Label, Reading
from diagnosis.services.films import original_film
from diagnosis.services.readings import stated_of
from mlcore import inference

REPLAY_TOLERANCE = 1e-4


def replay(reading: Reading) -> list[str]:
    """Reads the stored film again with the model that read it.

    Returns:
        What differs from what is stored, in words; nothing where all is the same.

    Raises:
        FilmMissingError: the film is missing or altered.
        mlcore.inference.ModelUnavailable: the model is gone or its bundle is another.
    """
    model = inference.model_named(reading.model_version.name, sha256=reading.bundle_sha256)
    again = inference.predict(original_film(reading), stated=stated_of(reading), model=model)
    pairs = {
        "label": (reading.label, again.label),
        "threshold": (reading.threshold, again.threshold),
        "scope reasons": (reading.scope_reasons, list(again.scope_reasons)),
        "preprocessing": (reading.preprocessing_id, again.preprocessing_id),
    }
    differences = [
        f"{name} was {stored}, is {now}" for name, (stored, now) in pairs.items() if stored != now
    ]
    figures = {
        "probability": (reading.probability, again.probabilities[Label.PNEUMONIA]),
        "scope score": (reading.scope_score, again.scope_score),
    }
    return differences + [
        f"{name} was {stored:.6f}, is {now:.6f}"
        for name, (stored, now) in figures.items()
        if abs(stored - now) > REPLAY_TOLERANCE * max(1, abs(stored))
    ]
