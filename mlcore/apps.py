import logging
from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)


class MlcoreConfig(AppConfig):
    name = "mlcore"
    verbose_name = _("Models")

    def ready(self) -> None:
        post_migrate.connect(complete_registry, sender=self)


def complete_registry(using: str, plan: Any = (), **kwargs: Any) -> None:
    """Install the triggers, and add what the bundles of registered models offer, if it is new."""
    from django.db import DatabaseError

    from mlcore import immutability, registry
    from mlcore.models import ModelVersion

    immutability.install_triggers(using)
    try:
        versions = list(ModelVersion.objects.using(using))
    except DatabaseError:  # a migration backwards
        return
    for version in versions:
        try:
            registry.complete(version)
        except registry.ModelUnavailable as error:
            logger.warning("%s: %s", version.name, error)
