from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.services import film_uids


class Command(BaseCommand):
    help = (
        "Store the DICOM UIDs of X-rays that were read before they were stored, so that other "
        "systems find them under their own study. Can be stopped and run again. X-rays that are "
        "missing or altered are listed and left as they are."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit", type=int, default=None, help="number of files to decode; default: all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError(f"--limit must be at least 1. Received: {limit}.")
        done = failed = 0
        for sha256, error in film_uids.fill_missing(limit=limit):
            if error is None:
                done += 1
            else:
                failed += 1
                self.stderr.write(f"{sha256}: {error}")
        self.stdout.write(f"{done} file(s) looked through, {failed} could not be read.")
