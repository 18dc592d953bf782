"""Stating whose X-rays the files of a batch are: typed by the doctor, or from a CSV file.

A file is never given the data of another one: a line of a CSV file is used if it names the file
with its folders, as seen from the folder of the CSV file. A bare name is used only once everything
has arrived and only if one file of the batch has that name.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from diagnosis.batches import running
from diagnosis.batches.names import key_of
from diagnosis.forms.readings import BatchItemForm
from diagnosis.models import Batch, BatchItem, ItemState
from diagnosis.services.patients import FIELDS

if TYPE_CHECKING:
    from accounts.models import User

# What was entered may change in these; a file that is being read or was read stays as it is.
OPEN = (ItemState.WAITING, ItemState.NEEDS_DATA, ItemState.UNDECIDED, ItemState.FAILED)
MAX_LENGTH = 200


@transaction.atomic
def enter_patient(*, doctor: "User", item_id: uuid.UUID, fields: Mapping[str, str]) -> BatchItem:
    """Keep what the doctor typed about a file, and let it be read if nothing is missing.

    Args:
        doctor: whose file it is.
        item_id: the file.
        fields: text by field of the form; other keys are ignored.

    Raises:
        BatchItem.DoesNotExist: the doctor has no such file, or it was read, cancelled or removed.
    """
    items = BatchItem.objects.own_of(doctor).select_for_update()
    item: BatchItem = items.get(pk=item_id, state__in=OPEN, is_stored=True)
    _enter(item, fields)
    return item


def match_paths(batch: Batch) -> int:
    """Use the lines of CSV files that name a file with its folders."""
    matched = 0
    for item in _without_patient(batch):
        if (stated := batch.patients.get(key_of(item.path))) is not None:
            matched += _assign(item, stated)
    return matched


def match_names(batch: Batch) -> int:
    """Use the lines of CSV files that name a file without its folders, where that is clear."""
    matched = match_paths(batch)
    named = _by_name(batch.patients)
    files: dict[str, list[str]] = defaultdict(list)
    for key in map(key_of, batch.items.values_list("path", flat=True)):
        files[_last(key)].append(key)
    for item in _without_patient(batch):
        key = key_of(item.path)
        lines = named.get(_last(key), [])
        if key not in batch.patients and len(lines) == 1 and len(files[_last(key)]) == 1:
            matched += _assign(item, batch.patients[lines[0]])
    return matched


def _by_name(patients: Mapping[str, object]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for key in patients:
        found[_last(key)].append(key)
    return found


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _without_patient(batch: Batch) -> list[BatchItem]:
    """Return the files of a batch that the doctor has stated nothing about."""
    items = batch.items.filter(state__in=OPEN, is_stored=True)
    return [item for item in items if not item.entered]


@transaction.atomic
def _assign(item: BatchItem, stated: Mapping[str, str]) -> bool:
    found = BatchItem.objects.select_for_update().filter(
        pk=item.pk, state__in=OPEN, is_stored=True, changed_at=item.changed_at
    )
    fresh = found.first()
    if fresh is None:  # it is being read, or the doctor has typed something
        return False
    _enter(fresh, stated)
    return True


def _enter(item: BatchItem, fields: Mapping[str, str]) -> None:
    item.entered = {
        field: text[:MAX_LENGTH] for field in FIELDS if (text := str(fields.get(field, "")).strip())
    }
    item.changed_at = timezone.now()
    item.problem, item.attempts, item.due_at = {}, 0, None
    item.state = ItemState.WAITING if is_complete(item) else ItemState.NEEDS_DATA
    item.save()
    if item.state == ItemState.WAITING:
        running.start([item])


def is_complete(item: BatchItem) -> bool:
    """Return whether a file may be read; one that has not been decoded yet may complete itself."""
    return item.stated is None or BatchItemForm(item.entered, stated=item.stated).is_valid()
