from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from diagnosis import retention


class Command(BaseCommand):
    help = (
        "Removes files from the film storage that belong to no reading, and temporary files of "
        "uploads, once they are older than an hour: what a crash or a full disk left behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="name the files and remove nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for name in retention.orphans():
            if options["dry_run"] or retention.remove_orphan(name):
                found += 1
                self.stdout.write(name)
        for upload in retention.abandoned_uploads():
            if not options["dry_run"]:
                upload.unlink(missing_ok=True)
            found += 1
            self.stdout.write(upload.name)
        done = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(f"{found} file(s) {done}.")
