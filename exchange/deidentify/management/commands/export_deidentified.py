"""Export films and readings without identifiers."""

import datetime
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from exchange.deidentify.burned_in import BoxesError, read_boxes
from exchange.deidentify.exporting import (
    Exported,
    ExportError,
    Options,
    chosen_readings,
    export,
)
from exchange.deidentify.keys import KeyFileError, read_key


class Command(BaseCommand):
    """Writes films without identifiers, a manifest, and a report of what was removed."""

    help = (
        "Export X-rays and readings without identifiers, after DICOM PS3.15. Names become "
        "pseudonyms and dates are shifted by the key; the same key gives the same pseudonyms. "
        "Images that may hold text are left out unless somebody has looked at them. Each reading "
        "is recorded in the audit log."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, required=True, help="folder to make (required)")
        parser.add_argument(
            "--key-file", type=Path, required=True,
            help="file with 32 random bytes or more that nobody else may read (required)",
        )  # fmt: skip
        parser.add_argument("--readings", nargs="+", type=uuid.UUID, default=[], metavar="ID")
        day = datetime.date.fromisoformat
        parser.add_argument("--from", dest="first", type=day, help="first exam date, 2026-01-31")
        parser.add_argument("--to", dest="last", type=day, help="last exam date")
        parser.add_argument("--signed", action="store_true", help="only with a signed opinion")
        parser.add_argument(
            "--boxes", type=Path,
            help="CSV table of regions to black out: reading,left,top,width,height as fractions; "
            "an id alone says that somebody looked at the image",
        )  # fmt: skip
        parser.add_argument(
            "--with-text-checked", action="store_true",
            help="somebody has looked at all images: they hold no names or numbers",
        )  # fmt: skip
        parser.add_argument(
            "--with-opinions", action="store_true", help="doctors' opinions in the manifest"
        )
        parser.add_argument(
            "--classes", action="store_true",
            help="folders of the confirmed diagnosis, as audit_dataset and train_model read them",
        )  # fmt: skip
        parser.add_argument("--png", action="store_true", help="DICOM files as 8-bit PNG too")

    def handle(self, *args: Any, **options: Any) -> None:
        """Export.

        Raises:
            CommandError: the folder, the key or the table cannot be used.
        """
        out: Path = options["out"]
        try:
            key = read_key(options["key_file"], out=out)
            boxes = read_boxes(options["boxes"]) if options["boxes"] else {}
            chosen = Options(
                boxes=boxes,
                text_checked=options["with_text_checked"],
                with_opinions=options["with_opinions"],
                in_classes=options["classes"],
                as_pictures=options["png"],
            )
            readings = chosen_readings(
                ids=options["readings"], first=options["first"], last=options["last"],
                only_signed=options["signed"],
            )  # fmt: skip
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("Exporting", total=None)
                exported = export(
                    out, readings, key=key, options=chosen,
                    on_film=lambda done, n: bar.update(task, completed=done, total=n),
                )  # fmt: skip
        except (BoxesError, ExportError, KeyFileError, OSError) as error:
            raise CommandError(str(error)) from error
        self._say(exported)

    def _say(self, exported: Exported) -> None:
        patients = len({row["patient"] for row in exported.rows})
        self.stdout.write(f"{len(exported.rows)} X-ray(s) of {patients} patient(s).")
        for reason, n in sorted(exported.left_out.items()):
            self.stdout.write(f"Left out, {reason}: {n}")
        self.stdout.write(f"{sum(exported.removed.values())} header elements removed.")
