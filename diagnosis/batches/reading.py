"""Making a reading of a file of a batch, by the same service and rules as a single upload.

A worker claims the file, reads it, and notes what became of it. If the worker is killed, another
one claims the file after `ABANDONED`; the reading has the file's id, so it is made once.
"""

import contextvars
import datetime
import logging
import uuid
from collections.abc import Mapping
from typing import Any

from auditlog.context import set_actor
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from diagnosis import storage
from diagnosis.forms.readings import BatchItemForm
from diagnosis.models import BatchItem, ItemState, Reading, Team
from diagnosis.services.conflicts import Conflicts, UndecidedError
from diagnosis.services.patients import stated_in
from diagnosis.services.readings import SubmissionTakenError, submit_reading
from diagnosis.services.teams import teams_of
from diagnosis.validators import NOT_NOW, UploadedFilm, validate_film_bytes
from mlcore.inference import FilmError, ModelUnavailable
from xraysite.common.decoders.turns import in_background
from xraysite.common.faults import fault_of

logger = logging.getLogger(__name__)

# Longer than the decoder and the network may take together.
ABANDONED = datetime.timedelta(minutes=2)
MAX_ATTEMPTS = 5
DELAYS = [datetime.timedelta(minutes=minutes) for minutes in (1, 2, 5, 15)]


