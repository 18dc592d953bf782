from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Replaces the command of django-auditlog, which empties the log."""

    help = "Refused: rows of the audit log are never deleted."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("ignored", nargs="*")

    def run_from_argv(self, argv: list[str]) -> None:
        super().run_from_argv(argv[:2])  # whatever the options

    def handle(self, *args: Any, **options: Any) -> None:
        raise CommandError(
            "Rows of the audit log are never changed or deleted. Nothing was changed."
        )
