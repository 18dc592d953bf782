from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from diagnosis import retention


class Command(BaseCommand):
    help = (
        "Remove files older than an hour that belong to no reading from the film storage, such as "
        "files left by a crash or a full disk."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="list the files without removing them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for name in retention.orphans():
            if options["dry_run"] or retention.remove_orphan(name):
                found += 1
                self.stdout.write(name)
        done = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(f"{found} file(s) {done}.")
