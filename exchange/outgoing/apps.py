"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OutgoingConfig(AppConfig):
    """Results as DICOM objects, and the targets that they are sent to."""

    name = "exchange.outgoing"
    label = "outgoing"
    verbose_name = _("Results sent")
