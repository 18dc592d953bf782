from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mlcore.engine.data import dataset, public_set
from mlcore.management.commands._common import add_ignore_folder

LISTED = 10


class Command(BaseCommand):
    help = (
        "Compare a folder with the public paediatric set by the hashes of its films. Downloads "
        f"nothing; the set is at {public_set.SOURCE} (licence {public_set.LICENCE}). Exits with "
        "status 1 if films are missing, altered or surplus."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", type=Path, required=True, help="folder with class folders (required)"
        )
        add_ignore_folder(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        write = self.stdout.write
        write(f"Source: {public_set.SOURCE}, licence {public_set.LICENCE}")
        write("The hashes are of the training split, reduced to 224 x 224 pixels.")
        try:
            manifest = dataset.scan(
                options["data"], measured=False, ignored=options["ignore_folder"]
            )
        except (dataset.DatasetError, OSError) as error:
            raise CommandError(str(error)) from error
        found = public_set.check(manifest)
        for label in dataset.LABELS:
            write(
                f"  {label}: {found.found[label]} of {found.expected[label]} distinct films, "
                f"{found.missing[label]} missing"
            )
        self._list("under the other label", found.relabelled)
        self._list("altered or surplus", found.surplus)
        self._list("unreadable", found.unreadable)
        if not found.is_complete:
            raise CommandError(f"{options['data']} is not the complete public set.")
        write("Complete and unaltered.")

    def _list(self, what: str, paths: tuple[str, ...]) -> None:
        self.stdout.write(f"  {what}: {len(paths)}")
        for path in paths[:LISTED]:
            self.stdout.write(f"    {path}")
        if len(paths) > LISTED:
            self.stdout.write(f"    and {len(paths) - LISTED} more")
