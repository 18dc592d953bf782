"""The study and team that a reading belongs to, and the doctor it is assigned to."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.models.choices import SecondState


class Belonging(models.Model):
    """The columns of a reading that say whose it is besides its doctor's.

    `services.linking` sets the study, `services.teams` the others.
    """

    study = models.ForeignKey(
        "diagnosis.Study",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        db_index=False,  # BELONGING_INDEXES has one that starts with it
        related_name="readings",
        verbose_name=_("study"),
    )
    team = models.ForeignKey(
        "diagnosis.Team",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        db_index=False,  # BELONGING_INDEXES has one that starts with it
        related_name="readings",
        verbose_name=_("team"),
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        db_index=False,  # BELONGING_INDEXES has one that starts with it
        related_name="assigned_readings",
        verbose_name=_("assigned to"),
    )

    # NULL, not "": an index of the few others is then found by any comparison.
    second_state = models.CharField(  # noqa: DJ001
        _("second reading"),
        max_length=5,
        choices=SecondState.choices,
        null=True,
        blank=True,
        editable=False,
    )

    class Meta:
        abstract = True


# Those of teams contain the readings of teams only, so that others cost nothing.
BELONGING_INDEXES = [
    models.Index(fields=["study", "doctor", "hidden_at"], name="reading_study"),
    models.Index(
        fields=[
            "team", "-created_at", "-id", "doctor", "label", "exam_date", "patient_name_key",
            "patient_number_key", "hidden_at",
        ],
        condition=models.Q(team__isnull=False, hidden_at__isnull=True),
        name="reading_team_newest",
    ),
    models.Index(
        fields=["assigned_to", "-created_at", "-id", "team", "hidden_at"],
        condition=models.Q(assigned_to__isnull=False, hidden_at__isnull=True),
        name="reading_assigned",
    ),
    models.Index(
        fields=["second_state", "team", "created_at", "id", "doctor", "hidden_at"],
        condition=models.Q(second_state__isnull=False, hidden_at__isnull=True),
        name="reading_second",
    ),
]  # fmt: skip
