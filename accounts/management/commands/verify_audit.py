import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from accounts.audit import anchor, anchoring, heads
from accounts.audit.models import AuditEntry, AuditHead
from accounts.audit.verify import verify_log


def recorded_head(text: str) -> tuple[int, str]:
    try:
        return anchor.parse_head(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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
        parser.add_argument(
            "--mail", action="append", default=[], metavar="ADDRESS", help="email the head there"
        )
        parser.add_argument(
            "--syslog",
            nargs="?",
            const="/dev/log",
            metavar="ADDRESS",
            help="send the head to a syslog server, HOST:PORT over UDP or a socket (/dev/log)",
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
        head = AuditHead.objects.get(pk=1)
        self.stdout.write(f"Head: {head}")
        try:
            anchoring.move(wait=True)
            heads.send(str(head), mail_to=options["mail"], syslog_at=options["syslog"])
        except (anchor.AnchorError, DatabaseError, heads.NotSentError) as error:
            raise CommandError(f"The log is intact, but its head was not kept: {error}") from error
