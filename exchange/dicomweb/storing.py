"""Storing films that arrive over STOW-RS.

With the token of a doctor, a film goes the way of a file that the doctor sends. With that of a
supervisor, who reads no films, it goes the way of one from a machine: routing rules decide.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from pydicom.dataset import Dataset

from accounts import account_limits
from accounts.audit.recording import record_event
from accounts.models import User
from accounts.tokens.services import token_of
from diagnosis.batches import receiving
from diagnosis.models import BatchItem, BatchSource, ItemState, Reading
from diagnosis.services import quotas
from diagnosis.services.films import pixels_sha256
from diagnosis.services.patients import stated_in
from diagnosis.services.teams import TeamChoice, team_for
from diagnosis.validators import NOT_NOW, validate_film_bytes
from exchange import uids
from exchange.dicomweb import audit
from exchange.dicomweb.accept import DICOM
from exchange.dicomweb.models import SentFilm
from exchange.dicomweb.parts import ReceivedPart, received
from exchange.dicomweb.searching import element
from exchange.incoming import receiving as arrivals
from exchange.incoming import routing
from mlcore.engine.films.dicom.kinds import check_kind
from mlcore.engine.films.dicom.patient import read_header
from mlcore.engine.films.dicom.pixels import check_syntax
from mlcore.engine.films.dicom.reader import parse, without_meta
from mlcore.engine.films.dicom.tags import text
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import is_dicom
from xraysite.common.background import tasks
from xraysite.common.background.tasks import background_task, enqueue
from xraysite.common.client_address import client_address
from xraysite.common.faults import fault_of

logger = logging.getLogger(__name__)

# Failure reasons (PS3.18, table 10.5.3-1, and PS3.4, B.2.3).
FAILED, DUPLICATE, NO_SUCH_CLASS, NOT_AUTHORIZED = 0x0110, 0x0111, 0x0122, 0x0124
OUT_OF_RESOURCES, NO_MATCH, NOT_UNDERSTOOD, NO_SUCH_SYNTAX = 0xA700, 0xA900, 0xC000, 0xC122
# What a file that ended so was kept out for; sent again, it is taken again.
_GONE = (ItemState.CANCELLED, ItemState.EXPIRED, ItemState.FAILED)


class _RefusedError(Exception):
    """The part is not taken, for one of the failure reasons."""

    def __init__(self, reason: int) -> None:
        super().__init__(hex(reason))
        self.reason = reason


@dataclass
class Outcome:
    """What became of a part.

    Attributes:
        sop_class, instance, study, series: its UIDs, "" as far as they are not known.
        failure: why it was not taken; None if it was, or had been before.
        syntax: its transfer syntax.
    """

    sop_class: str = ""
    instance: str = ""
    study: str = ""
    series: str = ""
    failure: int | None = None
    syntax: str = ""


Take = Callable[[bytes, Outcome], None]


@dataclass
class Receipt:
    """What became of the parts of a message."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def status(self) -> int:
        """200 if all were stored, 202 if some, 409 if none (PS3.18, table 10.5.3-1)."""
        failures = [outcome for outcome in self.outcomes if outcome.failure is not None]
        if not failures:
            return 200
        return 409 if len(failures) == len(self.outcomes) else 202

    def as_json(self, root: str) -> dict[str, Any]:
        """Return the Store Instances Response (PS3.18, 10.5.3) in DICOM JSON."""
        found: dict[str, Any] = {}
        stored = [each for each in self.outcomes if each.failure is None]
        named = [each for each in self.outcomes if each.failure is not None and each.instance]
        others = [each for each in self.outcomes if each.failure is not None and not each.instance]
        studies = {each.study for each in stored}
        if len(studies) == 1:
            found["00081190"] = element("UR", f"{root}/studies/{studies.pop()}")
        if others:
            items = [{"00081197": element("US", each.failure)} for each in others]
            found["0008119A"] = {"vr": "SQ", "Value": items}
        if named:
            items = [_reference(each) | {"00081197": element("US", each.failure)} for each in named]
            found["00081198"] = {"vr": "SQ", "Value": items}
        if stored:
            items = [_reference(each) | _address(each, root) for each in stored]
            found["00081199"] = {"vr": "SQ", "Value": items}
        return found


