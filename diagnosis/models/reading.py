"""A reading: one film, one patient, one doctor, one model version."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from diagnosis.models import derived, discrepancies
from diagnosis.models.belonging import BELONGING_INDEXES, Belonging
from diagnosis.models.blinding import Blinding
from diagnosis.models.choices import (
    IMAGE_HINTS,
    RESEMBLANCES,
    SCOPE_REASONS,
    AgeScope,
    Agreement,
    HidingReason,
    Label,
    Sex,
    Verdict,
)
from diagnosis.models.film_uids import UID_INDEXES, FilmUids
from diagnosis.models.indexes import READING_INDEXES
from diagnosis.querysets import ReadingQuerySet
from diagnosis.search import SearchKeyField
from mlcore.cards.shown import rule_sentence, shown_limits, shown_probability

MAX_AGE_YEARS = 130


class Reading(Belonging, Blinding, FilmUids):
    """A model's prediction for one film of one patient, made for one doctor.

    `services.submit_reading` writes the fields of film and model once; nothing changes them
    afterwards. The doctor may correct the patient's details. If a corrected age crosses the bounds
    of the validated age range, `label` and `scope_reasons` are decided again from the stored
    probabilities. What the doctor decided where file and form differ is only ever added to
    (`discrepancies`). A deleted reading is hidden (`hidden_at`) until a supervisor restores or
    purges it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="readings",
        db_index=False,  # READING_INDEXES has indexes that start with it
        verbose_name=_("doctor"),
    )

    patient_name = models.CharField(_("patient's name"), max_length=120)
    patient_number = models.CharField(_("patient number"), max_length=64, blank=True)
    patient_age_years = models.PositiveSmallIntegerField(
        _("patient's age (years)"), validators=[MaxValueValidator(MAX_AGE_YEARS)]
    )
    patient_birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    patient_sex = models.CharField(_("sex"), max_length=1, choices=Sex.choices, blank=True)
    exam_date = models.DateField(_("exam date"))
    patient_name_key = SearchKeyField(source="patient_name")
    patient_number_key = SearchKeyField(source="patient_number")

    film_sha256 = models.CharField(_("SHA-256 of the file"), max_length=64, db_index=True)
    # Of the decoded, upright 8-bit pixels: the same for copies of a picture in different files.
    # Empty for films read before it was introduced, until `hash_pixels` has run.
    film_pixels_sha256 = models.CharField(
        _("SHA-256 of the pixels"), max_length=64, blank=True, editable=False
    )
    original_name = models.CharField(_("file name"), max_length=150, blank=True)
    film_mime_type = models.CharField(_("MIME type"), max_length=32, blank=True)
    film_format = models.CharField(_("file format"), max_length=8)
    film_bytes = models.PositiveIntegerField(_("file size (bytes)"))
    film_width = models.PositiveIntegerField(_("width (pixels)"))
    film_height = models.PositiveIntegerField(_("height (pixels)"))
    film_modality = models.CharField(_("modality in the file"), max_length=16, blank=True)
    film_view = models.CharField(_("view in the file"), max_length=16, blank=True)
    film_body_part = models.CharField(_("body part in the file"), max_length=64, blank=True)

    # As `services.patients.StatedPatient`; None for readings made before it was stored.
    film_patient = models.JSONField(
        _("patient stated in the file"), null=True, blank=True, editable=False
    )
    discrepancies = models.JSONField(
        _("decided before saving"), default=list, blank=True, editable=False
    )
    header_disowned = models.BooleanField(
        _("the file's header is wrong or somebody else's"), default=False, editable=False
    )

    label = models.CharField(_("result"), max_length=12, choices=Label.choices)
    probabilities = models.JSONField(_("probabilities"))
    # The decision as the doctor saw it. Empty in readings of earlier versions whose model's card is
    # no longer known.
    rule = models.CharField(_("rule of decision"), max_length=32, blank=True)
    normal_below = models.FloatField(_("normal below"), null=True, blank=True)
    pneumonia_from = models.FloatField(_("pneumonia from"), null=True, blank=True)
    probability_shown = models.CharField(_("probability as shown"), max_length=16, blank=True)
    threshold = models.FloatField(
        _("ranking threshold"),
        help_text=_("For comparing models. It decides no result."),
    )
    scope_score = models.FloatField(_("scope score"))
    scope_threshold = models.FloatField(_("scope threshold"))
    scope_reasons = models.JSONField(_("reasons for being out of scope"), default=list, blank=True)
    scope_resembles = models.CharField(_("refused image resembles"), max_length=16, blank=True)
    image_hints = models.JSONField(_("hints about the image"), default=list, blank=True)
    activation_map = models.BinaryField(_("activation map (8-bit greyscale PNG)"))

    model_version = models.ForeignKey(
        "mlcore.ModelVersion",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,  # READING_INDEXES has an index that starts with it
        verbose_name=_("model version"),
    )
    bundle_sha256 = models.CharField(_("bundle SHA-256"), max_length=64)
    preprocessing_id = models.CharField(_("preprocessing"), max_length=64)
    inference_ms = models.FloatField(_("inference time (ms)"))

    created_at = models.DateTimeField(_("read at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last changed at"), auto_now=True)

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
        _("reason for deletion"),
        max_length=10,
        choices=HidingReason.choices,
        blank=True,
        editable=False,
    )

    # The work on the reading, with `opened_at`. `services.worklist` and `Review.save` keep it.
    waiting_since = models.DateTimeField(
        _("waits for its doctor since"),
        null=True,
        blank=True,
        default=timezone.now,
        editable=False,
    )

    # Derived from other fields, and stored so that an index can cover them.
    own_verdict = models.CharField(
        _("doctor's assessment"), max_length=12, choices=Verdict.choices, blank=True, editable=False
    )
    urgency = derived.urgency()
    pneumonia_probability = derived.pneumonia_probability()
    is_unread = derived.is_unread()
    agreement = models.CharField(
        _("agreement of doctor and model"),
        max_length=8,
        choices=Agreement.choices,
        blank=True,
        editable=False,
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
        indexes: ClassVar = [*READING_INDEXES, *BELONGING_INDEXES, *UID_INDEXES]
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
        """The calibrated probability of pneumonia, from 0 to 1."""
        return float(self.probabilities[Label.PNEUMONIA])

    @property
    def probability_text(self) -> str:
        """The probability as the doctor saw it, see `shown_probability`."""
        if self.is_sealed:
            return ""
        return self.probability_shown or shown_probability(self.probability, *(self.limits or ()))

    @property
    def percent(self) -> float:
        """`probability` in percent."""
        return round(100 * self.probability, 2)

    @property
    def limits(self) -> tuple[float, float] | None:
        """The limits that decided: normal below the first, pneumonia from the second.

        As stored with the reading, so nothing that happens to the model changes them. None in a
        reading of an earlier version whose model's card is no longer known.
        """
        if self.normal_below is None or self.pneumonia_from is None:
            return None
        return self.normal_below, self.pneumonia_from

    @property
    def limit_texts(self) -> tuple[str, ...]:
        """`limits` with as many decimals as `probability_text`."""
        return shown_limits(self.probability, *self.limits) if self.limits else ()

    @property
    def unsure_percents(self) -> tuple[float, float] | None:
        """The inconclusive range as start and width in percent."""
        if self.limits is None:
            return None
        lower, upper = (min(1.0, max(0.0, limit)) for limit in self.limits)
        return round(100 * lower, 2), round(100 * (upper - lower), 2)

    @property
    def upper_percent(self) -> float:
        """The end of the inconclusive range in percent."""
        return round(sum(self.unsure_percents or (0, 0)), 2)

    @property
    def rule_text(self) -> str:
        """The rule of decision as a sentence in the active language."""
        return rule_sentence(*self.limits, texts=self.limit_texts) if self.limits else ""

    @property
    def card(self) -> dict[str, Any] | None:
        """The card of the very bundle that made this reading.

        None if the registered version is another bundle, which earlier versions of the site let
        happen: the figures of another model say nothing about this reading.
        """
        version = self.model_version
        return version.card if version.bundle_sha256 == self.bundle_sha256 else None

    @property
    def is_out_of_scope(self) -> bool:
        return self.label == Label.OUT_OF_SCOPE

    @property
    def has_result(self) -> bool:
        """Whether there is a result to show: none if out of scope, nor while it is withheld."""
        return not self.is_sealed and not self.is_out_of_scope

    @property
    def is_hidden(self) -> bool:
        return self.hidden_at is not None

    @cached_property
    def is_shared(self) -> bool:
        """Whether an image of the film is on the discussion board.

        `services.sharing.with_sharing` sets it for every reading of a list in the same query.
        """
        return self.shared_cases.filter(withdrawn_at__isnull=True).exists()

    @property
    def scope_reason_texts(self) -> list[str]:
        """`scope_reasons` as sentences in the active language."""
        texts = SCOPE_REASONS
        if self.scope_resembles in RESEMBLANCES:
            texts = texts | {"picture": RESEMBLANCES[self.scope_resembles]}
        return [str(texts.get(code, code)) for code in self.scope_reasons]

    @property
    def image_hint_texts(self) -> list[str]:
        """`image_hints` as sentences in the active language."""
        return [str(IMAGE_HINTS.get(code, code)) for code in self.image_hints]

    @property
    def shown_discrepancies(self) -> list[dict[str, Any]]:
        """`discrepancies` for display, oldest first; see `discrepancies.shown`."""
        return [discrepancies.shown(entry) for entry in self.discrepancies]

    @property
    def discrepancy_marks(self) -> list[str]:
        """What was decided about, in a few words for lists."""
        return discrepancies.marks(self.discrepancies)

    @property
    def film_name(self) -> str:
        """The original file name, or one made from the id for films read before it was stored."""
        return self.original_name or f"{self.pk}.{self.film_format.lower()}"

    @property
    def model_name(self) -> str:
        return self.model_version.name
