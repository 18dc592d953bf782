"""Audit events of models and background tasks, whose packages do not depend on accounts."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from mlcore.models import ModelVersion


def register() -> None:
    """Register the events and the recorded model of mlcore, and the events of tasks."""
    registry.register(
        {"model-activated": _("activated or replaced a model")},
        fields={("modelversion", "is_active"): "model-activated"},
    )
    registry.register({"task-retried": _("retried a background task")})
    auditlog.register(ModelVersion, exclude_fields=["card", "card_text"])