def _reference(outcome: Outcome) -> dict[str, Any]:
    return {
        "00081150": element("UI", outcome.sop_class),
        "00081155": element("UI", outcome.instance),
    }


def _address(outcome: Outcome, root: str) -> dict[str, Any]:
    path = f"studies/{outcome.study}/series/{outcome.series}/instances/{outcome.instance}"
    return {"00081190": element("UR", f"{root}/{path}")}


def store(*, user: User, request: HttpRequest, study: str = "") -> Receipt:
    """Take the films of a message, one at a time.

    A film that was sent or read before is not taken again, and counts as stored.

    Args:
        user: the token's: a doctor, or a supervisor.
        request: its body has not been read.
        study: the Study Instance UID that they must have, "" for any.

    Raises:
        PermissionDenied: the user is neither.
        parts.MalformedError, parts.TooManyPartsError: what precedes is stored.
    """
    receipt = Receipt()
    if user.has_perm("diagnosis.add_reading"):
        take: Take = partial(_give_to, user)
    elif user.has_perm("diagnosis.oversee_reading"):
        take = partial(_let_route, request)
    else:
        raise PermissionDenied
    try:
        for part in received(request, max_bytes=settings.FILM_MAX_BYTES):
            receipt.outcomes.append(_taken(take, part, study))
    finally:
        failures = sum(outcome.failure is not None for outcome in receipt.outcomes)
        detail = {"stored": len(receipt.outcomes) - failures, "failed": failures}
        record_event(BatchItem, what=audit.STORED, about="", detail=detail)
    return receipt


def _taken(take: Take, part: ReceivedPart, study: str) -> Outcome:
    outcome = Outcome()
    try:
        if part.file is None:
            raise _RefusedError(OUT_OF_RESOURCES)
        if part.type != DICOM:
            raise _RefusedError(NOT_UNDERSTOOD)
        data = part.file.read()
        outcome.syntax = _identify(data, outcome)
        if study and outcome.study != study:
            raise _RefusedError(NO_MATCH)
        take(data, outcome)
    except OSError as error:
        if (fault := fault_of(error)) is None:
            raise
        logger.error("%s: an X-ray sent over DICOMweb cannot be stored: %s", fault.code, error)
        outcome.failure = OUT_OF_RESOURCES
    except _RefusedError as error:
        outcome.failure = error.reason
    return outcome


def _identify(data: bytes, outcome: Outcome) -> str:
    """Find out what a file is, and refuse everything but plain radiographs.

    Returns:
        Its transfer syntax.

    Raises:
        _RefusedError: it is no DICOM file, none of an X-ray, or has no UIDs.
    """
    if not is_dicom(data):
        raise _RefusedError(NOT_UNDERSTOOD)
    limit = settings.FILM_MAX_BYTES + 2 * settings.FILM_MAX_PIXELS
    try:
        dataset = parse(data, limit, header_only=True)
    except FilmError as error:
        raise _RefusedError(NOT_UNDERSTOOD) from error
    header = read_header(dataset)
    outcome.sop_class = header.sop_class_uid or ""
    outcome.instance = header.sop_instance_uid or ""
    outcome.study = header.study_instance_uid or ""
    outcome.series = header.series_instance_uid or ""
    if not all((outcome.sop_class, outcome.instance, outcome.study, outcome.series)):
        raise _RefusedError(NO_MATCH)
    _check_class(dataset, header.modality)
    return str(dataset.file_meta.TransferSyntaxUID)


def _check_class(dataset: Dataset, modality: str | None) -> None:
    try:
        check_kind(dataset, modality)
    except FilmError as error:
        raise _RefusedError(NO_SUCH_CLASS) from error
    if not text(dataset, "Rows"):
        raise _RefusedError(NO_SUCH_CLASS)
    try:
        check_syntax(dataset)
    except FilmError as error:
        raise _RefusedError(NO_SUCH_SYNTAX) from error


