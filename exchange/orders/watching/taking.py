"""Taking files of watched folders, once each, and what has become of them.

A file ends in a batch of its doctor, with every check that batches have. The row that says that it
was taken is stored together with it.
"""

import hashlib
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from diagnosis.batches import receiving, zip_files
from diagnosis.batches.tables import is_table
from diagnosis.batches.texts import problem_text
from diagnosis.models import IN_INBOX, MOVING, BatchItem, ItemState, Reading, Team
from diagnosis.validators import refusal_text
from exchange.orders.models import WatchedFile


class Outcome(Enum):
    """What has become of a file."""

    PENDING = "is being read"
    READ = "has been read"
    INBOX = "waits in its doctor's inbox"
    REFUSED = "was refused"


@dataclass(frozen=True)
class Verdict:
    """What has become of a file, and why it was refused, in its doctor's language."""

    outcome: Outcome
    reason: str = ""


class _TakenError(Exception):
    """Another process has just taken the same file."""


def refusal_of(name: str, data: bytes, doctor: User) -> str:
    """Return why a file is not taken at all, in its doctor's language; "" if it is."""
    with translation.override(doctor.language or settings.LANGUAGE_CODE):
        if not data:
            return refusal_text("empty", {}) or _("The file is empty.")
        if len(data) > settings.FILM_MAX_BYTES:
            return refusal_text("too_large", {"limit": settings.FILM_MAX_BYTES / 2**20})
        if is_table(name) or zip_files.is_zip(data[:8]):
            return _("A watched folder takes single X-rays only. Unpack ZIP files first.")
    return ""


def take(*, doctor: User, team: Team | None, name: str, data: bytes) -> uuid.UUID | None:
    """Take a file, unless it was taken before.

    Args:
        doctor: who is to read it.
        team: which of the doctor's teams shares the reading.
        name: the file's name with its folders, for display.
        data: its content.

    Returns:
        The file of the batch; None if the doctor has a reading of it already.

    Raises:
        PermissionDenied, quotas.QuotaError, OSError: as `receiving.add_machine_film`.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    known = _known(doctor, sha256)
    if known is not None:
        return known
    if Reading.objects.own_of(doctor).filter(film_sha256=sha256).exists():
        return None

    def note(item: BatchItem) -> None:
        if _known(doctor, sha256) is not None:
            raise _TakenError
        WatchedFile.objects.update_or_create(
            doctor=doctor, sha256=sha256, defaults={"item_id": item.pk}
        )

    try:
        item = receiving.add_machine_film(doctor=doctor, team=team, path=name, data=data, then=note)
    except _TakenError:
        return _known(doctor, sha256)
    key: uuid.UUID = item.pk
    return key


def _known(doctor: User, sha256: str) -> uuid.UUID | None:
    """Return the file of a batch that a file became, unless it has to be sent again."""
    taken = WatchedFile.objects.filter(doctor=doctor, sha256=sha256).first()
    if taken is None:
        return None
    item = BatchItem.objects.filter(pk=taken.item_id).first()
    return None if item is not None and _is_gone(item) else taken.item_id


def _is_gone(item: BatchItem) -> bool:
    """Return whether nothing is left of a file, and not because its doctor wanted it."""
    is_lost = item.state == ItemState.FAILED and item.problem.get("code") == "lost"
    return bool(item.state == ItemState.EXPIRED or is_lost)


def verdict_of(item_id: uuid.UUID, doctor: User) -> Verdict:
    """Return what has become of a file that was taken.

    One that failed for a cause that may pass is on its doctor's page, with a button to try it
    again, so it is not refused.
    """
    item: Any = BatchItem.objects.filter(pk=item_id).first()
    if item is None or item.state in (ItemState.DONE, ItemState.CANCELLED):
        return Verdict(Outcome.READ)
    if item.state in MOVING:
        return Verdict(Outcome.PENDING)
    if item.state in IN_INBOX or item.is_stored:
        return Verdict(Outcome.INBOX)
    with translation.override(doctor.language or settings.LANGUAGE_CODE):
        return Verdict(Outcome.REFUSED, problem_text(item.problem))
