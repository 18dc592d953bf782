from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis import retention


class Command(BaseCommand):
    help = (
        "Purge deleted readings whose retention period is over, with their films. Readings "
        "deleted as created by mistake are left to the supervisors until then."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--dry-run", action="store_true", help="list them without purging")
        choice.add_argument("--yes", action="store_true", help="purge them permanently")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["dry_run"] == options["yes"]:
            raise CommandError("Pass either --dry-run or --yes.")
        found = 0
        for reading in retention.expired():
            found += 1
            self.stdout.write(f"{reading.pk}  read {reading.created_at:%Y-%m-%d}")
            if options["yes"]:
                retention.purge_expired(reading.pk)
        done = "purged" if options["yes"] else "would be purged"
        self.stdout.write(
            f"{found} reading(s) {done}; the retention period is {settings.RETENTION_YEARS} years."
        )
