from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from mlcore import registry


class Command(BaseCommand):
    help = (
        "Makes a model the one that reads films. Refuses a bundle without a threshold chosen on "
        "validation data, calibration figures or a scope gate, or whose hash differs from the "
        "one that was registered."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="a registered model, or a bundle in the site's folder")

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
