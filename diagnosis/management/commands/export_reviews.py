from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from diagnosis.services import review_export


class Command(BaseCommand):
    help = (
        "Export the X-rays that doctors have signed an opinion about, or whose diagnosis was "
        "confirmed, as class folders with a manifest, de-identified, for training. Text that is "
        "burned into an image stays: look at the films before they leave the hospital. Deleted "
        "readings and those with contradictory data are left out. If it is stopped, run it again "
        "with the same folder. It is recorded in the audit log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--out", type=Path, required=True, help="folder to make; it must not exist (required)"
        )
        parser.add_argument(
            "--with-refused",
            action="store_true",
            help="also export X-rays that the model declined as out of scope",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        out: Path = options["out"]
        if not out.absolute().parent.is_dir():
            raise CommandError(f"{out} cannot be made: {out.parent} is not a folder.")
        try:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("Exporting", total=None)
                exported = review_export.export_reviews(
                    out,
                    with_refused=options["with_refused"],
                    on_film=lambda done, n: bar.update(task, completed=done, total=n),
                )
        except (review_export.ExportError, OSError) as error:
            raise CommandError(str(error)) from error
        for label in review_export.CLASSES:
            self.stdout.write(f"{label}: {exported.films[label]} X-ray(s)")
        for reason, n in sorted(exported.left_out.items()):
            if n:
                self.stdout.write(f"Left out, {reason}: {n}")
        if missing := [label for label in review_export.CLASSES if not exported.films[label]]:
            self.stderr.write(f"Not usable for training yet: no X-ray is {' or '.join(missing)}.")
