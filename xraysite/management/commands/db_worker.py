"""Run tasks from the queue in the database; replaces the command of django-tasks."""

import os
import socket
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.crypto import get_random_string
from django_tasks import DEFAULT_TASK_BACKEND_ALIAS
from django_tasks_db.management.commands import db_worker

from xraysite.common.background import workers
from xraysite.common.background.tasks import has_database_queue


class Command(db_worker.Command):
    help = (
        "Run tasks from the queue in the database, such as sending emails, until stopped. Takes up "
        "tasks of workers that died. Several may run, on several machines."
    )

    def create_parser(self, *args: Any, **options: Any) -> CommandParser:
        parser = super().create_parser(*args, **options)
        name = f"{socket.gethostname()[:40]}-{os.getpid()}-{get_random_string(8)}"
        # The library's own default for the backend fails with a message that does not help.
        parser.set_defaults(queue_name="*", worker_id=name, backend_name=None)
        return parser

    def handle(self, *, worker_id: str, backend_name: str | None, **options: Any) -> None:
        if not has_database_queue():
            raise CommandError("There is no queue in the database. Set TASK_ENGINE=database.")
        with workers.alive(worker_id):
            super().handle(
                worker_id=worker_id,
                backend_name=backend_name or DEFAULT_TASK_BACKEND_ALIAS,
                **options,
            )
