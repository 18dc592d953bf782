"""Columns of readings that the database computes from others, so that they are never stale.

Those that follow from the model's answer say nothing while it is withheld.
"""

from django.db import models
from django.db.models import Case, Q, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from diagnosis.models.choices import NOT_URGENT, URGENCIES, URGENCY_WITHHELD, Label

# The probability by which readings without a result are sorted.
NO_PROBABILITY = -1.0


def urgency() -> models.Field:
    """Return the place in the order of work: pneumonia, inconclusive, withheld, the others."""
    return models.GeneratedField(
        expression=Case(
            When(withheld=True, then=Value(URGENCY_WITHHELD)),
            *(When(label=str(label), then=Value(place)) for label, place in URGENCIES.items()),
            default=Value(NOT_URGENT),
        ),
        output_field=models.PositiveSmallIntegerField(),
        db_persist=True,
    )


def pneumonia_probability() -> models.Field:
    """Return the probability of pneumonia to sort by; `NO_PROBABILITY` where none is shown."""
    return models.GeneratedField(
        expression=Case(
            When(Q(withheld=True) | Q(label=str(Label.OUT_OF_SCOPE)), then=Value(NO_PROBABILITY)),
            default=Cast(
                KeyTextTransform(str(Label.PNEUMONIA), "probabilities"), models.FloatField()
            ),
            output_field=models.FloatField(),
        ),
        output_field=models.FloatField(null=True),
        db_persist=True,
    )


def is_unread() -> models.Field:
    """Return whether the doctor has not opened the reading's page yet."""
    return models.GeneratedField(
        expression=Case(When(Q(opened_at__isnull=True), then=Value(True)), default=Value(False)),
        output_field=models.BooleanField(),
        db_persist=True,
    )
