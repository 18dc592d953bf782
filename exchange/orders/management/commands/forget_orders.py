"""Delete old orders that nobody performed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange.orders.services import forget_old

DEFAULT_DAYS = 90


class Command(BaseCommand):
    help = (
        "Delete orders that were scheduled for long ago and never performed, with the patients' "
        "details in them. Orders with X-rays stay until their readings are purged."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            default=DEFAULT_DAYS,
            help=f"how long ago they were scheduled for (default: {DEFAULT_DAYS})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError(f"--days takes a number of days. Received: {options['days']}.")
        self.stdout.write(f"Deleted {forget_old(days=options['days'])} orders.")
