"""Workers that are alive, and emails that wait to be sent."""

import uuid

from django.db import models


class Worker(models.Model):
    """A process that runs tasks; it writes its row again every few seconds.

    Attributes:
        name: as in `DBTaskResult.worker_ids`.
        seen_at: when it last wrote, by the clock of the database.
    """

    name = models.CharField(max_length=64, primary_key=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Mail(models.Model):
    """An email on its way to the mail server.

    Attributes:
        id: part of the Message-ID, so that a mailbox recognizes an email that is sent twice.
        content: the email as JSON, encrypted; empty once it has been sent.
        is_sent_at_most_once: rather lost than sent twice, if a worker dies while it sends.
        due_at: when it may be sent, or tried again.
        claimed_by: the task that is sending it or was the last to try.
    """

    class State(models.TextChoices):
        WAITING = "WAITING"
        SENDING = "SENDING"
        SENT = "SENT"
        FAILED = "FAILED"
        # The connection or the worker broke while it was sent: it may have arrived.
        UNCERTAIN = "UNCERTAIN"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state = models.CharField(max_length=9, choices=State.choices, default=State.WAITING)
    content = models.TextField()
    is_sent_at_most_once = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["state", "due_at"], name="background_mail_due")]

    def __str__(self) -> str:
        return str(self.pk)
