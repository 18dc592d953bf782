"""Configuration of the app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    """The API at `/api/v1/`, for programs."""

    name = "exchange.api"
    label = "api"
    verbose_name = _("API")

    def ready(self) -> None:
        from exchange.api import audit

        audit.register()
