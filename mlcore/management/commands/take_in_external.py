from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mlcore import external, registry
from mlcore.models import ModelVersion


class Command(BaseCommand):
    help = (
        "Record the external evaluations in the folder external/ of a model's bundle, and say for "
        "each file whether it was recorded or why it is refused. The exit status is 1 if a file "
        "is refused. The same happens when a model is registered or activated, and on migrate."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="name of a model (default: every model)")

    def handle(self, *args: Any, **options: Any) -> None:
        refused = 0
        for version in self._versions(options["name"]):
            found = external.take_in(version, version.folder)
            if not found:
                self.stdout.write(f"{version.name}: no files in {version.folder / external.FOLDER}")
            for outcome in found:
                reason = f": {outcome.reason}" if outcome.reason else ""
                self.stdout.write(f"{version.name}: {outcome.file} {outcome.state}{reason}")
                refused += outcome.state == "refused"
        if refused:
            raise CommandError(f"Refused files: {refused}. Nothing of them was recorded.")

    def _versions(self, name: str | None) -> list[ModelVersion]:
        if name is None:
            return list(ModelVersion.objects.all())
        version = registry.find(name)
        if version is None:
            raise CommandError(f"There is no registered model named {name!r}. See /models/.")
        return [version]
