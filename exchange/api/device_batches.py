"""The batch that takes the files of a device on a day, when nobody says whose X-rays they are."""

import hashlib

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.tokens.models import ApiToken
from diagnosis.batches import receiving
from diagnosis.batches.receiving import BatchClosedError, FullError
from diagnosis.models import Batch, BatchItem, ItemState
from exchange.api.models import DeviceBatch


def known_file(token: ApiToken, file: UploadedFile) -> BatchItem | None:
    """Return what the device has sent before with the same content, unless it was given up."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    batches = DeviceBatch.objects.filter(token=token).values("batch")
    sent = BatchItem.objects.filter(batch__in=batches, sha256=digest.hexdigest())
    sent = sent.exclude(state=ItemState.EXPIRED)
    # Its stored file is gone: what the device sends is the only copy.
    sent = sent.exclude(state=ItemState.FAILED, problem__code="lost")
    return sent.order_by("-created_at").first()


def take_file(*, token: ApiToken, user: User, file: UploadedFile) -> receiving.Received:
    """Take a file of a device into its batch of today; a full or cancelled one is followed by
    another."""
    batch = batch_of_today(token, user)
    try:
        return _add(user, batch, file)
    except (FullError, BatchClosedError):
        file.seek(0)
        return _add(user, batch_of_today(token, user, but=batch), file)


def _add(user: User, batch: Batch, file: UploadedFile) -> receiving.Received:
    assert file.file is not None  # noqa: S101 - for the type checker
    return receiving.add_file(doctor=user, batch_id=batch.pk, path=file.name or "", file=file.file)


@transaction.atomic
def batch_of_today(token: ApiToken, user: User, *, but: Batch | None = None) -> Batch:
    """Return the batch that takes the device's files now.

    Args:
        token: of the device.
        user: its account.
        but: a batch that takes none any more.
    """
    # Two files at once begin one batch.
    list(ApiToken.objects.select_for_update().filter(pk=token.pk).values_list("pk"))
    today = timezone.localdate()
    last = DeviceBatch.objects.filter(token=token, day=today).select_related("batch").last()
    if last is not None and (but is None or last.batch_id != but.pk):
        return last.batch
    batch = receiving.begin_batch(doctor=user)
    DeviceBatch.objects.create(token=token, batch=batch, day=today)
    return batch
