from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from mlcore import immutability, registry
from mlcore.models import ModelVersion


class Command(BaseCommand):
    help = (
        "Verify that every registered model is the one that was registered: the card in the "
        "database against the bundle's SHA-256, the triggers that keep it so, and the files of "
        "its bundle. Exits with status 1 if a row was altered or a trigger is missing; missing or "
        "altered files are listed, because the pages of readings do not depend on them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rows-only",
            action="store_true",
            help="do not load and run the bundles (default: do so)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            versions = list(ModelVersion.objects.order_by("created_at"))
            faults = [f"the trigger {name} is missing" for name in immutability.missing_triggers()]
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        for version in versions:
            found = immutability.faults_of(version)
            faults += [f"{version.name}: {fault}" for fault in found]
            state = "altered" if found else "as registered"
            files = "" if options["rows_only"] else f"; files: {_files(version)}"
            self.stdout.write(f"  {version.name} ({version.bundle_sha256[:12]}): {state}{files}")
        if faults:
            raise CommandError("\n".join(["The registry is not as it was:", *faults]))
        self.stdout.write(f"{len(versions)} registered models are unchanged.")


def _files(version: ModelVersion) -> str:
    try:
        registry.load(version.folder, sha256=version.bundle_sha256)
    except registry.ModelUnavailable as error:
        return str(error)
    return "complete"
