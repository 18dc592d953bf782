from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.services import film_hashes


class Command(BaseCommand):
    help = (
        "Store the hash of the pixels of X-rays that were read before it was stored, so that "
        "copies of a picture in different files are recognised. Can be stopped and run again. "
        "X-rays that are missing or altered are listed and left as they are."
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
        for sha256, error in film_hashes.hash_missing(limit=limit):
            if error is None:
                done += 1
            else:
                failed += 1
                self.stderr.write(f"{sha256}: {error}")
        self.stdout.write(f"{done} file(s) hashed, {failed} could not be read.")
