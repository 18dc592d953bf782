"""Settings with a queue in the database, and a way to run its tasks in the test."""

from typing import Any
from unittest import mock

import pytest
from django_tasks_db.management.commands import db_worker
from pytest_django.fixtures import Settings

QUEUED = "xraysite.common.background.mail_backend.QueuedEmailBackend"
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"


def run_all(name: str = "worker-of-a-test") -> None:
    """Run every task that is due, in this process and thread."""
    worker = db_worker.Worker(
        queue_names=["*"], interval=0, batch=True, backend_name="default", startup_delay=False,
        max_tasks=None, worker_id=name, excluded_queue_names=[],
    )  # fmt: skip
    # The connection has the test's transaction.
    with mock.patch.object(db_worker, "close_old_connections"):
        worker.run()


@pytest.fixture
def database_queue(settings: Settings, db: None) -> Any:
    """Let tasks wait in the database, and emails with them."""
    settings.TASKS = {
        "default": {
            "BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": settings.TASK_QUEUES
        }
    }  # fmt: skip
    settings.EMAIL_BACKEND, settings.EMAIL_DELIVERY_BACKEND = QUEUED, LOCMEM
    settings.SITE_URL = "https://xray.example.org"
    return settings
