"""Requests of machines to confirm that X-rays are safe here."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Commitment(models.Model):
    """A storage commitment request (PS3.4, annex J), kept until its result has been delivered.

    Attributes:
        references: SOP Class UID and SOP Instance UID of each object that is asked about.
        attempts: how often the result has been sent without success.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    calling_ae = models.CharField(_("calling AE title"), max_length=16)
    transaction_uid = models.CharField(_("Transaction UID"), max_length=64)
    references = models.JSONField(default=list)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    asked_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("storage commitment")
        verbose_name_plural = _("storage commitments")
        default_permissions = ()
        ordering: ClassVar = ["-asked_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["calling_ae", "transaction_uid"], name="commitment_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["due_at"], condition=models.Q(sent_at=None), name="commitment_due"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
