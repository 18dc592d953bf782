"""Configuration of the app."""

import logging

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OutgoingConfig(AppConfig):
    """Results as DICOM objects, and the targets that they are sent to."""

    name = "exchange.outgoing"
    label = "outgoing"
    verbose_name = _("Other systems")

    def ready(self) -> None:
        from exchange.outgoing import audit, queueing, running
        from xraysite.common.background import recovery

        audit.register()
        queueing.connect()
        recovery.register("results to other systems", running.recover)
        # It logs every attribute that it copies.
        logging.getLogger("highdicom").setLevel(logging.WARNING)
