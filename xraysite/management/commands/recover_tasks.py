"""Take up the tasks of workers that died; workers do it themselves while one is alive."""

from typing import Any

from django.core.management.base import BaseCommand

from xraysite.common.background import mails, workers


class Command(BaseCommand):
    help = (
        "Let other workers take up the tasks of workers that died, and enqueue emails again whose "
        "task was lost. Workers do both all the time; run this every few minutes if the queue is "
        "not in the database."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        tasks, lost = workers.put_back(), mails.requeue()
        self.stdout.write(f"{tasks} tasks of dead workers, {lost} emails without a task.")
