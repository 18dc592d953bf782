"""What happens to the header that is kept of a film when its reading is made or corrected."""

from typing import Any

from django.db import transaction
from django.db.models.signals import post_save

from diagnosis.models import Reading

NAMED_BY = {"patient_name", "header_disowned"}


def connect() -> None:
    """Connect the receivers."""
    post_save.connect(_follow, sender=Reading, dispatch_uid="dicomweb-headers")


def _follow(instance: Reading, created: bool, raw: bool, **kwargs: Any) -> None:
    fields = kwargs.get("update_fields")
    if raw or instance.film_format != "DICOM":
        return
    from exchange.dicomweb import headers  # loads pydicom, which most processes never need

    if created:
        transaction.on_commit(lambda: headers.keep_safely(instance), robust=True)
    elif fields is None or NAMED_BY & set(fields):
        headers.follow_name(instance)
