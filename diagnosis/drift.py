"""Drift of the readings of the active model; see `mlcore.drift`. No patient data leaves here."""

from typing import Any

from django.db.models import Q

from diagnosis.models import Label, Reading
from mlcore import drift
from mlcore.models import ModelVersion

FIELDS = ("probabilities", "scope_score", "image_hints", "film_width", "film_height")
# Readings that are refused for something else than their image, such as an adult's, are not of the
# population that the model was measured on.
IMAGE_ALONE = Q(scope_reasons=[]) | Q(scope_reasons=["picture"])


def report(*, last: int = drift.LAST) -> drift.Report:
    """Compare the latest readings of the active model with its reference.

    Args:
        last: number of readings to compare. It is also the largest number of the site's first
            readings that the statistics without a reference are compared with.
    """
    version = ModelVersion.objects.filter(is_active=True).first()
    if version is None:
        return drift.report(None, ())
    made: Any = Reading.objects.counted().filter(
        IMAGE_ALONE, model_version=version, bundle_sha256=version.bundle_sha256
    )
    recent = _observed(made.order_by("-created_at", "-id")[:last])
    before = made.order_by()[: 2 * last].count() - len(recent)
    first = _observed(made.order_by("created_at", "id")[:before]) if before else []
    return drift.report(version, recent, first)


def _observed(readings: Any) -> list[drift.Observed]:
    return [
        drift.Observed(probabilities[Label.PNEUMONIA], score, tuple(hints), width / height)
        for probabilities, score, hints, width, height in readings.values_list(*FIELDS)
    ]
