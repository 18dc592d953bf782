"""Delete finished tasks and emails."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from xraysite.common.background import mails


class Command(BaseCommand):
    help = "Delete tasks and emails that were finished some days ago; run it every night."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=14, help="default: %(default)s")
        parser.add_argument(
            "--failed-days", type=int, default=90, help="for those that failed; default: 90"
        )

    def handle(self, *args: Any, days: int, failed_days: int, **options: Any) -> None:
        kept, failed_kept = timedelta(days=days), timedelta(days=failed_days)
        tasks = 0
        for status, before in (
            (TaskResultStatus.SUCCESSFUL, kept),
            (TaskResultStatus.FAILED, failed_kept),
        ):
            old = DBTaskResult.objects.filter(
                status=status, finished_at__lt=timezone.now() - before
            )
            tasks += old.delete()[0]
        deleted = mails.prune(sent_before=kept, others_before=failed_kept)
        self.stdout.write(f"{tasks} tasks and {deleted} emails deleted.")
