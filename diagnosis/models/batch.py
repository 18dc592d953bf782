"""Batches: many X-rays sent together, each of which becomes a reading by itself."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models.reading import Reading
from diagnosis.models.team import Team

MAX_PATH = 250


class ItemState(models.TextChoices):
    """What becomes of a file of a batch."""

    WAITING = "WAITING", pgettext_lazy("file of a batch", "Waiting")
    READING = "READING", pgettext_lazy("file of a batch", "Being read")
    NEEDS_DATA = "NEEDS_DATA", _("Needs patient data")
    UNDECIDED = "UNDECIDED", _("Needs your decision")
    DONE = "DONE", pgettext_lazy("file of a batch", "Read")
    FAILED = "FAILED", pgettext_lazy("file of a batch", "Not read")
    CANCELLED = "CANCELLED", pgettext_lazy("file of a batch", "Cancelled")
    EXPIRED = "EXPIRED", pgettext_lazy("file of a batch", "Removed")


# A task will change them without the doctor.
MOVING = (ItemState.WAITING, ItemState.READING)
# They wait for the doctor, in the inbox.
IN_INBOX = (ItemState.NEEDS_DATA, ItemState.UNDECIDED)
# Nothing happens to them any more, unless a failed one is tried again.
ENDED = (ItemState.DONE, ItemState.FAILED, ItemState.CANCELLED, ItemState.EXPIRED)


class BatchSource(models.TextChoices):
    """Who sent the files of a batch."""

    UPLOAD = "UPLOAD", pgettext_lazy("source of a batch", "Uploaded")
    MACHINE = "MACHINE", pgettext_lazy("source of a batch", "From an X-ray machine")
    DICOMWEB = "DICOMWEB", pgettext_lazy("source of a batch", "Sent over DICOMweb")


class OwnedQuerySet(models.QuerySet[Any]):
    """Batches or their files, restricted to those of a doctor. Nobody else sees them."""

    def own_of(self, user: Any) -> Self:
        """Return those of `user`, who may read X-rays."""
        if not (user.is_authenticated and user.has_perm("diagnosis.add_reading")):
            return self.none()
        return self.filter(doctor_id=user.pk)

    def in_inbox_of(self, user: Any) -> Self:
        """Return the files of `user` that wait for patient data or a decision."""
        return self.own_of(user).filter(state__in=IN_INBOX)


class Batch(models.Model):
    """X-rays that a doctor sends together.

    Attributes:
        source: who sent them. Those of a machine are of one day, doctor and team.
        team: which of the doctor's teams shares the readings of X-rays from a machine.
        patients: rows of CSV files beside the X-rays: by path of the file, what is stated about
            the patient, as text by field of the form.
        problems: what is wrong with lines of the CSV files, as sentences.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="batches",
        db_index=False,  # the index below starts with it
        verbose_name=_("doctor"),
    )
    source = models.CharField(
        _("source"), max_length=8, choices=BatchSource.choices, default=BatchSource.UPLOAD
    )
    # Which of the doctor's teams shares the readings, None for none.
    team = models.ForeignKey(
        Team,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("team"),
    )
    patients = models.JSONField(default=dict, blank=True, editable=False)
    problems = models.JSONField(default=list, blank=True, editable=False)
    created_at = models.DateTimeField(_("begun at"), auto_now_add=True)
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True, editable=False)

    objects: ClassVar = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        default_permissions = ()
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["doctor", "-created_at", "-id"], name="batch_own_newest"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        return reverse("readings:batch", args=[self.pk])

    @property
    def is_from_machine(self) -> bool:
        """Whether a machine or program sent it, without the doctor choosing files."""
        return self.source != BatchSource.UPLOAD


class BatchItem(models.Model):
    """A file of a batch, until and after it has become a reading.

    Attributes:
        id: the id of the reading that it becomes, so that reading it twice creates one reading.
        path: name of the file with its folders, for display only.
        is_stored: whether the file waits in the film storage (`storage.batch_name`).
        stated: what the file states about the patient; None before it has been decoded.
        entered: what the doctor or a CSV file states, as text by field of the form. Emptied once
            the reading has it.
        problem: why it is not read, as `{"code": ..., "params": {...}}`.
        due_at: when a file that could not be read for now is tried again.
        attempts: how often a worker has begun to read it, since the doctor changed it.
        claimed_by: the worker that is reading it or was the last to try.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items", db_index=False)
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    position = models.PositiveIntegerField()
    path = models.CharField(_("file"), max_length=MAX_PATH)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=ItemState.choices, default=ItemState.WAITING)
    is_stored = models.BooleanField(default=False)
    stated = models.JSONField(null=True, editable=False)
    film_format = models.CharField(max_length=8, blank=True)
    entered = models.JSONField(default=dict, blank=True, editable=False)
    problem = models.JSONField(default=dict, blank=True, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True)
    # Deleted with its reading: the file's name may be the patient's.
    reading = models.OneToOneField(
        Reading, on_delete=models.CASCADE, null=True, related_name="batch_item"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("file of a batch")
        verbose_name_plural = _("files of batches")
        default_permissions = ()
        ordering: ClassVar = ["batch", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "sha256"], name="batch_item_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["batch", "position"], name="batch_item_order"),
            models.Index(fields=["batch", "changed_at"], name="batch_item_changed"),
            models.Index(fields=["doctor", "state"], name="batch_item_inbox"),
            # Few are waiting or being read at a time.
            models.Index(
                fields=["state", "position", "created_at"],
                condition=models.Q(state__in=["WAITING", "READING"]),
                name="batch_item_waiting",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def is_moving(self) -> bool:
        return self.state in MOVING

    @property
    def is_in_inbox(self) -> bool:
        return self.state in IN_INBOX
