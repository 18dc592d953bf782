"""Taking the files of a batch: X-rays, ZIP files with X-rays, CSV files with patient data.

A file is stored and waits to be read; it is decoded only then. The same content is taken once, so
sending a folder again adds what is missing.
"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import account_limits
from accounts.audit import recording
from accounts.models import User
from diagnosis import storage
from diagnosis.batches import assigning, running, zip_files
from diagnosis.batches.names import clean_path, key_of
from diagnosis.batches.tables import is_table, read_table
from diagnosis.models import Batch, BatchItem, BatchSource, ItemState, Team
from diagnosis.services import quotas
from diagnosis.services.teams import TeamChoice, team_for

MAX_PROBLEMS = 100
# Sent again, these are taken again. What the doctor removed is not.
GONE = (ItemState.EXPIRED,)


class BatchClosedError(Exception):
    """Raised when a file is sent to a batch that was cancelled."""


class FullError(Exception):
    """Raised when a batch has as many files as it may have."""

    def __str__(self) -> str:
        """Return the message for the doctor, in the active language."""
        return _("A batch takes %(limit)d files. Begin another one for the rest.") % {
            "limit": settings.BATCH_MAX_FILES
        }


@dataclass(frozen=True)
class Received:
    """What became of a file that was sent.

    Attributes:
        items: the files of the batch that it is or contains.
        new: how many of them were not there before.
        problems: sentences in the active language about parts of it.
    """

    items: tuple[BatchItem, ...] = ()
    new: int = 0
    problems: tuple[str, ...] = ()


@transaction.atomic
def begin_batch(*, doctor: User, team: Team | TeamChoice | None = TeamChoice.SOLE) -> Batch:
    """Begin a batch.

    Args:
        doctor: whose batch it is.
        team: which of the doctor's teams shares the readings, None for none of them.

    Raises:
        PermissionDenied: the account may not read films, or is no member of the team.
    """
    if not doctor.has_perm("diagnosis.add_reading"):
        raise PermissionDenied
    batch = Batch.objects.create(doctor=doctor, team=team_for(doctor, team))
    recording.record_change(batch, what="batch-begun", changes={})
    return batch


def known_hashes(*, doctor: User, batch_id: uuid.UUID) -> list[str]:
    """Return the SHA-256 of the files that have arrived and need not be sent again."""
    items = BatchItem.objects.own_of(doctor).filter(batch_id=batch_id)
    return list(items.exclude(state__in=GONE).values_list("sha256", flat=True))


def add_file(*, doctor: User, batch_id: uuid.UUID, path: str, file: IO[bytes]) -> Received:
    """Take a file of any kind.

    Args:
        doctor: whose batch it is.
        batch_id: the batch.
        path: the file's name with its folders.
        file: open for reading, at its beginning.

    Raises:
        Batch.DoesNotExist: the doctor has no such batch.
        BatchClosedError: it was cancelled.
        FullError, quotas.QuotaError, account_limits.TooManyError: no more files are taken now.
        zip_files.ZipFileError: a ZIP file cannot be opened at all.
        OSError: the file cannot be stored.
    """
    batch = _open_batch(doctor, batch_id)
    path = clean_path(path)
    head = file.read(8)
    file.seek(0)
    if zip_files.is_zip(head):
        return _add_zip(doctor, batch, file)
    data = file.read()
    if is_table(path):
        return _add_table(batch, path, data)
    item, is_new = _add_film(doctor, batch, path, data)
    return Received((item,), int(is_new))


def add_machine_film(
    *,
    doctor: User,
    team: Team | None,
    path: str,
    data: bytes,
    then: Callable[[BatchItem], object],
    source: BatchSource = BatchSource.MACHINE,
) -> BatchItem:
    """Take an X-ray that a machine sent, in today's batch of the doctor and the team.

    The upload limit of the account does not count: a supervisor decides which machines send.

    Args:
        doctor: who is to read it.
        team: which of the doctor's teams is to share the reading.
        path: the file's name, for display.
        data: the file, byte for byte.
        then: called with the new file in the transaction that stores it.
        source: what kind of machine or program sent it.

    Raises:
        PermissionDenied: the account may not read films, or is no member of the team.
        quotas.QuotaError: the doctor's storage is used up.
        OSError: the file cannot be stored.
    """
    if not doctor.is_active or not doctor.has_perm("diagnosis.add_reading"):
        raise PermissionDenied
    team_for(doctor, team)
    quotas.require_space(doctor)
    sha256 = hashlib.sha256(data).hexdigest()
    item = BatchItem(doctor=doctor, path=clean_path(path), sha256=sha256)
    with (
        storage.staged({storage.batch_name(doctor.pk, item.pk): data}) as place,
        transaction.atomic(),
    ):
        item.batch = _machine_batch(doctor, team, sha256, source)
        _store(item.batch, item, len(data), place)
        then(item)
    return item


def _machine_batch(doctor: User, team: Team | None, sha256: str, source: BatchSource) -> Batch:
    """Return today's batch of a doctor's X-rays from machines that lacks a file; lock the doctor.

    Doctors cancel a batch with all that waits in it, so it must not take what comes later.
    """
    list(User.objects.select_for_update(no_key=True).filter(pk=doctor.pk).values_list("pk"))
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    batches = Batch.objects.filter(
        doctor=doctor,
        team=team,
        source=source,
        created_at__gte=today,
        cancelled_at=None,
    ).exclude(Exists(BatchItem.objects.filter(batch=OuterRef("pk"), sha256=sha256)))
    found = batches.order_by("-created_at").first()
    if found is not None and found.items.count() < settings.BATCH_MAX_FILES:
        return found
    made = Batch.objects.create(doctor=doctor, team=team, source=source)
    recording.record_change(made, what="batch-begun", changes={"source": [None, made.source]})
    return made


def finish_sending(*, doctor: User, batch_id: uuid.UUID) -> int:
    """Match CSV files with X-rays again, now that everything has arrived.

    Returns:
        How many X-rays got patient data by it.
    """
    return assigning.match_names(_open_batch(doctor, batch_id))


def _open_batch(doctor: User, batch_id: uuid.UUID) -> Batch:
    batch: Batch = Batch.objects.own_of(doctor).get(pk=batch_id)
    if batch.cancelled_at is not None:
        raise BatchClosedError
    return batch


def _add_zip(doctor: User, batch: Batch, file: IO[bytes]) -> Received:
    items: list[BatchItem] = []
    problems: list[str] = []
    new = 0
    for entry in zip_files.entries(file):
        if entry.data is None:
            problems.append(f"{entry.path}: {entry.error}")
            continue
        if is_table(entry.path):
            problems += _add_table(batch, entry.path, entry.data).problems
            continue
        try:
            item, is_new = _add_film(doctor, batch, entry.path, entry.data)
        except (FullError, quotas.QuotaError, account_limits.TooManyError) as error:
            # What was added stays; the same ZIP file, sent again, adds the rest.
            problems.append(_("%(path)s and what follows it: %(error)s") % {
                "path": entry.path, "error": error
            })  # fmt: skip
            break
        items.append(item)
        new += is_new
    _keep_problems(batch, problems)
    return Received(tuple(items), new, tuple(problems))


def _add_table(batch: Batch, path: str, data: bytes) -> Received:
    table = read_table(data, path)
    with transaction.atomic():
        locked = Batch.objects.select_for_update().get(pk=batch.pk)
        locked.patients = locked.patients | table.rows
        locked.save(update_fields=["patients"])
    problems = [f"{path}: {problem}" for problem in table.problems]
    _keep_problems(batch, problems)
    assigning.match_paths(locked)
    return Received(problems=tuple(problems))


def _keep_problems(batch: Batch, problems: list[str]) -> None:
    """Keep the sentences for the batch's page, each once."""
    if not problems:
        return
    with transaction.atomic():
        locked = Batch.objects.select_for_update().get(pk=batch.pk)
        kept = dict.fromkeys([*locked.problems, *problems])
        locked.problems = list(kept)[-MAX_PROBLEMS:]
        locked.save(update_fields=["problems"])


