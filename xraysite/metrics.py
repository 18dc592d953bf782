"""What the site counts, and what `/metrics` looks up when it is asked."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.db import DatabaseError, transaction
from django.db.models.signals import post_save
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from accounts.models import AuditEntry, AuditHead
from diagnosis.film_storage import folder_of
from diagnosis.models import Reading
from exchange.incoming import readiness as incoming
from forum.mailing import GRACE
from forum.notifications import due_for_mail
from mlcore import registry
from xraysite.common import metrics, readiness
from xraysite.common.background import queue as background_queue


def connect() -> None:
    """Count readings and audit rows from now on, once they are committed."""
    metrics.merge_ended()
    post_save.connect(_count_reading, sender=Reading, dispatch_uid=f"{__name__}.reading")
    post_save.connect(_count_row, sender=AuditEntry, dispatch_uid=f"{__name__}.row")


def _count_reading(sender: Any, instance: Reading, created: bool, **kwargs: Any) -> None:
    if created:
        facts = (instance.label, list(instance.scope_reasons), instance.inference_ms / 1000)
        transaction.on_commit(lambda: _count(*facts), robust=True)


def _count(label: str, reasons: list[str], seconds: float) -> None:
    metrics.count(metrics.READINGS, label)
    metrics.observe(metrics.MODEL_TIME, seconds)
    for reason in reasons:
        metrics.count(metrics.OUT_OF_SCOPE, reason)


def _count_row(sender: Any, instance: AuditEntry, **kwargs: Any) -> None:
    what = instance.what
    transaction.on_commit(lambda: metrics.count(metrics.AUDIT_ROWS, what), robust=True)


def text() -> bytes:
    """Return all metrics for Prometheus."""
    return metrics.exposition([Current()])


class Current:
    """Metrics that are looked up: what is true now, for the whole site or this machine."""

    def collect(self) -> Iterator[Any]:
        ready = GaugeMetricFamily(
            "xraysite_ready", "Whether a check of readiness passes.", labels=["check"]
        )
        for outcome in readiness.outcomes():
            ready.add_metric([outcome.name], float(outcome.is_ok))
        yield ready
        yield from self._disks()
        try:
            yield from self._database()
        except DatabaseError:
            return  # `xraysite_ready{check="database"}` says so

    def _disks(self) -> Iterator[Any]:
        free = GaugeMetricFamily("xraysite_disk_free_bytes", "Free space.", labels=["of"])
        size = GaugeMetricFamily("xraysite_disk_bytes", "Size of the disk.", labels=["of"])
        database = settings.DATABASES["default"]
        places = {"films": folder_of(storages["films"])}
        if database["ENGINE"] == "xraysite.sqlite":
            places["database"] = Path(database["NAME"]).parent
        for name, place in places.items():
            if place and Path(place).exists():
                usage = shutil.disk_usage(place)
                free.add_metric([name], usage.free)
                size.add_metric([name], usage.total)
        yield free
        yield size

    def _tasks(self) -> Iterator[Any]:
        tasks = GaugeMetricFamily("xraysite_tasks", "Background tasks.", labels=["status"])
        oldest = GaugeMetricFamily(
            "xraysite_tasks_oldest_seconds",
            "For how long the task that waits longest could have run.",
            labels=[],
        )
        alive = GaugeMetricFamily("xraysite_workers", "Workers alive.", labels=[])
        # Without a queue in the database, none of them has a value.
        if (found := background_queue.summary()) is not None:
            for status in ("waiting", "running", "failed"):
                tasks.add_metric([status], getattr(found, status))
            since, now = found.oldest_since, timezone.now()
            oldest.add_metric([], (now - since).total_seconds() if since else 0)
            alive.add_metric([], found.workers)
        yield from (tasks, oldest, alive)

    def _arrivals(self) -> Iterator[Any]:
        arrivals = GaugeMetricFamily(
            "xraysite_dicom_arrivals", "X-rays from machines, by state.", labels=["state"]
        )
        for state, number in incoming.counts().items():
            arrivals.add_metric([state], number)
        yield arrivals
        listeners = incoming.living()
        yield GaugeMetricFamily(
            "xraysite_dicom_listeners", "DICOM listeners alive.", value=len(listeners)
        )
        yield GaugeMetricFamily(
            "xraysite_dicom_associations",
            "Open associations of DICOM listeners.",
            value=sum(listener.associations for listener in listeners),
        )

    def _database(self) -> Iterator[Any]:
        head = AuditHead.objects.filter(pk=1).values_list("sequence", flat=True).first()
        yield GaugeMetricFamily(
            "xraysite_audit_log_rows", "Rows of the audit log.", value=head or 0
        )
        waiting = due_for_mail(timezone.now() - GRACE).count()
        queue = GaugeMetricFamily("xraysite_queue_waiting", "Waiting work.", labels=["queue"])
        queue.add_metric(["board_mail"], waiting)
        yield queue
        yield from self._tasks()
        yield from self._arrivals()
        version = registry.active_version()
        model = GaugeMetricFamily("xraysite_model_active", "The active model.", labels=["model"])
        if version is not None:
            model.add_metric([version.name], 1)
        yield model
