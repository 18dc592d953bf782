"""X-rays that machines have sent, from their arrival to their reading."""

import uuid
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import BatchItem, Reading, Team
from exchange.incoming.models.rule import RoutingRule

FOLDER = "incoming"


class ArrivalState(models.TextChoices):
    """What becomes of an X-ray that arrived."""

    RECEIVED = "RECEIVED", pgettext_lazy("X-ray that arrived", "Received")
    ROUTED = "ROUTED", pgettext_lazy("X-ray that arrived", "With the doctor")
    READ = "READ", pgettext_lazy("X-ray that arrived", "Read")
    WAITING = "WAITING", pgettext_lazy("X-ray that arrived", "Needs a supervisor")
    KEPT_OUT = "KEPT_OUT", pgettext_lazy("X-ray that arrived", "Kept out")


class ArrivalQuerySet(models.QuerySet[Any]):
    """X-rays that arrived. Only supervisors see them; doctors see what became of them."""

    def visible_to(self, user: Any) -> Self:
        """Return those that `user` may see."""
        if not (user.is_authenticated and user.has_perm("diagnosis.oversee_reading")):
            return self.none()
        return self

    def in_inbox_of(self, user: Any) -> Self:
        """Return those that wait for a supervisor's decision, the first first."""
        waiting = self.visible_to(user).filter(state=ArrivalState.WAITING)
        return waiting.order_by("received_at", "pk")


class Arrival(models.Model):
    """An X-ray that a machine sent.

    Its file is kept until there is a reading of it, whatever becomes of the doctor's batch.

    Attributes:
        sha256: of the data set and its transfer syntax, so that a repeat is recognised.
        pixels_sha256: of the decoded pixels; "" before they were decoded.
        times: how often it was sent.
        stated: what its header states, see `facts`; emptied once the reading has it.
        reason: why it waits or is kept out, as `{"code": ..., "params": {...}}`.
        rule: the rule that decided.
        doctor, team: who it went to.
        item: the file of the doctor's batch that it is.
        committed_at: when the machine was told that it may delete its own copy.
        claimed_at, attempts, due_at: routing.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    calling_ae = models.CharField(_("calling AE title"), max_length=16)
    address = models.CharField(_("address"), max_length=45)
    sop_instance_uid = models.CharField(_("SOP Instance UID"), max_length=64)
    sop_class_uid = models.CharField(_("SOP Class UID"), max_length=64)
    study_uid = models.CharField(_("Study Instance UID"), max_length=64, blank=True)
    transfer_syntax = models.CharField(_("transfer syntax"), max_length=64)
    sha256 = models.CharField(max_length=64)
    pixels_sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveIntegerField(_("file size (bytes)"))
    times = models.PositiveIntegerField(_("times sent"), default=1)
    state = models.CharField(
        _("state"), max_length=8, choices=ArrivalState.choices, default=ArrivalState.RECEIVED
    )
    is_stored = models.BooleanField(default=True)
    stated = models.JSONField(default=dict, blank=True, editable=False)
    reason = models.JSONField(default=dict, blank=True, editable=False)
    rule = models.ForeignKey(
        RoutingRule,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("routing rule"),
    )
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("doctor"),
    )
    team = models.ForeignKey(
        Team, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("team")
    )
    item = models.OneToOneField(
        BatchItem, on_delete=models.SET_NULL, null=True, related_name="arrival"
    )
    # Deleted with its reading: nothing is left of a patient who was purged.
    reading = models.OneToOneField(
        Reading, on_delete=models.CASCADE, null=True, related_name="arrival"
    )
    committed_at = models.DateTimeField(_("confirmed to the machine at"), null=True)
    claimed_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(_("received at"), default=timezone.now)
    last_at = models.DateTimeField(_("last sent at"), default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar = ArrivalQuerySet.as_manager()

    class Meta:
        verbose_name = _("X-ray from a machine")
        verbose_name_plural = _("X-rays from machines")
        default_permissions = ()
        ordering: ClassVar = ["-received_at", "-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["sop_instance_uid", "sha256"], name="arrival_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-received_at", "-id"], name="arrival_newest"),
            models.Index(fields=["state", "-received_at", "-id"], name="arrival_state"),
        ]

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def storage_name(self) -> str:
        """Where the file is kept in the film storage."""
        return f"{FOLDER}/{self.pk}"
