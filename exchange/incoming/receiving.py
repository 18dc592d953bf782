"""Taking an X-ray from a machine: when `store` returns, it is safe.

The file is synced to disk before it gets its name, and its row is committed after that. Nothing is
decoded: that happens in `routing`.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cached_property

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from accounts.audit import recording
from diagnosis import storage
from diagnosis.film_storage import folder_of
from exchange.incoming.models import Arrival, ArrivalState
from exchange.incoming.models.arrival import FOLDER

# Made from a random UUID, as PS3.5 B.2 allows; it names this implementation for ever.
IMPLEMENTATION = UID("2.25.251563908422171546894527017334823441073")
VERSION = "XRAYSITE"
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


class NoRoomError(Exception):
    """Raised when X-rays cannot be taken now: the disk or the queue is full."""


@dataclass(frozen=True)
class Sent:
    """An X-ray as a machine sent it.

    Attributes:
        data_set: encoded in `transfer_syntax`, without file meta information.
    """

    calling_ae: str
    address: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    data_set: bytes

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the data set and its transfer syntax."""
        digest = hashlib.sha256(f"{self.transfer_syntax}:".encode())
        digest.update(self.data_set)
        return digest.hexdigest()

    def as_file(self) -> bytes:
        """Return the X-ray as a DICOM file (PS3.10)."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(self.sop_class_uid)
        meta.MediaStorageSOPInstanceUID = UID(self.sop_instance_uid)
        meta.TransferSyntaxUID = UID(self.transfer_syntax)
        meta.ImplementationClassUID = IMPLEMENTATION
        meta.ImplementationVersionName = VERSION
        buffer = DicomBytesIO()
        buffer.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(buffer, meta, enforce_standard=True)
        buffer.write(self.data_set)
        return bytes(buffer.getvalue())


def is_uid(text: str) -> bool:
    """Return whether a text is a UID."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def check_room() -> None:
    """Check that the disk and the queue have room.

    Raises:
        NoRoomError: one of them has not.
    """
    folder = folder_of(storage.films())
    if folder is not None:
        while not folder.exists():
            folder = folder.parent
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize < settings.MIN_FREE_BYTES:
            raise NoRoomError("The disk of the X-rays is nearly full.")
    limit = settings.DICOM_MAX_WAITING
    waiting = Arrival.objects.filter(state=ArrivalState.RECEIVED).order_by()
    if waiting[:limit].count() >= limit:
        raise NoRoomError(f"{limit} X-rays wait to be routed.")


def store(sent: Sent) -> Arrival:
    """Store an X-ray, and let it be routed. The same X-ray, sent again, is stored once.

    Raises:
        OSError: the file cannot be stored.
        django.db.DatabaseError: its row cannot be stored.
    """
    known = _again(sent)
    if known is not None:
        return known
    arrival = Arrival(
        calling_ae=sent.calling_ae,
        address=sent.address,
        sop_instance_uid=sent.sop_instance_uid,
        sop_class_uid=sent.sop_class_uid,
        transfer_syntax=sent.transfer_syntax,
        sha256=sent.sha256,
    )
    try:
        _store(arrival, sent)
    except IntegrityError:  # sent twice at the same moment
        known = _again(sent)
        if known is None:
            raise
        return known
    return arrival


def _again(sent: Sent) -> Arrival | None:
    """Count a repeat, and return what is known of the X-ray; None if it is not safe here."""
    same = Arrival.objects.filter(sop_instance_uid=sent.sop_instance_uid, sha256=sent.sha256)
    known = same.first()
    if known is None:
        return None
    if known.state != ArrivalState.READ and not _is_kept(known):
        _store(known, sent)  # kept out and deleted since, or lost
    else:
        same.update(times=F("times") + 1, last_at=timezone.now())
    return known


def _is_kept(arrival: Arrival) -> bool:
    return arrival.is_stored and storage.films().find(arrival.storage_name) is not None


def _store(arrival: Arrival, sent: Sent) -> None:
    content = sent.as_file()
    with storage.staged({arrival.storage_name: content}) as place, transaction.atomic():
        is_new = arrival._state.adding
        if not is_new:
            arrival.refresh_from_db(from_queryset=Arrival.objects.select_for_update())
            arrival.times += 1
        if is_new or arrival.state in (ArrivalState.KEPT_OUT, ArrivalState.WAITING):
            arrival.state, arrival.reason = ArrivalState.RECEIVED, {}
            arrival.attempts, arrival.due_at, arrival.claimed_at = 0, None, None
        arrival.size, arrival.is_stored = len(content), True
        arrival.last_at = arrival.changed_at = timezone.now()
        arrival.save()
        changes = {
            "calling_ae": [None, sent.calling_ae],
            "address": [None, sent.address],
            "sop_instance_uid": [None, sent.sop_instance_uid],
        }
        recording.record_change(arrival, what="dicom-received", changes=changes)
        place()
        _sync_folder()


def _sync_folder() -> None:
    """Make sure that the file has its name after a power failure, too."""
    root = folder_of(storage.films())
    if root is None:
        return
    descriptor = os.open(root / FOLDER, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
