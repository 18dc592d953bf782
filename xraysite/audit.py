"""Audit events of models; mlcore cannot register them because it does not depend on accounts."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from mlcore.models import ModelVersion


def register() -> None:
    """Register the events and the recorded model of mlcore."""
    registry.register(
        {"model-activated": _("activated or replaced a model")},
        fields={("modelversion", "is_active"): "model-activated"},
    )
    auditlog.register(ModelVersion, exclude_fields=["card", "card_text"])
