"""Orders: which patient is to have which X-ray, when and for whom, before there is a film."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import Sex
from diagnosis.search import SearchKeyField
from exchange.orders import names
from exchange.orders.querysets import OrderQuerySet

# PS3.5: an SH has 16 characters at most; wildcards would make a number match others.
ACCESSION = RegexValidator(
    r"^[A-Za-z0-9](?:[A-Za-z0-9._/ -]*[A-Za-z0-9])?\Z",
    _("Use letters, digits, spaces and . _ / - only."),
)
AE_TITLE = RegexValidator(
    r"^[A-Za-z0-9_.-](?:[A-Za-z0-9_. -]*[A-Za-z0-9_.-])?\Z",
    _("Use letters, digits, spaces and . _ - only."),
)
PLAIN = RegexValidator(
    names.FORBIDDEN.pattern, _("The characters = and \\ cannot be sent to X-ray machines."),
    inverse_match=True,
)  # fmt: skip


def new_study_uid() -> str:
    """Return a new Study Instance UID, derived from a random UUID (PS3.5, section B.2)."""
    return f"2.25.{uuid.uuid4().int}"


class OrderState(models.TextChoices):
    """What has become of an order."""

    SCHEDULED = "SCHEDULED", pgettext_lazy("order", "Scheduled")
    PERFORMED = "PERFORMED", pgettext_lazy("order", "Performed")
    CANCELLED = "CANCELLED", pgettext_lazy("order", "Cancelled")


class Modality(models.TextChoices):
    """Kinds of X-ray machines, by the codes of DICOM."""

    DX = "DX", _("DX (digital radiography)")
    CR = "CR", _("CR (computed radiography)")


class Order(models.Model):
    """An X-ray that somebody asked for.

    `services` enters, changes and cancels it; `matching` notes the films that arrive for it.

    Attributes:
        name_latin, name_ideographic, name_phonetic: the groups of the patient's name as far as
            they are known, see `names`.
        station_ae_title: the machine that is to perform it; empty for any.
        study_uid: the Study Instance UID that the machine is told to give to its films.
        doctor, team: for whom; one of the two.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    accession_number = models.CharField(
        _("accession number"), max_length=16, unique=True, validators=[ACCESSION]
    )
    study_uid = models.CharField(
        _("Study Instance UID"), max_length=64, unique=True, default=new_study_uid, editable=False
    )
    patient_number = models.CharField(_("patient number"), max_length=64, validators=[PLAIN])
    name_latin = models.CharField(
        _("name in Latin letters"), max_length=names.MAX_GROUP, blank=True, validators=[PLAIN]
    )
    name_ideographic = models.CharField(
        _("name in Chinese characters"), max_length=names.MAX_GROUP, blank=True, validators=[PLAIN]
    )
    name_phonetic = models.CharField(
        _("name in phonetic script"), max_length=names.MAX_GROUP, blank=True, validators=[PLAIN]
    )
    birth_date = models.DateField(_("date of birth"), null=True, blank=True)
    sex = models.CharField(_("sex"), max_length=1, choices=Sex.choices, blank=True)
    procedure = models.CharField(_("requested procedure"), max_length=64, validators=[PLAIN])
    body_part = models.CharField(
        _("body part"),
        max_length=16,
        default="CHEST",
        validators=[RegexValidator(r"^[A-Z0-9_ ]+\Z", _("Use capital letters and digits only."))],
    )
    modality = models.CharField(
        _("kind of machine"), max_length=2, choices=Modality.choices, default=Modality.DX
    )
    scheduled_at = models.DateTimeField(_("scheduled for"))
    station_ae_title = models.CharField(
        _("AE title of the machine"), max_length=16, blank=True, validators=[AE_TITLE]
    )
    referring_doctor = models.CharField(
        _("referring doctor"), max_length=names.MAX_GROUP, blank=True, validators=[PLAIN]
    )
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        db_index=False,  # the indexes below start with it
        verbose_name=_("doctor"),
    )
    team = models.ForeignKey(
        "diagnosis.Team",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        db_index=False,
        verbose_name=_("team"),
    )
    state = models.CharField(
        _("state"), max_length=9, choices=OrderState.choices, default=OrderState.SCHEDULED
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="entered_orders",
        db_index=False,
        editable=False,
        verbose_name=_("entered by"),
    )
    created_at = models.DateTimeField(_("entered at"), auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    search_text = SearchKeyField(source="searched")

    objects: ClassVar = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        default_permissions = ()
        ordering: ClassVar = ["scheduled_at", "id"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(doctor__isnull=True, team__isnull=False)
                | models.Q(doctor__isnull=False, team__isnull=True),
                name="order_for_one",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=OrderState.values), name="order_state_known"
            ),
        ]
        indexes: ClassVar = [
            # The worklist of machines, and the list of supervisors.
            models.Index(fields=["state", "scheduled_at", "id"], name="order_state"),
            models.Index(
                fields=["scheduled_at", "id", "state", "doctor", "team", "created_by"],
                name="order_scheduled",
            ),
            models.Index(fields=["doctor", "state", "scheduled_at", "id"], name="order_doctor"),
            models.Index(fields=["team", "state", "scheduled_at", "id"], name="order_team"),
            models.Index(
                fields=["created_by", "state", "scheduled_at", "id"], name="order_created_by"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def get_absolute_url(self) -> str:
        return reverse("orders:detail", args=[self.pk])

    @property
    def name_groups(self) -> list[str]:
        """The groups of the patient's name that are known, Chinese characters first."""
        groups = (self.name_ideographic, self.name_latin, self.name_phonetic)
        return [group for group in groups if group]

    @property
    def patient_name(self) -> str:
        """The patient's name for people."""
        return names.shown(self.name_groups[0]) if self.name_groups else ""

    @property
    def other_names(self) -> list[str]:
        """The name's other groups for people."""
        return [names.shown(group) for group in self.name_groups[1:]]

    @property
    def searched(self) -> str:
        """What a search of orders looks at."""
        found = [names.shown(group) for group in self.name_groups]
        return " ".join([*found, self.patient_number, self.accession_number])

    @property
    def recipient(self) -> Any:
        """The doctor or team for whom it is."""
        return self.team or self.doctor

    @property
    def is_scheduled(self) -> bool:
        return self.state == OrderState.SCHEDULED

    @property
    def is_cancelled(self) -> bool:
        return self.state == OrderState.CANCELLED


class OrderFilm(models.Model):
    """A reading whose film arrived for an order.

    Attributes:
        matched_by: which of the file's identifiers named the order.
        differences: what the file states otherwise than the order, as keys of
            `matching.LABELS`; never values.
    """

    class MatchedBy(models.TextChoices):
        STUDY_UID = "STUDY_UID", _("Study Instance UID")
        ACCESSION = "ACCESSION", _("accession number")

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="films")
    reading = models.OneToOneField(
        "diagnosis.Reading", on_delete=models.CASCADE, related_name="order_film"
    )
    matched_by = models.CharField(max_length=9, choices=MatchedBy.choices)
    differences = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(_("arrived at"), auto_now_add=True)

    class Meta:
        verbose_name = _("X-ray of an order")
        verbose_name_plural = _("X-rays of orders")
        default_permissions = ()
        ordering: ClassVar = ["created_at", "id"]

    def __str__(self) -> str:
        return str(self.pk)


class PerformedStep(models.Model):
    """What a machine reports about performing an order (Modality Performed Procedure Step).

    Attributes:
        uid: the SOP Instance UID that the machine gave to the step.
        order: None if the machine reports a step that no order asked for.
    """

    class Status(models.TextChoices):
        IN_PROGRESS = "IN PROGRESS", pgettext_lazy("X-ray on a machine", "In progress")
        COMPLETED = "COMPLETED", pgettext_lazy("X-ray on a machine", "Completed")
        DISCONTINUED = "DISCONTINUED", pgettext_lazy("X-ray on a machine", "Discontinued")

    uid = models.CharField(max_length=64, unique=True)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, null=True, related_name="steps")
    status = models.CharField(max_length=12, choices=Status.choices)
    station_ae_title = models.CharField(max_length=16, blank=True)
    begun_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("performed procedure step")
        verbose_name_plural = _("performed procedure steps")
        default_permissions = ()
        ordering: ClassVar = ["begun_at", "id"]

    def __str__(self) -> str:
        return str(self.pk)


class WatchedFile(models.Model):
    """A file of a watched folder that was taken: it is taken once, whatever happens afterwards.

    Attributes:
        item_id: the file of a batch that it became, whose row may be gone; the id of its reading.
    """

    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    sha256 = models.CharField(max_length=64)
    item_id = models.UUIDField()
    taken_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = _("file of a watched folder")
        verbose_name_plural = _("files of watched folders")
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["doctor", "sha256"], name="watched_file_once"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
