"""The site's checks of readiness, and what the office says about each that fails."""

import datetime
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import readiness as accounts_readiness
from diagnosis import readiness as diagnosis_readiness
from diagnosis.film_storage import folder_of
from exchange.incoming import readiness as incoming_readiness
from mlcore import readiness as mlcore_readiness
from xraysite.common import readiness
from xraysite.common.background import queue, workers
from xraysite.common.background.tasks import has_database_queue
from xraysite.common.decoders.errors import DecoderUnavailableError
from xraysite.common.decoders.pool import shared_pool
from xraysite.common.readiness import NotReadyError, Outcome
from xraysite.common.sentences import translated


def register() -> None:
    """Register every check."""
    readiness.register("database", accounts_readiness.check_database)
    readiness.register("database_space", check_database_space)
    readiness.register("films", diagnosis_readiness.check_films)
    readiness.register("films_space", check_films_space)
    readiness.register("model", mlcore_readiness.check_model)
    readiness.register("decoders", check_decoders)
    readiness.register("clock", accounts_readiness.check_clock)
    readiness.register("queue", check_queue, is_vital=False)
    if settings.DICOM_AE_TITLE:
        readiness.register("dicom", incoming_readiness.check_listener, is_vital=False)
    readiness.register("audit_log", accounts_readiness.check_audit_log, is_vital=False)


def check_films_space() -> None:
    """Check the free space of the film storage, if it is a disk of this machine."""
    if (folder := folder_of(storages["films"])) is not None:
        _check_space(folder)


def check_database_space() -> None:
    """Check the free space of the database's disk, if it is one of this machine."""
    database = settings.DATABASES["default"]
    if database["ENGINE"] == "xraysite.sqlite":
        _check_space(Path(database["NAME"]).parent)


def _check_space(folder: Path) -> None:
    while not folder.exists():
        folder = folder.parent
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < settings.MIN_FREE_BYTES:
        raise NotReadyError(
            "full", f"{folder}: {free:,} bytes are free, less than {settings.MIN_FREE_BYTES:,}."
        )
    if disk.f_files and not disk.f_favail:
        raise NotReadyError("full", f"{folder}: the disk has no room for another file (inodes).")


def check_decoders() -> None:
    """If no decoder could be started for the last upload, try to start them again."""
    pool = shared_pool()
    if pool.is_failing:
        try:
            pool.warm_up()
        except DecoderUnavailableError as error:
            raise NotReadyError("failing", f"No decoder can be started: {error}") from error


def check_queue() -> None:
    """Check that a worker takes tasks from the queue, if the queue is in the database.

    Raises:
        NotReadyError: "behind": a task could have run for `QUEUE_MAX_MINUTES`.
    """
    if not has_database_queue():
        return
    since, limit = queue.oldest_since(), datetime.timedelta(minutes=settings.QUEUE_MAX_MINUTES)
    if since is not None and timezone.now() - since > limit:
        minutes = int((timezone.now() - since).total_seconds() // 60)
        alive = workers.living()
        raise NotReadyError(
            "behind", f"A task has been waiting for {minutes} minutes. Workers alive: {alive}."
        )


def problems() -> list[dict[str, str]]:
    """Return title, detail and what to do for each check that fails."""
    return [
        {
            "name": outcome.name,
            "title": _titles()[outcome.name],
            "detail": translated(outcome.detail) or outcome.code,
            "advice": _advice(outcome),
        }
        for outcome in readiness.outcomes()
        if not outcome.is_ok
    ]


def _titles() -> dict[str, str]:
    return {
        "database": _("The database cannot be written to"),
        "database_space": _("The database's disk is nearly full"),
        "films": _("The storage for X-rays cannot be written to"),
        "films_space": _("The storage for X-rays is nearly full"),
        "model": _("The model cannot be used"),
        "decoders": _("Image files cannot be opened"),
        "clock": _("The server's clock is wrong"),
        "queue": _("Background tasks are not being run"),
        "dicom": _("X-rays from machines are not being received"),
        "audit_log": _("The audit log needs to be verified"),
    }


def _advice(outcome: Outcome) -> str:
    is_full = _("Free some space on the disk or enlarge it; nothing is deleted automatically.")
    texts: dict[str, Any] = {
        "database": _("Check the database server, its disk and its permissions."),
        "films": _("Check that the disk is mounted and that the site's user may write to it."),
        "model": _("Restore the model's folder from a backup, or activate another model."),
        "decoders": _("Check the server's memory and its limit on processes."),
        "clock": _("Correct the server's clock (NTP). Until then, sessions may last too long."),
        "queue": _(
            "Start a worker (manage.py db_worker), or read its log. Emails wait until then."
        ),
        "dicom": _(
            "Start the listener (manage.py dicom_listen), or read its log. Machines keep their "
            "X-rays until then."
        ),
        "audit_log": _("Run manage.py verify_audit and follow the operator's guide."),
    }
    return is_full if outcome.code == "full" else str(texts.get(outcome.name, is_full))
