"""What a DICOM listener binds to answer for the worklist."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from django.db import DatabaseError, close_old_connections, connections
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)

from exchange.orders.worklist import queries, steps
from exchange.orders.worklist.queries import Found, InvalidQueryError, Peer

logger = logging.getLogger(__name__)

# The library would write queries and answers, with names, into the log.
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False

# What an application entity has to offer for it.
CONTEXTS: tuple[UID, ...] = (ModalityWorklistInformationFind, ModalityPerformedProcedureStep)

PENDING, PENDING_IGNORED = 0xFF00, 0xFF01
SUCCESS, CANCELLED, NOT_AUTHORISED = 0x0000, 0xFE00, 0x0124
OUT_OF_RESOURCES, BAD_IDENTIFIER, FAILED = 0xA700, 0xA900, 0xC001
STEP_FAILED, STEP_NOT_AUTHORISED = 0x0110, 0x0124

# Whether the requestor of an event may ask for the worklist and report on it.
MayQuery = Callable[[Any], bool]
Answer = tuple[int | Dataset, Dataset | None]


def handlers(may_query: MayQuery) -> list[tuple[Any, ...]]:
    """Return the handlers of a listener, for `pynetdicom.AE.start_server(evt_handlers=...)`.

    Args:
        may_query: whether the requestor of an event, which may be any that the listener accepts
            associations of, may ask for the worklist.

    Example:
        `for each in CONTEXTS: entity.add_supported_context(each)`
    """
    return [
        (evt.EVT_C_FIND, handle_find, [may_query]),
        (evt.EVT_N_CREATE, handle_create, [may_query]),
        (evt.EVT_N_SET, handle_set, [may_query]),
    ]


def peer_of(event: Any) -> Peer:
    """Return who sent a request."""
    requestor = event.assoc.requestor
    return Peer(str(requestor.ae_title).strip(), str(requestor.address))


def handle_find(event: Any, may_query: MayQuery) -> Iterator[Answer]:
    """Answer a C-FIND request; see `queries.find`."""
    if event.request.AffectedSOPClassUID != ModalityWorklistInformationFind:
        yield _status(0x0122, "Only the modality worklist can be queried."), None
        return
    outcome = _found(event, may_query)
    if not isinstance(outcome, Found):
        yield outcome, None
        return
    pending = PENDING_IGNORED if outcome.ignored else PENDING
    for answer in outcome.answers:
        if event.is_cancelled:
            yield CANCELLED, None
            return
        yield pending, answer
    if outcome.is_cut:
        text = f"More than {queries.MAX_ANSWERS} matches: narrow the query."
        yield _status(OUT_OF_RESOURCES, text), None


def _found(event: Any, may_query: MayQuery) -> Found | Dataset:
    """Return what is found, or the status of the refusal."""
    peer = peer_of(event)
    try:
        _prepare()
        if not may_query(event):
            queries.refuse(peer)
            return _status(NOT_AUTHORISED, "This AE may not query the worklist.")
        try:
            query = event.identifier
        except Exception:
            logger.exception("A query of the worklist cannot be decoded.")
            return _status(BAD_IDENTIFIER, "The identifier cannot be decoded.")
        found = queries.find(query, peer)
    except InvalidQueryError as error:
        return _status(BAD_IDENTIFIER, str(error))
    except DatabaseError:
        logger.exception("A query of the worklist cannot be answered.")
        return _status(FAILED, "The worklist is not available at the moment.")
    finally:
        _release()
    logger.info("The worklist was queried: %s orders.", len(found.answers))
    return found


def handle_create(event: Any, may_query: MayQuery) -> Answer:
    """Answer an N-CREATE request: a machine has begun."""
    uid = str(event.request.AffectedSOPInstanceUID or "")
    return _reported(event, may_query, uid, is_new=True)


def handle_set(event: Any, may_query: MayQuery) -> Answer:
    """Answer an N-SET request: a machine has completed or discontinued a step."""
    uid = str(event.request.RequestedSOPInstanceUID or "")
    return _reported(event, may_query, uid, is_new=False)


def _reported(event: Any, may_query: MayQuery, uid: str, *, is_new: bool) -> Answer:
    peer = peer_of(event)
    try:
        _prepare()
        if not may_query(event):
            queries.refuse(peer)
            return _status(STEP_NOT_AUTHORISED, "This AE may not report on the worklist."), None
        if is_new:
            report = event.attribute_list
            step = steps.begin_step(uid=uid, report=report, peer=peer)
        else:
            report = event.modification_list
            step = steps.change_step(uid=uid, report=report, peer=peer)
    except steps.StepError as error:
        return _status(error.status, str(error)), None
    except DatabaseError:
        logger.exception("A report of a machine cannot be stored.")
        return _status(STEP_FAILED, "It cannot be stored at the moment."), None
    finally:
        _release()
    report.SOPClassUID, report.SOPInstanceUID = ModalityPerformedProcedureStep, step.uid
    return SUCCESS, report


def _status(code: int, comment: str) -> Dataset:
    status = Dataset()
    status.Status, status.ErrorComment = code, comment[:64]
    return status


def _is_in_thread() -> bool:
    """Return whether this is an association's thread, which has connections of its own."""
    return threading.current_thread() is not threading.main_thread()


def _prepare() -> None:
    """Drop connections that have been broken since the last request of the association."""
    if _is_in_thread():
        close_old_connections()


def _release() -> None:
    """Close the connections: the thread may end or wait for hours."""
    if _is_in_thread():
        connections.close_all()
