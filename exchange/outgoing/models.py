"""The systems that results are sent to, and what was sent to them."""

import re
import uuid
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from exchange.web_addresses import is_web_address

AE_TITLE = RegexValidator(
    r"^[!-\[\]-~][ -\[\]-~]{0,15}$",
    _("An AE title has 1 to 16 ASCII characters and no backslash."),
)


class Target(models.Model):
    """A system that results are sent to. It is switched off, never deleted.

    Attributes:
        token_name: names the environment variable or file with the bearer token, see
            `transport.credentials`; the token itself is never stored.
    """

    class Way(models.TextChoices):
        C_STORE = "C_STORE", _("DICOM (C-STORE)")
        STOW = "STOW", _("DICOMweb (STOW-RS)")

    class When(models.TextChoices):
        SIGNED = "SIGNED", _("once a doctor has signed an opinion")
        AT_ONCE = "AT_ONCE", _("as soon as the doctor may see the result")

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=60, unique=True)
    is_enabled = models.BooleanField(
        pgettext_lazy("target", "enabled"),
        default=False,
        help_text=_("Results that change from now on are sent, not those of the past."),
    )
    way = models.CharField(_("protocol"), max_length=7, choices=Way.choices, default=Way.C_STORE)
    ae_title = models.CharField(
        _("AE title of the system"), max_length=16, blank=True, validators=[AE_TITLE]
    )
    host = models.CharField(_("host"), max_length=255, blank=True)
    port = models.PositiveIntegerField(
        _("port"), default=104, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    uses_tls = models.BooleanField(_("encrypt the connection (TLS)"), default=False)
    own_ae_title = models.CharField(
        _("AE title of this site"), max_length=16, default="XRAYSITE", validators=[AE_TITLE]
    )
    url = models.CharField(
        _("STOW-RS address"),
        max_length=300,
        blank=True,
        help_text=_("For example https://pacs.example.org/dicom-web/studies"),
    )
    token_name = models.CharField(
        _("name of the token"),
        max_length=40,
        blank=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", _("Capital letters, digits and _."))],
        help_text=_(
            "For the name PACS, the bearer token is read from the environment variable "
            "OUTGOING_TOKEN_PACS, or from the file PACS in the folder OUTGOING_TOKENS. It is never "
            "stored here."
        ),
    )

    sends_report = models.BooleanField(
        _("structured report"), default=True, help_text=_("DICOM SR with the coded result")
    )
    sends_picture = models.BooleanField(
        _("picture of the heatmap"), default=True, help_text=_("Secondary Capture with legend")
    )
    sends_map = models.BooleanField(
        _("values of the heatmap"), default=False, help_text=_("Fractional Segmentation")
    )
    sends_document = models.BooleanField(
        _("report"), default=True, help_text=_("Encapsulated PDF, Chinese and English")
    )

    when = models.CharField(_("when"), max_length=7, choices=When.choices, default=When.SIGNED)
    sends_unsure = models.BooleanField(_("also inconclusive results"), default=False)
    sends_out_of_scope = models.BooleanField(
        _("also X-rays out of scope"),
        default=False,
        help_text=_("Without a result of the model, with the doctor's opinion."),
    )
    teams = models.ManyToManyField(
        "diagnosis.Team",
        blank=True,
        related_name="+",
        verbose_name=_("only readings of these teams"),
        help_text=_("Without a choice, readings of all doctors."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("receiving system")
        verbose_name_plural = _("receiving systems")
        default_permissions = ()
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        needed = {"url": self.url}
        if self.way == self.Way.C_STORE:
            needed = {"ae_title": self.ae_title, "host": self.host}
        missing: dict[str, Any] = {
            name: _("This field is required.") for name, value in needed.items() if not value
        }
        if self.host and not re.fullmatch(r"[A-Za-z0-9.:_-]+", self.host):
            missing["host"] = _("Enter a host name or an IP address.")
        if self.url and not is_web_address(self.url):
            missing["url"] = _("Enter an address that begins with https:// or http://.")
        if self.url.startswith("http://") and self.token_name:
            missing["url"] = _("A token is only sent over https://.")
        if missing:
            raise ValidationError(missing)

    @property
    def kinds(self) -> list[str]:
        """The objects that it gets, by `objects.context.Kind`."""
        chosen = {
            "sr": self.sends_report,
            "sc": self.sends_picture,
            "seg": self.sends_map,
            "pdf": self.sends_document,
        }
        return [kind for kind, is_chosen in chosen.items() if is_chosen]


class Delivery(models.Model):
    """A reading's result on its way to a target.

    What is sent is decided when it is sent: always the current version, and nothing if the reading
    has been deleted meanwhile.

    Attributes:
        version: the version that was sent last, see `objects.context.Context`.
        sent: by kind, the objects that the target accepted: `uid`, `sha256`, `at`.
        claimed_by: the task or thread that is sending it or was the last to try.
        note: what a supervisor has to do about objects that the target already has.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", pgettext_lazy("delivery", "Waiting")
        SENDING = "SENDING", pgettext_lazy("delivery", "Being sent")
        SENT = "SENT", pgettext_lazy("delivery", "Sent")
        FAILED = "FAILED", pgettext_lazy("delivery", "Failed")
        CANCELLED = "CANCELLED", pgettext_lazy("delivery", "Not sent")

    class Note(models.TextChoices):
        CORRECTED = "CORRECTED", _("Patient corrected since: remove the earlier objects there")
        DELETED = "DELETED", _("Deleted here since: remove the objects there")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reading = models.ForeignKey(
        "diagnosis.Reading", on_delete=models.CASCADE, related_name="+", verbose_name=_("reading")
    )
    target = models.ForeignKey(
        Target,
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
    sent = models.JSONField(_("objects"), default=dict, blank=True)
    created_at = models.DateTimeField(pgettext_lazy("delivery", "since"), auto_now_add=True)
    due_at = models.DateTimeField(_("next try"))
    attempts = models.PositiveSmallIntegerField(_("tries"), default=0)
    claimed_by = models.CharField(max_length=64, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    error = models.TextField(_("last error"), blank=True)
    note = models.CharField(_("to do"), max_length=9, choices=Note.choices, blank=True)

    class Meta:
        verbose_name = _("result sent")
        verbose_name_plural = _("results sent")
        default_permissions = ()
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["state", "due_at"], name="outgoing_delivery_due"),
            models.Index(fields=["-created_at", "-id"], name="outgoing_delivery_newest"),
        ]
        constraints: ClassVar = [
            # One that waits sends the current version anyway.
            models.UniqueConstraint(
                fields=["reading", "target"],
                condition=models.Q(state="WAITING"),
                name="outgoing_delivery_waits_once",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
