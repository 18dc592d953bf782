from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xraysite import moving


class Command(BaseCommand):
    help = (
        "Move the site's SQLite database to an empty PostgreSQL database: every row is copied and "
        "compared, in one transaction. Stop the server first, and back up. Afterwards, set "
        "DATABASE_URL to the new database and start the server. Films and images stay where they "
        "are; the SQLite file is not changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="DATABASE_URL", help=f"such as {moving.EXAMPLE}")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = tables = 0
        try:
            for moved in moving.move(options["url"]):
                rows, tables = rows + moved.rows, tables + 1
                self.stdout.write(f"{moved.table}: {moved.rows:,} rows, SHA-256 {moved.sha256}")
        except moving.MoveError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{rows:,} rows of {tables} tables were moved and are the same in both databases. Set "
            "DATABASE_URL, then run: manage.py verify_audit; manage.py fsck"
        )
