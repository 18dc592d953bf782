"""Batches for tests of many pages."""

import io

from django.urls import reverse

from accounts.models import User
from diagnosis.batches import reading, receiving
from diagnosis.models import BatchItem
from tests.films import encode, synthetic_film

WITHOUT_ARGUMENTS = {
    "readings:batches", "readings:new_batch", "readings:inbox", "readings:batch_patients",
    "readings:batch_template",
}  # fmt: skip


def file_that_needs_data(doctor: User) -> BatchItem:
    """Return a file of a doctor's batch that waits for patient data."""
    found = BatchItem.objects.filter(doctor=doctor).first()
    if found is None:
        batch = receiving.begin_batch(doctor=doctor)
        film = encode(synthetic_film("NORMAL", seed=5, size=200), "png")
        receiving.add_file(
            doctor=doctor, batch_id=batch.pk, path="films/5.png", file=io.BytesIO(film)
        )
        found = BatchItem.objects.get(doctor=doctor)
        reading.read_item(item_id=found.pk, worker="test")
        found.refresh_from_db()
    return found


def address_of(name: str, doctor: User) -> str:
    """Return the URL of a page of batches."""
    if name in WITHOUT_ARGUMENTS:
        return reverse(name)
    item = file_that_needs_data(doctor)
    if name == "readings:batch_film":
        return reverse(name, args=[item.pk])
    if name == "readings:batch_item":
        return reverse(name, args=[item.pk, "retry"])
    return reverse(name, args=[item.batch_id])
