"""Take up the tasks of workers that died; workers do it themselves while one is alive."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from diagnosis.batches import running
from xraysite.common.background import mails, recovery, workers


class Command(BaseCommand):
    help = (
        "Let other workers take up the tasks of workers that died, and enqueue emails again whose "
        "task was lost. Workers do both all the time; run this every few minutes if the queue is "
        "not in the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--set-aside",
            action="store_true",
            help="after restoring a backup: emails that wait count as failed instead of being sent",
        )

    def handle(self, *args: Any, set_aside: bool, **options: Any) -> None:
        if set_aside:
            self.stdout.write(f"{mails.set_aside()} emails set aside.")
        tasks, lost, films = workers.put_back(), mails.requeue(), running.revive()
        self.stdout.write(f"{tasks} tasks of dead workers, {lost} emails without a task.")
        for name, number in recovery.run().items():
            self.stdout.write(f"{number} {name} started again.")
        if films:
            self.stdout.write(f"{films} X-rays of batches wait again.")
