from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MlcoreConfig(AppConfig):
    name = "mlcore"
    verbose_name = _("Models")

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from mlcore.models import ModelVersion

        auditlog.register(ModelVersion, exclude_fields=["card"])
