"""Send the notification emails of the discussion board; run it every few minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from forum import mailing


class Command(BaseCommand):
    help = (
        "Send the discussion board's notification emails that are due: one per notification or a "
        "daily digest, as each user chose. Run it every few minutes; a missed or "
        "failed run is made "
        "up for by the next one."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--site", required=True, help="base URL of the site, such as https://xray.example.org"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        site = options["site"].rstrip("/")
        if not site.startswith(("https://", "http://")):
            raise CommandError(f"--site must start with https:// or http://. Received: {site!r}.")
        sent, failed = mailing.send_due(site=site)
        self.stdout.write(f"{sent} emails sent, {failed} failed.")
        if failed:
            raise CommandError("Some emails could not be sent; they are due again at the next run.")
