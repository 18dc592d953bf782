"""Sends the board's mails that are due; to be called every few minutes."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from forum import mailing, pictures


class Command(BaseCommand):
    help = (
        "Sends the board's mails that are due (one for each notification or one a day, as each "
        "person wishes), and removes pictures that were uploaded a week ago and never posted. "
        "Call it every few minutes; a call that was missed or failed is made up for by the next."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--site", required=True, help="the site's address, such as https://xray.example.org"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        site = options["site"].rstrip("/")
        if not site.startswith(("https://", "http://")):
            raise CommandError(f"--site must begin with https:// or http://, got {site!r}.")
        sent, failed = mailing.send_due(site=site)
        removed = pictures.sweep()
        self.stdout.write(f"{sent} mails sent, {failed} failed, {removed} pictures removed.")
        if failed:
            raise CommandError("Some mails were not sent; they are due again at the next call.")