def _give_to(doctor: User, data: bytes, outcome: Outcome) -> None:
    """Let a doctor read a film, unless it is known.

    Raises:
        _RefusedError: it cannot be stored now, or its UID is that of another film.
    """
    if _is_known(doctor, outcome.instance, data):
        return
    try:
        account_limits.take(account_limits.UPLOAD, doctor)
        receiving.add_machine_film(
            doctor=doctor,
            team=team_for(doctor, TeamChoice.SOLE),
            path=f"{outcome.instance}.dcm",
            data=data,
            source=BatchSource.DICOMWEB,
            then=partial(_remember, doctor, outcome.instance),
        )
    except IntegrityError:  # sent twice at the same moment, or another film under its UID
        if not _is_known(doctor, outcome.instance, data):
            raise
    except (account_limits.TooManyError, quotas.QuotaError) as error:
        raise _RefusedError(OUT_OF_RESOURCES) from error
    except PermissionDenied as error:
        raise _RefusedError(NOT_AUTHORIZED) from error


def _let_route(request: HttpRequest, data: bytes, outcome: Outcome) -> None:
    """Store a film as one from a machine, whose AE title is the token's name.

    Raises:
        _RefusedError: it cannot be stored now.
    """
    token = token_of(request)
    sent = arrivals.Sent(
        calling_ae=(token.name if token is not None else "")[:16],
        address=client_address(request) or "",
        sop_class_uid=outcome.sop_class,
        sop_instance_uid=outcome.instance,
        transfer_syntax=outcome.syntax,
        data_set=without_meta(data),
    )
    try:
        arrivals.check_room()
        arrival = arrivals.store(sent)
    except arrivals.NoRoomError as error:
        raise _RefusedError(OUT_OF_RESOURCES) from error
    enqueue(route_film, arrival_id=arrival.pk)


@background_task(_("Route an X-ray that was sent over DICOMweb"), queue=tasks.READINGS)
def route_film(context: Any, *, arrival_id: str) -> str:
    """Decide whose worklist a film goes to. A listener may do it at the same time."""
    routing.route(arrival_id)
    return "Done."


def _is_known(doctor: User, instance: str, data: bytes) -> bool:
    """Return whether the doctor has read the film, or it waits to be read.

    Raises:
        _RefusedError: another film has its UID; to say that it is stored would lose it.
    """
    made = Reading.objects.own_of(doctor).filter(uids.of_instance(instance))
    readings = list(made.only("film_sha256", "film_pixels_sha256", "film_patient"))
    sent = SentFilm.objects.filter(doctor=doctor, instance_uid=instance)
    waiting = sent.exclude(item__state__in=_GONE).exclude(item__reading__isnull=False)
    files = {reading.film_sha256 for reading in readings}
    files |= set(waiting.values_list("item__sha256", flat=True))
    if not files:
        return False
    is_repeat = hashlib.sha256(data).hexdigest() in files
    if not is_repeat and not _is_encoded_otherwise(data, readings):
        raise _RefusedError(DUPLICATE)
    return True


def _is_encoded_otherwise(data: bytes, readings: list[Reading]) -> bool:
    """Return whether a file has the pixels of a reading, and states the same about the patient.

    Raises:
        _RefusedError: it cannot be decoded now.
    """
    if not readings:
        return False
    try:
        film = validate_film_bytes(data, "").film
    except ValidationError as error:
        if error.code in NOT_NOW:
            raise _RefusedError(OUT_OF_RESOURCES) from error
        return False
    pixels, stated = pixels_sha256(film), stated_in(film.header)
    return any(
        reading.film_pixels_sha256 == pixels and (reading.film_patient or {}) == stated
        for reading in readings
    )


def _remember(doctor: User, instance: str, item: BatchItem) -> None:
    """Note which film a file is; a file of the same film that ended unread is forgotten."""
    SentFilm.objects.filter(doctor=doctor, instance_uid=instance).delete()
    SentFilm.objects.create(doctor=doctor, instance_uid=instance, item=item)
