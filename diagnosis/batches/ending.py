"""Cancelling batches, removing and retrying their files, and clearing up what nobody attends to."""

import datetime
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.audit import recording
from diagnosis import storage
from diagnosis.batches import running
from diagnosis.batches.reading import remove_film, settle
from diagnosis.film_storage import StoredFile
from diagnosis.models import IN_INBOX, MOVING, Batch, BatchItem, ItemState, Reading

if TYPE_CHECKING:
    from accounts.models import User

# A file that is being read cannot be stopped; it has a reading in a second.
STOPPABLE = (ItemState.WAITING, *IN_INBOX, ItemState.FAILED)
# A file is stored before its row.
ORPHAN_AGE = datetime.timedelta(hours=1)
# For so long, a batch in which nothing happens any more is listed.
LISTED = datetime.timedelta(days=90)
WARNED_DAYS = 3


def cancel_batch(*, doctor: "User", batch_id: uuid.UUID) -> int:
    """Stop what has not begun: nothing more is taken or read. Readings stay.

    Returns:
        The number of files that are not read.

    Raises:
        Batch.DoesNotExist: the doctor has no such batch.
    """
    with transaction.atomic():
        batch = Batch.objects.own_of(doctor).select_for_update().get(pk=batch_id)
        stopped = list(batch.items.select_for_update().filter(state__in=STOPPABLE))
        if batch.cancelled_at is None:
            batch.cancelled_at = timezone.now()
            batch.patients = {}
            batch.save(update_fields=["cancelled_at", "patients"])
            changes = {"files": [len(stopped), 0]}
            recording.record_change(batch, what="batch-cancelled", changes=changes)
        _drop(stopped, ItemState.CANCELLED)
    return len(stopped)


def remove_item(*, doctor: "User", item_id: uuid.UUID) -> BatchItem:
    """Remove a file that is not to be read.

    Raises:
        BatchItem.DoesNotExist: the doctor has no such file, or it is being read or was read.
    """
    with transaction.atomic():
        items = BatchItem.objects.own_of(doctor).select_for_update(of=("self",))
        item: BatchItem = items.select_related("batch").get(pk=item_id, state__in=STOPPABLE)
        changes = {"files": [str(item.pk), None]}
        recording.record_change(item.batch, what="batch-file-removed", changes=changes)
        _drop([item], ItemState.CANCELLED)
    item.refresh_from_db()
    return item


def withdraw(item: BatchItem) -> bool:
    """Take a file that was not read from its doctor, so that somebody else may read it.

    Returns:
        Whether it was taken: the doctor may have let it be tried again.
    """
    with transaction.atomic():
        failed = BatchItem.objects.select_for_update().filter(pk=item.pk, state=ItemState.FAILED)
        if not failed.exists():
            return False
        _drop([item], ItemState.CANCELLED)
    return True


@transaction.atomic
def retry(*, doctor: "User", item_ids: list[uuid.UUID]) -> int:
    """Let files be read again that could not be read for a cause that may have passed."""
    items = BatchItem.objects.own_of(doctor).select_for_update()
    failed = list(items.filter(pk__in=item_ids, is_stored=True, state=ItemState.FAILED))
    failed += items.filter(
        pk__in=item_ids, is_stored=True, state=ItemState.WAITING, due_at__isnull=False
    )
    now = timezone.now()
    BatchItem.objects.filter(pk__in=[item.pk for item in failed]).update(
        state=ItemState.WAITING, attempts=0, due_at=None, problem={}, changed_at=now
    )
    running.start(failed)
    return len(failed)


def settle_decided(*, submission: uuid.UUID) -> Batch | None:
    """Note that a file of a batch has a reading, made on the page that asks for decisions.

    Returns:
        Its batch; None if the reading is of no batch.
    """
    item = BatchItem.objects.select_related("batch").filter(pk=submission).first()
    if item is None:
        return None
    made = Reading.objects.filter(pk=submission).first()
    if made is not None and item.state != ItemState.DONE:
        settle(item, made)
    return item.batch


