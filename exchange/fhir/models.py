"""The FHIR servers that results are sent to, and what was sent to them."""

import uuid
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from exchange.web_addresses import is_web_address


class FhirServer(models.Model):
    """A server that results are sent to. It is switched off, never deleted.

    Attributes:
        token_name: names the environment variable or file with the bearer token, see
            `sending.token`; the token itself is never stored.
    """

    class When(models.TextChoices):
        SIGNED = "SIGNED", _("once a doctor has signed an opinion")
        AT_ONCE = "AT_ONCE", _("as soon as the doctor may see the result")

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=60, unique=True)
    is_enabled = models.BooleanField(
        pgettext_lazy("target", "enabled"),
        default=False,
        help_text=_("Results that change from now on are sent, not those of the past."),
    )
    url = models.CharField(
        _("FHIR base address"),
        max_length=300,
        help_text=_("For example https://fhir.example.org/r4"),
    )
    token_name = models.CharField(
        _("name of the token"),
        max_length=40,
        blank=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", _("Capital letters, digits and _."))],
        help_text=_(
            "The bearer token is read from the environment variable FHIR_TOKEN_<name>, or from "
            "the file of this name in the folder FHIR_TOKENS. It is never stored here."
        ),
    )
    when = models.CharField(_("when"), max_length=7, choices=When.choices, default=When.SIGNED)
    sends_unsure = models.BooleanField(_("also inconclusive results"), default=False)
    sends_out_of_scope = models.BooleanField(
        _("also X-rays out of scope"),
        default=False,
        help_text=_("Without a result of the model, with the doctor's opinion."),
    )
    sends_document = models.BooleanField(
        _("report"), default=True, help_text=_("PDF, Chinese and English")
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("FHIR server that results are sent to")
        verbose_name_plural = _("FHIR servers that results are sent to")
        default_permissions = ()
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        wrong: dict[str, Any] = {}
        if not is_web_address(self.url):
            wrong["url"] = _("Enter an address that begins with https:// or http://.")
        elif self.url.startswith("http://") and self.token_name:
            wrong["url"] = _("A token is only sent over https://.")
        if wrong:
            raise ValidationError(wrong)


class FhirDelivery(models.Model):
    """A reading's resources on their way to a server; one row for both, sent again as they change.

    What is sent is decided when it is sent: always the current version.

    Attributes:
        changed_at: when there was last something new to send.
        version: `bundles.digest` of what the server accepted last, "" before.
        is_retracted: whether that was the retraction of a deleted reading.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", pgettext_lazy("delivery", "Waiting")
        SENT = "SENT", pgettext_lazy("delivery", "Sent")
        FAILED = "FAILED", pgettext_lazy("delivery", "Failed")
        CANCELLED = "CANCELLED", pgettext_lazy("delivery", "Not sent")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reading = models.ForeignKey(
        "diagnosis.Reading", on_delete=models.CASCADE, related_name="+", verbose_name=_("reading")
    )
    server = models.ForeignKey(
        FhirServer,
        on_delete=models.PROTECT,
        related_name="deliveries",
        verbose_name=_("receiving system"),
    )
    state = models.CharField(
        pgettext_lazy("delivery", "status"),
        max_length=9,
        choices=State.choices,
        default=State.WAITING,
    )
    version = models.CharField(_("version"), max_length=64, blank=True)
    is_retracted = models.BooleanField(_("retracted"), default=False)
    created_at = models.DateTimeField(pgettext_lazy("delivery", "since"), auto_now_add=True)
    changed_at = models.DateTimeField(_("changed at"), default=timezone.now)
    due_at = models.DateTimeField(_("next try"), default=timezone.now)
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    error = models.CharField(_("last error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("result sent to a FHIR server")
        verbose_name_plural = _("results sent to FHIR servers")
        default_permissions = ()
        ordering: ClassVar = ["-changed_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["state", "due_at"], name="fhir_delivery_due"),
            models.Index(fields=["-changed_at", "-id"], name="fhir_delivery_newest"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["reading", "server"], name="fhir_delivery_once"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
