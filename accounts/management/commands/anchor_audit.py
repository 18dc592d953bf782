import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit import anchor, anchoring


class Command(BaseCommand):
    help = (
        "Write the anchor of the audit log again: after a lost file, or after an older copy of the "
        "database was restored on purpose. The log records the reason and what the anchor named "
        "before. Run verify_audit first, and find out why the two differ."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--reason", required=True, help="why; recorded in the log")

    def handle(self, *args: Any, **options: Any) -> None:
        if anchor.path() is None:
            raise CommandError("This installation has no anchor: AUDIT_ANCHOR is empty.")
        if not options["reason"].strip():
            raise CommandError("State a reason. Nothing was changed.")
        try:
            head = anchoring.place(reason=options["reason"].strip())
        except anchor.AnchorError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(self.style.SUCCESS(f"{anchor.path()} names {head}"))
