import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit.models import AuditEntry, AuditHead
from accounts.audit.verify import verify_log


def recorded_head(text: str) -> tuple[int, str]:
    number, colon, seal = text.partition(":")
    if not (colon and number.isdigit() and len(seal) == 64):
        raise argparse.ArgumentTypeError(f"A head looks like 1234:0f3a… Received: {text!r}.")
    return int(number), seal


class Command(BaseCommand):
    help = (
        "Verify the whole audit log and report every row that was altered, removed or inserted; "
        "exit status 1 if there is one. Record the printed head in another place: passed as --head "
        "later, it shows whether the newest rows were removed in the meantime."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--head", type=recorded_head, metavar="NUMBER:SEAL", help="a head recorded earlier"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = 0
        for sentence in verify_log(head=options["head"]):
            found += 1
            self.stdout.write(self.style.ERROR(sentence))
        if found:
            raise CommandError(f"The audit log is damaged: {found} finding(s) above.")
        self.stdout.write(
            self.style.SUCCESS(f"The audit log is intact: {AuditEntry.objects.count()} rows.")
        )
        head = AuditHead.objects.filter(pk=1).first()
        if head is not None:
            self.stdout.write(f"Head: {head}")
