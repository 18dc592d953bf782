"""Machines and archives that may send X-rays."""

import ipaddress
import re
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def validate_ae_title(value: str) -> None:
    """Check an AE title: 1 to 16 ASCII characters without a backslash (PS3.5, 6.2)."""
    if not _TITLE.fullmatch(value) or value != value.strip():
        raise ValidationError(
            _("Enter 1 to 16 ASCII characters without a backslash, as set in the machine.")
        )


def validate_networks(value: str) -> None:
    """Check a list of addresses and networks, separated by commas or spaces."""
    for text in networks_in(value):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ValidationError(
                _("%(value)s is no IP address or network, such as 192.168.10.0/24."),
                params={"value": text},
            ) from error


def validate_fingerprint(value: str) -> None:
    """Check the SHA-256 fingerprint of a certificate."""
    if not _FINGERPRINT.fullmatch(fingerprint_in(value)):
        raise ValidationError(_("Enter the SHA-256 fingerprint: 64 hexadecimal digits."))


def networks_in(text: str) -> list[str]:
    """Return the addresses and networks in a text."""
    return [part for part in re.split(r"[,\s]+", text) if part]


def fingerprint_in(text: str) -> str:
    """Return a fingerprint without the colons that some programs write."""
    return text.replace(":", "").replace(" ", "").lower()


class Peer(models.Model):
    """A machine that may open associations, known by its AE title and where it connects from.

    Attributes:
        networks: addresses that it connects from; any if empty.
        certificate: SHA-256 of its client certificate; any that the site's authority issued if
            empty.
        host, port: where it receives storage commitments; if empty, they are sent in the
            association that asked for them.
    """

    ae_title = models.CharField(
        _("calling AE title"), max_length=16, unique=True, validators=[validate_ae_title]
    )
    description = models.CharField(
        _("description"), max_length=120, blank=True, help_text=_("Such as “X-ray van 2”.")
    )
    networks = models.CharField(
        _("addresses"),
        max_length=250,
        blank=True,
        validators=[validate_networks],
        help_text=_(
            "IP addresses or networks that it connects from, such as 192.168.10.0/24. If empty, "
            "any: an AE title alone is no secret."
        ),
    )
    needs_tls = models.BooleanField(
        _("only with TLS"),
        default=False,
        help_text=_("Refuse connections without TLS and a client certificate."),
    )
    certificate = models.CharField(
        _("SHA-256 of its certificate"),
        max_length=95,
        blank=True,
        validators=[validate_fingerprint],
        help_text=_("If empty, any certificate of the authority that the listener trusts."),
    )
    host = models.CharField(
        _("address for storage commitments"),
        max_length=250,
        blank=True,
        help_text=_("If empty, the result is sent in the association that asked for it."),
    )
    port = models.PositiveIntegerField(
        _("port for storage commitments"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
    )
    is_active = models.BooleanField(_("may send"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("machine that sends X-rays")
        verbose_name_plural = _("machines that send X-rays")
        default_permissions = ()
        ordering: ClassVar = ["ae_title"]

    def __str__(self) -> str:
        return self.ae_title

    def clean(self) -> None:
        super().clean()
        if bool(self.host) != bool(self.port):
            raise ValidationError({"port": _("Enter both address and port, or neither.")})
        if self.certificate and not self.needs_tls:
            raise ValidationError(
                {"needs_tls": _("A certificate is only checked on connections with TLS.")}
            )

    def connects_from(self, address: str) -> bool:
        """Return whether the machine may connect from an address."""
        networks = networks_in(self.networks)
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return not networks
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return not networks or any(found in ipaddress.ip_network(each) for each in networks)