def _add_film(doctor: User, batch: Batch, path: str, data: bytes) -> tuple[BatchItem, bool]:
    """Store a file and let it be read; return it, and whether it is new."""
    sha256 = hashlib.sha256(data).hexdigest()
    known = BatchItem.objects.filter(batch=batch, sha256=sha256).first()
    if known is not None and known.state not in GONE and not _is_lost(known):
        return known, False
    if known is None and batch.items.count() >= settings.BATCH_MAX_FILES:
        raise FullError
    quotas.require_space(doctor)
    account_limits.take(account_limits.UPLOAD, doctor)
    item = known or BatchItem(batch=batch, doctor=doctor, path=path, sha256=sha256)
    try:
        with storage.staged({storage.batch_name(doctor.pk, item.pk): data}) as place:
            _store(batch, item, len(data), place)
    except IntegrityError:  # sent twice at the same moment
        return BatchItem.objects.get(batch=batch, sha256=sha256), False
    return item, True


@transaction.atomic
def _store(batch: Batch, item: BatchItem, size: int, place: Any) -> None:
    locked = Batch.objects.select_for_update().get(pk=batch.pk)
    if locked.cancelled_at is not None:
        raise BatchClosedError
    last = locked.items.aggregate(last=Max("position"))["last"]
    if item._state.adding:
        item.position = 0 if last is None else last + 1
    item.size, item.is_stored = size, True
    item.state, item.problem, item.attempts, item.due_at = ItemState.WAITING, {}, 0, None
    item.entered = locked.patients.get(key_of(item.path), item.entered)
    item.changed_at = timezone.now()
    place()
    item.save()
    running.start([item])


def _is_lost(item: BatchItem) -> bool:
    return item.state == ItemState.FAILED and item.problem.get("code") == "lost"
