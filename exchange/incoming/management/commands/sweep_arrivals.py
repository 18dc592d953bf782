from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from diagnosis import storage
from exchange.incoming import commitments, handing


class Command(BaseCommand):
    help = (
        "Delete the files of X-rays from machines that have been kept out for DICOM_KEEP_DAYS, "
        "unless the machine was told that they are safe here, and files that killed processes "
        "left. What its doctor has not read returns to the supervisors' inbox."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="list leftover files; change nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["dry_run"]:
            settled = handing.settle()
            expired = handing.expire()
            commitments.forget_old()
            self.stdout.write(
                f"{settled} X-ray(s) settled, {expired} deleted that were kept out for "
                f"{settings.DICOM_KEEP_DAYS} days."
            )
        left = list(handing.leftovers())
        for file in left:
            if not options["dry_run"]:
                storage.remove([file.name])
            self.stdout.write(file.filename)
        done = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(f"{len(left)} leftover file(s) {done}.")
