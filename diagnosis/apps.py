from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiagnosisConfig(AppConfig):
    name = "diagnosis"
    verbose_name = _("Readings")

    def ready(self) -> None:
        from diagnosis import audit, planner
        from xraysite.common.planner import store_after_migrations

        audit.register()
        store_after_migrations(self, planner.READINGS)
