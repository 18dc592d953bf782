"""Uploads that wait for their doctor's decisions: in private storage, one file each.

The file holds the film and what was typed, so that nothing has to be uploaded or typed again. It is
written atomically under the doctor and the form's id: no other doctor can reach it, and a killed
worker leaves nothing half-written. It is removed when the doctor has decided; `sweep_films` removes
what is left after `LIFETIME`.
"""

import base64
import datetime
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.utils import timezone

from diagnosis import storage
from diagnosis.film_storage import StoredFile
from diagnosis.services.films import FilmHashes, hashes_of
from diagnosis.services.patients import StatedPatient, stated_in
from diagnosis.validators import UploadedFilm, keep_inspected, validate_film_bytes
from mlcore.engine.films.film import render_film

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

LIFETIME = datetime.timedelta(hours=1)
MAX_PER_DOCTOR = 20
FOLDER = "pending"
PREVIEW_SIDE = 640


@dataclass(frozen=True)
class PendingUpload:
    """An upload that waits for its doctor's decisions.

    Attributes:
        fields: what was typed, by field of the form.
        name: the file's name, for display.
        hashes: the film's hashes; None once the film has been dropped.
        stated: what the file states about the patient.
        preview: the film as a small JPEG.
        data: the file, byte for byte; empty once it has been dropped.
    """

    fields: dict[str, str]
    name: str = ""
    hashes: FilmHashes | None = None
    stated: StatedPatient | None = None
    preview: bytes = b""
    data: bytes = b""

    @property
    def preview_url(self) -> str:
        """The preview as a `data:` URL."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.preview).decode()}"

    def uploaded_film(self) -> UploadedFilm:
        """Return the decoded film.

        Raises:
            ValidationError: it can no longer be decoded.
        """
        return validate_film_bytes(self.data, self.name)


def keep(
    *, doctor: "User", submission: uuid.UUID, upload: UploadedFilm, fields: dict[str, str]
) -> None:
    """Keep an upload until its doctor has decided, replacing one of the same form.

    At most `MAX_PER_DOCTOR` uploads are kept; the oldest are removed.
    """
    pending = PendingUpload(
        fields=fields,
        name=upload.name,
        hashes=hashes_of(upload.film),
        stated=stated_in(upload.film.header),
        preview=render_film(upload.film, max_side=PREVIEW_SIDE),
        data=upload.data,
    )
    _write(doctor, submission, pending)
    keep_inspected(upload.film)
    mine = storage.films().files(f"{FOLDER}/{doctor.pk}")
    kept = sorted(mine, key=lambda file: file.written, reverse=True)
    storage.remove([file.name for file in kept[MAX_PER_DOCTOR:]])


def find(doctor: "User", submission: uuid.UUID) -> PendingUpload | None:
    """Return the doctor's upload, or None if it does not exist or is older than `LIFETIME`."""
    name = storage.pending_name(doctor.pk, submission)
    file = storage.films().find(name)
    content = None if file is None or _is_old(file) else storage.read(name)
    return None if content is None else _decoded(content)


def correct(doctor: "User", submission: uuid.UUID, changes: dict[str, str]) -> None:
    """Change some of what was typed."""
    pending = find(doctor, submission)
    if pending is not None:
        _write(doctor, submission, replace(pending, fields=pending.fields | changes))


def drop_film(doctor: "User", submission: uuid.UUID) -> None:
    """Remove the film of an upload and keep what was typed, for the form to show it again."""
    pending = find(doctor, submission)
    if pending is not None:
        _write(doctor, submission, PendingUpload(fields=pending.fields))


def remove(doctor: "User", submission: uuid.UUID) -> None:
    """Remove an upload with everything that was kept of it.

    If that fails, the reading is stored all the same, and `sweep_films` removes the upload later.
    """
    try:
        storage.remove([storage.pending_name(doctor.pk, submission)])
    except OSError as error:
        logger.warning("An upload that was decided cannot be removed yet: %s", error)


def expired() -> Iterator[StoredFile]:
    """Yield the files of uploads that nobody decided in time."""
    for folder in storage.films().folders(FOLDER):
        for file in storage.films().files(folder):
            if _is_old(file):
                yield file


def _is_old(file: StoredFile) -> bool:
    return file.written < (timezone.now() - LIFETIME).timestamp()


def _write(doctor: "User", submission: uuid.UUID, pending: PendingUpload) -> None:
    name = storage.pending_name(doctor.pk, submission)
    storage.keep(name, _encoded(pending))


def _encoded(pending: PendingUpload) -> bytes:
    """Return one line of JSON with everything but the film, then the film."""
    hashes = pending.hashes
    head = {
        "fields": pending.fields,
        "name": pending.name,
        "hashes": [hashes.file, hashes.pixels] if hashes else None,
        "stated": pending.stated,
        "preview": base64.b64encode(pending.preview).decode(),
    }
    return json.dumps(head).encode() + b"\n" + pending.data


def _decoded(content: bytes) -> PendingUpload:
    line, _, data = content.partition(b"\n")
    head = json.loads(line)
    upload = PendingUpload(
        fields=head["fields"],
        name=head["name"],
        stated=head["stated"],
        preview=base64.b64decode(head["preview"]),
        data=data,
    )
    return replace(upload, hashes=FilmHashes(*head["hashes"])) if head["hashes"] else upload
