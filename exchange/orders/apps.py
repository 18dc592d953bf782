"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class OrdersConfig(AppConfig):
    """Orders for X-rays: what the modality worklist answers, and watched folders."""

    name = "exchange.orders"
    label = "orders"
    verbose_name = _("Orders")

    def ready(self) -> None:
        from exchange.orders import audit, hooks

        audit.register()
        hooks.connect()
