"""A reading: one film, one patient, one doctor, one model version."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.querysets import ReadingQuerySet

MAX_AGE_YEARS = 130


class Label(models.TextChoices):
    """What the model said, under the decision rule of its card."""

    NORMAL = "NORMAL", pgettext_lazy("reading", "Normal")
    PNEUMONIA = "PNEUMONIA", pgettext_lazy("reading", "Pneumonia")
    UNSURE = "UNSURE", pgettext_lazy("reading", "Unsure")
    OUT_OF_SCOPE = "OUT_OF_SCOPE", pgettext_lazy("reading", "Outside validated scope")


SCOPE_REASONS = {
    "picture": _("The picture does not look like the films that the model was validated on."),
    "age": _("The patient's age is outside the ages that the model was validated on."),
    "modality": _("The file's modality is not one that the model was validated on."),
    "view": _("The film's view is not one that the model was validated on."),
    "body_part": _("The file says that it shows another part of the body."),
}


class Reading(models.Model):
    """What a model said of a film, and whose film it is.

    The fields of the film and of the model are written once, by `services.submit_reading`.
    A doctor may correct the patient's particulars. Where a corrected age moves the patient into
    or out of the validated ages, `label` and `scope_reasons` follow from the stored figures.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="readings",
        verbose_name=_("doctor"),
    )

    patient_name = models.CharField(_("patient's name"), max_length=120)
    patient_number = models.CharField(_("patient number"), max_length=64, blank=True)
    patient_age_years = models.PositiveSmallIntegerField(
        _("patient's age (years)"), validators=[MaxValueValidator(MAX_AGE_YEARS)]
    )
    exam_date = models.DateField(_("exam date"))

    film_sha256 = models.CharField(_("film SHA-256"), max_length=64, db_index=True)
    film_format = models.CharField(_("film format"), max_length=8)
    film_bytes = models.PositiveIntegerField(_("film size (bytes)"))
    film_width = models.PositiveIntegerField(_("film width (pixels)"))
    film_height = models.PositiveIntegerField(_("film height (pixels)"))
    film_modality = models.CharField(_("stated modality"), max_length=16, blank=True)
    film_view = models.CharField(_("stated view"), max_length=16, blank=True)
    film_body_part = models.CharField(_("stated body part"), max_length=64, blank=True)

    label = models.CharField(_("result"), max_length=12, choices=Label.choices)
    probabilities = models.JSONField(_("probabilities"))
    threshold = models.FloatField(_("threshold"))
    scope_score = models.FloatField(_("scope score"))
    scope_threshold = models.FloatField(_("scope threshold"))
    scope_reasons = models.JSONField(_("why it is outside the scope"), default=list, blank=True)
    activation_map = models.BinaryField(_("activation map (8-bit grey PNG)"))

    model_version = models.ForeignKey(
        "mlcore.ModelVersion",
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("model version"),
    )
    bundle_sha256 = models.CharField(_("bundle SHA-256"), max_length=64)
    preprocessing_id = models.CharField(_("preprocessing"), max_length=64)
    inference_ms = models.FloatField(_("time to read (ms)"))

    created_at = models.DateTimeField(_("read at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    objects: ClassVar = ReadingQuerySet.as_manager()

    class Meta:
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [("oversee_reading", "Can oversee every doctor's readings")]
        indexes: ClassVar = [
            models.Index(fields=["doctor", "-created_at", "-id"], name="reading_own_newest"),
            models.Index(fields=["doctor", "label", "-created_at"], name="reading_own_label"),
            models.Index(fields=["doctor", "exam_date"], name="reading_own_exam_date"),
            models.Index(fields=["-created_at", "-id"], name="reading_newest"),
            models.Index(fields=["label", "-created_at"], name="reading_label"),
            models.Index(fields=["exam_date"], name="reading_exam_date"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(label__in=Label.values), name="reading_label_known"
            ),
            models.CheckConstraint(
                condition=models.Q(patient_age_years__lte=MAX_AGE_YEARS),
                name="reading_age_possible",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def get_absolute_url(self) -> str:
        return reverse("readings:detail", args=[self.pk])

    @property
    def probability(self) -> float:
        """The calibrated probability of pneumonia, 0 to 1."""
        return float(self.probabilities[Label.PNEUMONIA])

    @property
    def probability_text(self) -> str:
        """`probability` to three places; never the certainty that no network has."""
        if self.probability >= 0.9995:
            return "> 0.999"
        if self.probability < 0.0005:
            return "< 0.001"
        return f"{self.probability:.3f}"

    @property
    def percent(self) -> float:
        """`probability` as a length on a scale of 100."""
        return round(100 * self.probability, 2)

    @property
    def threshold_percent(self) -> float:
        return round(100 * self.threshold, 2)

    @property
    def unsure_band(self) -> tuple[float, float] | None:
        """The probabilities between which the model does not decide, by its card.

        None for a model that always decides, and where the version's row no longer is of the
        bundle that read this film.
        """
        version = self.model_version
        band = version.card.get("conformal")
        if not band or version.bundle_sha256 != self.bundle_sha256:
            return None
        return float(band["lower"]), min(1.0, float(band["upper"]))

    @property
    def unsure_percents(self) -> tuple[float, float] | None:
        """`unsure_band` as start and width on a scale of 100."""
        if self.unsure_band is None:
            return None
        lower, upper = self.unsure_band
        return round(100 * lower, 2), round(100 * (upper - lower), 2)

    @property
    def is_out_of_scope(self) -> bool:
        return self.label == Label.OUT_OF_SCOPE

    @property
    def scope_reason_texts(self) -> list[str]:
        return [str(SCOPE_REASONS.get(code, code)) for code in self.scope_reasons]

    @property
    def model_name(self) -> str:
        return self.model_version.name