class _NotNowError(Exception):
    """The file cannot be read for a cause that may pass, such as a full disk."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.problem = {"code": code, "params": params}


class _RefusedError(Exception):
    """The file will not be read.

    Attributes:
        keeps_film: whether it may be read after somebody has changed something.
    """

    def __init__(
        self, code: str, params: Mapping[str, object] | None = None, *, keeps_film: bool = False
    ) -> None:
        super().__init__(code)
        self.problem = {"code": code, "params": dict(params or {})}
        self.keeps_film = keeps_film


class _WaitsError(Exception):
    """The doctor has to state or decide something first."""

    def __init__(self, state: ItemState, **problem: object) -> None:
        super().__init__(state)
        self.state, self.problem = state, problem


def read_item(*, item_id: uuid.UUID | str, worker: str) -> datetime.timedelta | None:
    """Read a file of a batch, unless it was read, is being read, or must not be.

    Args:
        item_id: the file.
        worker: who reads it, such as the id of a task.

    Returns:
        After which time it should be tried again, or None.
    """
    item = _claim(item_id, worker)
    if item is None:
        return None
    # In a context of its own: the account that acts is not that of a request around it.
    return contextvars.copy_context().run(_read_claimed, item)


def _claim(item_id: uuid.UUID | str, worker: str) -> BatchItem | None:
    """Reserve the file for this worker; None if it is not to be read."""
    now = timezone.now()
    is_due = Q(state=ItemState.WAITING) & (Q(due_at__isnull=True) | Q(due_at__lte=now))
    # The worker died while it read the file: it is this very task, or it has been for long.
    is_left = Q(state=ItemState.READING) & (
        Q(claimed_by=worker) | Q(claimed_at__lt=now - ABANDONED)
    )
    changes = {"state": ItemState.READING, "claimed_by": worker, "claimed_at": now}
    claimed = BatchItem.objects.filter(is_due | is_left, pk=item_id).update(
        **changes, attempts=F("attempts") + 1, changed_at=now
    )
    if not claimed:
        return None
    return BatchItem.objects.select_related("batch__team", "doctor").get(pk=item_id)


def _read_claimed(item: BatchItem) -> datetime.timedelta | None:
    try:
        with set_actor(item.doctor), in_background():
            reading = _read(item)
    except _NotNowError as error:
        return _later(item, error.problem)
    except _RefusedError as error:
        _end(item, ItemState.FAILED, error.problem, keeps_film=error.keeps_film)
    except _WaitsError as error:
        is_open = error.state != ItemState.CANCELLED
        _end(item, error.state, error.problem, keeps_film=is_open)
    except Exception:
        logger.exception("A file of a batch could not be read.")
        return _later(item, {"code": "unexpected", "params": {}})
    else:
        settle(item, reading)
    return None


def _read(item: BatchItem) -> Reading:
    made = Reading.objects.filter(pk=item.pk).first()
    if made is not None:  # by a worker that was killed before it could say so
        return made
    if item.attempts > MAX_ATTEMPTS:
        raise _RefusedError("stopped", keeps_film=True)
    if item.batch.cancelled_at is not None:
        raise _WaitsError(ItemState.CANCELLED)
    try:
        upload = _decoded(item)
        _note(item, upload)
        form = BatchItemForm(item.entered, stated=item.stated or {})
        if not form.is_valid():
            raise _WaitsError(ItemState.NEEDS_DATA)
        return submit_reading(
            doctor=item.doctor,
            upload=upload,
            patient=form.patient_details(),
            submission=item.pk,
            team=team_of(item),
        )
    except UndecidedError as error:
        raise _WaitsError(ItemState.UNDECIDED, **_facts(error.conflicts)) from error
    except SubmissionTakenError as error:
        raise _RefusedError("taken") from error
    except PermissionDenied as error:
        raise _RefusedError("account", keeps_film=True) from error
    except ModelUnavailable as error:
        raise _NotNowError("model", model=error.code) from error
    except OSError as error:
        if (fault := fault_of(error)) is None:
            raise
        logger.error("%s: an X-ray of a batch cannot be stored: %s", fault.code, error)
        raise _NotNowError("storage") from error


def team_of(item: BatchItem) -> Team | None:
    """Return the team that shares the reading, if its doctor is still a member of it."""
    team_id = item.batch.team_id
    return teams_of(item.doctor).filter(pk=team_id).first() if team_id else None


def _decoded(item: BatchItem) -> UploadedFilm:
    """Return the decoded film.

    Raises:
        _RefusedError: it is not a readable film, or has been lost.
        _NotNowError: it cannot be decoded at the moment.
    """
    data = storage.read(storage.batch_name(item.doctor_id, item.pk))
    if data is None:
        raise _RefusedError("lost")
    try:
        return validate_film_bytes(data, item.path)
    except ValidationError as error:
        if error.code in NOT_NOW:
            raise _NotNowError(str(error.code)) from error
        # Of the cause, whose values are not translated yet: who sees them may use any language.
        cause = error.__cause__
        detail = cause.detail if isinstance(cause, FilmError) else {}
        raise _RefusedError(str(error.code), detail) from error


def _note(item: BatchItem, upload: UploadedFilm) -> None:
    """Keep what the file states, for the table."""
    item.stated, item.film_format = stated_in(upload.film.header), upload.film.format
    facts = {"stated": item.stated, "film_format": item.film_format}
    BatchItem.objects.filter(pk=item.pk).update(**facts)


def _facts(conflicts: Conflicts) -> dict[str, Any]:
    """Return what has to be decided, for the table; the page that asks finds it out again."""
    return {
        "code": "undecided",
        "params": {
            "fields": [each.field for each in conflicts.differences],
            "earlier": [str(each.pk) for each in conflicts.earlier],
            "is_number_known": bool(conflicts.same_number),
            "is_number_doubtful": bool(conflicts.doubtful),
        },
    }


def settle(item: BatchItem, reading: Reading) -> None:
    """Note that a file has become a reading, which now has everything that was kept of it."""
    with transaction.atomic():
        BatchItem.objects.filter(pk=item.pk).update(
            state=ItemState.DONE,
            reading=reading,
            entered={},
            stated={},
            problem={},
            is_stored=False,
            changed_at=timezone.now(),
        )
    remove_film(item)


def _end(item: BatchItem, state: ItemState, problem: object, *, keeps_film: bool) -> None:
    BatchItem.objects.filter(pk=item.pk, state=ItemState.READING).update(
        state=state, problem=problem, is_stored=keeps_film, changed_at=timezone.now()
    )
    if not keeps_film:
        remove_film(item)


def _later(item: BatchItem, problem: object) -> datetime.timedelta | None:
    """Let the file wait for its next try; after the last one, give it up."""
    if item.attempts >= MAX_ATTEMPTS:
        _end(item, ItemState.FAILED, problem, keeps_film=True)
        return None
    after, now = DELAYS[min(item.attempts, len(DELAYS)) - 1], timezone.now()
    BatchItem.objects.filter(pk=item.pk, state=ItemState.READING).update(
        state=ItemState.WAITING, problem=problem, due_at=now + after, changed_at=now
    )
    return after


def remove_film(item: BatchItem) -> None:
    """Remove the file that waited; if that fails, `sweep_films` does it later."""
    try:
        storage.remove([storage.batch_name(item.doctor_id, item.pk)])
    except OSError as error:
        logger.warning("A file of a batch cannot be removed yet: %s", error)
