"""A reading: one film, one patient, one doctor, one model version."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.querysets import ReadingQuerySet
from diagnosis.search import SearchKeyField

MAX_AGE_YEARS = 130


class Label(models.TextChoices):
    """What the model said, under the decision rule of its card."""

    NORMAL = "NORMAL", pgettext_lazy("reading", "Normal")
    PNEUMONIA = "PNEUMONIA", pgettext_lazy("reading", "Pneumonia")
    UNSURE = "UNSURE", pgettext_lazy("reading", "Unsure")
    OUT_OF_SCOPE = "OUT_OF_SCOPE", pgettext_lazy("reading", "Outside validated scope")


class Verdict(models.TextChoices):
    """What a doctor reads on the film."""

    NORMAL = "NORMAL", pgettext_lazy("own reading", "Normal")
    PNEUMONIA = "PNEUMONIA", pgettext_lazy("own reading", "Pneumonia")
    OTHER = "OTHER", pgettext_lazy("own reading", "Other finding")
    CANNOT_TELL = "CANNOT_TELL", pgettext_lazy("own reading", "Cannot tell")


class Agreement(models.TextChoices):
    """Whether doctor and model say the same, where both say normal or pneumonia."""

    AGREE = "AGREE", _("Doctor and model agree")
    DISAGREE = "DISAGREE", _("Doctor and model disagree")


class AgeScope(models.TextChoices):
    """Whether the patient is of an age that the model which read the film was validated on."""

    INSIDE = "INSIDE", _("Within the validated ages")
    OUTSIDE = "OUTSIDE", _("Outside the validated ages")


class HidingReason(models.TextChoices):
    """Why a doctor deleted a record; it decides how long the record is kept."""

    NOT_NEEDED = "NOT_NEEDED", _("The record is no longer needed")
    MISTAKE = "MISTAKE", _("Made by mistake: wrong patient or wrong film")


SCOPE_REASONS = {
    "picture": _("The picture does not look like the films that the model was validated on."),
    "age": _("The patient's age is outside the ages that the model was validated on."),
    "modality": _("The file's modality is not one that the model was validated on."),
    "view": _("The film's view is not one that the model was validated on."),
    "body_part": _("The file says that it shows another part of the body."),
}


SHOWN = models.Q(hidden_at__isnull=True)
NEWEST = ["-created_at", "-id"]

READING_INDEXES = [
    # A doctor's own history, searched within the index. SQLite asks for `hidden_at` although the
    # condition says what it is.
    models.Index(
        fields=["doctor", *NEWEST, "patient_name_key", "patient_number_key", "hidden_at"],
        condition=SHOWN,
        name="reading_own_newest",
    ),
    models.Index(
        fields=["doctor", "label", *NEWEST, "hidden_at"],
        condition=SHOWN,
        name="reading_own_label",
    ),
    models.Index(
        fields=["doctor", "exam_date", "hidden_at"], condition=SHOWN, name="reading_own_exam_date"
    ),
    # The supervisors' list: one for each filter, in the order of the list.
    models.Index(fields=NEWEST, name="reading_newest"),
    models.Index(fields=["label", *NEWEST], name="reading_label"),
    models.Index(fields=["doctor", *NEWEST], name="reading_doctor"),
    models.Index(fields=["model_version", *NEWEST], name="reading_model"),
    models.Index(fields=["agreement", *NEWEST], name="reading_agreement"),
    models.Index(fields=["age_scope", *NEWEST], name="reading_age_scope"),
    models.Index(fields=["-exam_date", *NEWEST], name="reading_exam_date"),
    models.Index(
        fields=[*NEWEST, "hidden_at", "hidden_reason"],
        condition=models.Q(hidden_at__isnull=False),
        name="reading_hidden",
    ),
    # The figures of the office, and the list without the hidden; figures are read off it alone.
    models.Index(
        fields=[*NEWEST, "doctor", "label", "agreement", "film_bytes", "hidden_at"],
        condition=SHOWN,
        name="reading_shown",
    ),
    # Beginnings of names and numbers; the operator class is for PostgreSQL, in any locale.
    models.Index(
        fields=["patient_name_key", "-created_at"],
        opclasses=["varchar_pattern_ops", "timestamptz_ops"],
        name="reading_name_key",
    ),
    models.Index(
        fields=["patient_number_key", "-created_at"],
        opclasses=["varchar_pattern_ops", "timestamptz_ops"],
        name="reading_number_key",
    ),
]


class Reading(models.Model):
    """What a model said of a film, and whose film it is.

    The fields of the film and of the model are written once, by `services.submit_reading`.
    A doctor may correct the patient's particulars. Where a corrected age moves the patient into
    or out of the validated ages, `label` and `scope_reasons` follow from the stored figures.
    What a doctor deletes is hidden (`hidden_at`) until a supervisor restores or purges it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="readings",
        db_index=False,  # indexes below begin with it
        verbose_name=_("doctor"),
    )

    patient_name = models.CharField(_("patient's name"), max_length=120)
    patient_number = models.CharField(_("patient number"), max_length=64, blank=True)
    patient_age_years = models.PositiveSmallIntegerField(
        _("patient's age (years)"), validators=[MaxValueValidator(MAX_AGE_YEARS)]
    )
    exam_date = models.DateField(_("exam date"))
    patient_name_key = SearchKeyField(source="patient_name")
    patient_number_key = SearchKeyField(source="patient_number")

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
        db_index=False,  # an index below begins with it
        verbose_name=_("model version"),
    )
    bundle_sha256 = models.CharField(_("bundle SHA-256"), max_length=64)
    preprocessing_id = models.CharField(_("preprocessing"), max_length=64)
    inference_ms = models.FloatField(_("time to read (ms)"))

    created_at = models.DateTimeField(_("read at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    hidden_at = models.DateTimeField(_("deleted at"), null=True, blank=True, editable=False)
    hidden_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("deleted by"),
    )
    hidden_reason = models.CharField(
        _("why it was deleted"),
        max_length=10,
        choices=HidingReason.choices,
        blank=True,
        editable=False,
    )

    # Both follow from other fields; they are kept so that an index can find them.
    agreement = models.CharField(
        _("doctor and model"), max_length=8, choices=Agreement.choices, blank=True, editable=False
    )
    age_scope = models.CharField(
        _("patient's age"),
        max_length=7,
        choices=AgeScope.choices,
        default=AgeScope.INSIDE,
        editable=False,
    )

    objects: ClassVar = ReadingQuerySet.as_manager()

    class Meta:
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        ordering: ClassVar = ["-created_at", "-id"]
        permissions: ClassVar = [("oversee_reading", "Can oversee every doctor's readings")]
        indexes: ClassVar = READING_INDEXES
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
    def is_hidden(self) -> bool:
        return self.hidden_at is not None

    @cached_property
    def is_shared(self) -> bool:
        """Whether a picture of it stands on the board; lists bring the answer with them."""
        return self.shared_cases.filter(withdrawn_at__isnull=True).exists()

    @property
    def scope_reason_texts(self) -> list[str]:
        return [str(SCOPE_REASONS.get(code, code)) for code in self.scope_reasons]

    @property
    def model_name(self) -> str:
        return self.model_version.name


class Review(models.Model):
    """The doctor's own reading of the film, so that disagreement with the model can be counted."""

    reading = models.OneToOneField(
        Reading, on_delete=models.CASCADE, related_name="review", verbose_name=_("reading")
    )
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("doctor"),
    )
    verdict = models.CharField(_("own reading"), max_length=12, choices=Verdict.choices)
    note = models.CharField(_("note"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("stated at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        verbose_name = _("doctor's own reading")
        verbose_name_plural = _("doctors' own readings")
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(verdict__in=Verdict.values), name="review_verdict_known"
            ),
        ]

    def __str__(self) -> str:
        return str(self.reading_id)


class SharedCase(models.Model):
    """A de-identified picture of the film on the discussion board.

    The board knows nothing of the reading: this row alone leads from one to the other.
    """

    reading = models.ForeignKey(
        Reading,
        on_delete=models.CASCADE,
        related_name="shared_cases",
        verbose_name=_("reading"),
    )
    picture_id = models.UUIDField(_("picture"), unique=True)
    url = models.CharField(_("address of the post"), max_length=200)
    created_at = models.DateTimeField(_("shared at"), auto_now_add=True)
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    class Meta:
        verbose_name = _("shared case")
        verbose_name_plural = _("shared cases")
        default_permissions = ()
        ordering: ClassVar = ["-created_at", "-id"]

    def __str__(self) -> str:
        return str(self.picture_id)

    @property
    def is_withdrawn(self) -> bool:
        return self.withdrawn_at is not None


def agreement_of(label: str, verdict: str) -> str:
    """Returns whether model and doctor agree; "" where one of them called neither."""
    comparable = {Label.NORMAL, Label.PNEUMONIA}
    if label not in comparable or verdict not in comparable:
        return ""
    return Agreement.AGREE if label == verdict else Agreement.DISAGREE
