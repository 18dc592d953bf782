"""Opinions of doctors about a film, their drafts, and the diagnosis that was confirmed later."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import findings
from diagnosis.models.choices import Verdict
from diagnosis.models.reading import Reading

NOTE_LENGTH = 2000


class Confidence(models.TextChoices):
    """How sure a doctor is."""

    LOW = "LOW", pgettext_lazy("confidence", "Low")
    MODERATE = "MODERATE", pgettext_lazy("confidence", "Moderate")
    HIGH = "HIGH", pgettext_lazy("confidence", "High")


class Stage(models.TextChoices):
    """When an opinion was recorded."""

    FIRST = "FIRST", _("First opinion, before the model's result")
    SIGNED = "SIGNED", _("Signed opinion")
    ADDENDUM = "ADDENDUM", _("Addendum")
    SECOND = "SECOND", _("Second reading, independent of the first")
    ARBITER = "ARBITER", _("Arbiter's decision")


# What the reading's own doctor records.
OWN_STAGES = (Stage.FIRST, Stage.SIGNED, Stage.ADDENDUM)


class WrittenOnceError(Exception):
    """Raised when a stored opinion would be changed."""


class OpinionQuerySet(models.QuerySet["Opinion"]):
    """Opinions, which are only ever added."""

    def update(self, **kwargs: Any) -> int:
        raise WrittenOnceError("Opinions are never changed. Add an addendum.")


class OpinionContent(models.Model):
    """What an opinion says."""

    verdict = models.CharField(_("doctor's assessment"), max_length=12, choices=Verdict.choices)
    findings = models.JSONField(_("findings"), default=list, blank=True)
    confidence = models.CharField(
        _("confidence"), max_length=8, choices=Confidence.choices, blank=True
    )
    note = models.CharField(_("note"), max_length=NOTE_LENGTH, blank=True)

    class Meta:
        abstract = True

    @property
    def finding_texts(self) -> list[str]:
        """`findings` in the active language."""
        return [findings.shown(each) for each in self.findings]


class Opinion(OpinionContent):
    """An opinion as it was recorded: never changed, and deleted only with its reading.

    A blind-first reading has a `FIRST` opinion, recorded before the model's result was sent. Every
    reading has at most one `SIGNED` opinion of its doctor; what comes later is an `ADDENDUM`, which
    repeats or changes the assessment. A team may ask for the `SECOND` opinion of another member,
    and for the decision of its `ARBITER` where the two differ, see `services.second_readings`.
    """

    reading = models.ForeignKey(
        Reading, on_delete=models.CASCADE, related_name="opinions", verbose_name=_("reading")
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("doctor"),
    )
    stage = models.CharField(_("stage"), max_length=8, choices=Stage.choices)
    recorded_at = models.DateTimeField(_("recorded at"), default=timezone.now)
    # From the first opening of the page. None for opinions of earlier versions, and for addenda.
    seconds = models.PositiveIntegerField(_("time taken (seconds)"), null=True, blank=True)

    objects: ClassVar = OpinionQuerySet.as_manager()

    class Meta:
        verbose_name = _("doctor's opinion")
        verbose_name_plural = _("doctors' opinions")
        default_permissions = ()
        ordering: ClassVar = ["recorded_at", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=Verdict.values), name="opinion_verdict_known"
            ),
            models.UniqueConstraint(
                fields=["reading", "author", "stage"],
                condition=models.Q(stage__in=[Stage.FIRST, Stage.SIGNED]),
                name="opinion_stage_once",
            ),
            models.UniqueConstraint(
                fields=["reading", "stage"],
                condition=models.Q(stage__in=[Stage.SECOND, Stage.ARBITER]),
                name="opinion_second_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reading_id} {self.stage}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise WrittenOnceError("Opinions are never changed. Add an addendum.")
        super().save(*args, **kwargs)


class OpinionDraft(models.Model):
    """What a doctor has entered but not recorded: the form's values, for this doctor only."""

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="opinion_drafts")
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="opinion_drafts"
    )
    content = models.JSONField()
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reading", "doctor"], name="opinion_draft_once")
        ]

    def __str__(self) -> str:
        return str(self.reading_id)


class Diagnosis(models.TextChoices):
    """A diagnosis that was confirmed by more than this film."""

    PNEUMONIA = "PNEUMONIA", pgettext_lazy("diagnosis", "Pneumonia")
    NORMAL = "NORMAL", pgettext_lazy("diagnosis", "No chest disease")
    OTHER = "OTHER", pgettext_lazy("diagnosis", "Other disease, no pneumonia")


class DiagnosisSource(models.TextChoices):
    """What confirmed a diagnosis."""

    MICROBIOLOGY = "MICROBIOLOGY", _("Culture, PCR or antigen test")
    IMAGING = "IMAGING", _("CT, ultrasound or later X-ray")
    COURSE = "COURSE", _("Clinical course or discharge diagnosis")
    PANEL = "PANEL", _("Reading by several experts")
    OTHER = "OTHER", pgettext_lazy("source of a diagnosis", "Other")


class ConfirmedDiagnosis(models.Model):
    """The confirmed diagnosis of a reading's patient; the audit log keeps earlier values."""

    reading = models.OneToOneField(Reading, on_delete=models.CASCADE, related_name="diagnosis")
    value = models.CharField(_("confirmed diagnosis"), max_length=10, choices=Diagnosis.choices)
    source = models.CharField(_("confirmed by"), max_length=12, choices=DiagnosisSource.choices)
    detail = models.CharField(_("details"), max_length=200, blank=True)
    confirmed_on = models.DateField(_("confirmed on"))
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("recorded by"),
    )
    recorded_at = models.DateTimeField(_("recorded at"), auto_now=True)

    class Meta:
        verbose_name = _("confirmed diagnosis")
        verbose_name_plural = _("confirmed diagnoses")
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(value__in=Diagnosis.values), name="diagnosis_value_known"
            ),
        ]

    def __str__(self) -> str:
        return str(self.reading_id)
