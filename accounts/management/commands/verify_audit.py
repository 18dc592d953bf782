import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit.models import AuditEntry, AuditHead
from accounts.audit.verify import verify_log


def noted_head(text: str) -> tuple[int, str]:
    number, colon, seal = text.partition(":")
    if not (colon and number.isdigit() and len(seal) == 64):
        raise argparse.ArgumentTypeError(f"{text!r} is no head; one looks like 1234:0f3a…")
    return int(number), seal


class Command(BaseCommand):
    help = (
        "Reads the whole audit log and names every row that was altered, removed or put in. "
        "Ends with status 1 where there is one. Note the head that it prints somewhere else: "
        "given back with --head, it shows whether the newest rows were taken away since."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--head", type=noted_head, metavar="NUMBER:SEAL", help="a head noted earlier"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for sentence in verify_log(head=options["head"]):
            found += 1
            self.stdout.write(self.style.ERROR(sentence))
        if found:
            raise CommandError(f"The audit log is not whole: {found} finding(s) above.")
        self.stdout.write(
            self.style.SUCCESS(f"The audit log is whole: {AuditEntry.objects.count()} rows.")
        )
        head = AuditHead.objects.filter(pk=1).first()
        if head is not None:
            self.stdout.write(f"Head: {head}")
