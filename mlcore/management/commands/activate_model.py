from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from mlcore import registry


class Command(BaseCommand):
    help = (
        "Activate a model. Refuses a bundle without a threshold chosen on validation data, "
        "calibration figures or a scope gate, or whose hash differs from the registered one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="name of a registered model or of a bundle")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        try:
            version = registry.find(name) or registry.register(registry.folder_of(name))
            registry.activate(version)
        except (registry.ModelUnavailable, registry.NotFitToActivate) as error:
            raise CommandError(f"{name} was not activated: {error}") from error
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        if options["verbosity"]:
            self.stdout.write(f"  {name} ({version.bundle_sha256[:12]}) is active.")
