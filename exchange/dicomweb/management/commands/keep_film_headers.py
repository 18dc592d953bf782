from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange.dicomweb import headers


class Command(BaseCommand):
    help = (
        "Keep what the headers of DICOM files state, for X-rays that were read before it was kept, "
        "so that DICOMweb finds them by it and opens no files. Can be stopped and run again. "
        "X-rays that are missing or damaged are listed and left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit", type=int, default=None, help="number of files to open; default: all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError(f"--limit must be at least 1. Received: {limit}.")
        done = failed = 0
        for reading, is_kept in headers.keep_missing(limit=limit):
            done += is_kept
            failed += not is_kept
            if not is_kept:
                self.stderr.write(f"{reading.pk}: the file is missing or damaged.")
        self.stdout.write(f"{done} header(s) kept, {failed} could not be read.")
