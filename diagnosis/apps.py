from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiagnosisConfig(AppConfig):
    name = "diagnosis"
    verbose_name = _("Readings")

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from diagnosis import patient_text
        from diagnosis.models import Reading
        from xraysite import hooks

        # These follow from others.
        derived = ["patient_name_key", "patient_number_key", "agreement", "age_scope"]
        auditlog.register(Reading, exclude_fields=["activation_map", "updated_at", *derived])
        hooks.text_checks.append(patient_text.check)