def settle_made(batch: Batch) -> None:
    """Do the same for files whose process was killed between the two."""
    made = Reading.objects.filter(pk=OuterRef("pk"))
    open_items = batch.items.exclude(state__in=[ItemState.DONE, *MOVING])
    for item in open_items.filter(Exists(made)):
        settle(item, Reading.objects.get(pk=item.pk))


def _drop(items: list[BatchItem], state: ItemState) -> None:
    """Give up files: nothing of them is kept but their names."""
    BatchItem.objects.filter(pk__in=[item.pk for item in items]).update(
        state=state,
        is_stored=False,
        entered={},
        stated={},
        problem={},
        due_at=None,
        changed_at=timezone.now(),
    )
    for item in items:
        transaction.on_commit(lambda item=item: remove_film(item), robust=True)  # type: ignore[misc]


# Clearing up -------------------------------------------------------------------------------------


def kept_until(item: BatchItem) -> datetime.datetime:
    """Return until when a file waits for its doctor."""
    until: datetime.datetime = item.changed_at + datetime.timedelta(days=settings.BATCH_KEEP_DAYS)
    return until


def is_ending(item: BatchItem) -> bool:
    """Return whether a file that waits for its doctor will soon be removed."""
    soon = timezone.now() + datetime.timedelta(days=WARNED_DAYS)
    return item.state in IN_INBOX and kept_until(item) < soon


def expired() -> Iterator[BatchItem]:
    """Yield the files that have waited for their doctor for too long."""
    limit = timezone.now() - datetime.timedelta(days=settings.BATCH_KEEP_DAYS)
    states = [*IN_INBOX, ItemState.FAILED]
    old = BatchItem.objects.filter(is_stored=True, state__in=states, changed_at__lt=limit)
    yield from old.select_related("batch").iterator(chunk_size=500)


def expire(item: BatchItem) -> bool:
    """Remove such a file, unless something has happened to it; its row says so to its doctor."""
    with transaction.atomic():
        found = BatchItem.objects.select_for_update().filter(
            pk=item.pk, state=item.state, changed_at=item.changed_at
        )
        if not found.exists():
            return False
        changes = {"files": [str(item.pk), None]}
        recording.record_change(item.batch, what="batch-expired", changes=changes)
        _drop([item], ItemState.EXPIRED)
    return True


def leftovers() -> Iterator[StoredFile]:
    """Yield stored files that no batch needs: of killed processes, and failed removals."""
    newest = (timezone.now() - ORPHAN_AGE).timestamp()
    for folder in storage.films().folders(storage.BATCHES):
        old = [file for file in storage.films().files(folder) if file.written < newest]
        names = [file.filename for file in old]
        needed = set(_needed(names))
        yield from (file for file in old if file.filename not in needed)


def _needed(names: list[str]) -> Iterator[str]:
    keys = [key for name in names if (key := _uuid(name)) is not None]
    for start in range(0, len(keys), 500):
        rows = BatchItem.objects.filter(pk__in=keys[start : start + 500], is_stored=True)
        yield from (str(key) for key in rows.values_list("pk", flat=True))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def missing() -> Iterator[BatchItem]:
    """Yield the files of batches that wait but are not in the film storage."""
    for item in BatchItem.objects.filter(is_stored=True).iterator(chunk_size=500):
        if storage.films().find(storage.batch_name(item.doctor_id, item.pk)) is None:
            yield item


def note_missing(item: BatchItem) -> None:
    """Tell the doctor that a file has been lost and has to be sent again."""
    BatchItem.objects.filter(pk=item.pk, is_stored=True).exclude(state=ItemState.READING).update(
        state=ItemState.FAILED,
        is_stored=False,
        problem={"code": "lost", "params": {}},
        changed_at=timezone.now(),
    )


def forget_old() -> int:
    """Delete the rows of batches in which nothing has happened for `LISTED`; readings stay."""
    limit = timezone.now() - LISTED
    busy = BatchItem.objects.filter(batch=OuterRef("pk")).exclude(
        is_stored=False, changed_at__lt=limit
    )
    old = Batch.objects.filter(~Exists(busy), created_at__lt=limit)
    number, _rows = old.delete()
    return number
