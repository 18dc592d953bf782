from argparse import ArgumentParser
from itertools import chain
from typing import Any

from django.core.management.base import BaseCommand

from diagnosis import retention
from diagnosis.services import pending


class Command(BaseCommand):
    help = (
        "Remove files that belong to no reading from the film storage, temporary files of "
        "uploads, and uploads that wait for their doctor's decisions, once they are older than an "
        "hour. Crashes, full disks and closed browsers leave such files."
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
        for upload in chain(retention.abandoned_uploads(), pending.expired()):
            if not options["dry_run"]:
                upload.unlink(missing_ok=True)
            found += 1
            self.stdout.write(upload.name)
        done = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(f"{found} file(s) {done}.")
