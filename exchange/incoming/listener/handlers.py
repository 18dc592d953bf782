"""What the listener does about associations and requests."""

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StorageCommitmentPushModelInstance

from exchange.incoming import commitments, receiving
from exchange.incoming.listener import gate
from exchange.orders.worklist import handlers as worklist
from xraysite.common import metrics

logger = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
INVALID_ARGUMENT, NO_SUCH_ACTION, NO_SUCH_OBJECT = 0x0115, 0x0123, 0x0112
REQUEST_COMMITMENT = 1
# Threads that write to the database; associations wait for them.
WRITERS = 4
# A film and its header.
MARGIN = 2**20

T = TypeVar("T")


class Writers:
    """Threads with connections to the database of their own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="dicom-writer")

    def run(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Run a function in one of the threads and return its result."""
        return self._pool.submit(self._run, function, arguments, named).result()

    @staticmethod
    def _run(function: Callable[..., T], arguments: Any, named: Any) -> T:
        close_old_connections()
        try:
            return function(*arguments, **named)
        except DatabaseError:
            connection.close()
            raise

    def close(self) -> None:
        """Wait for the threads and close their connections."""
        done = threading.Barrier(WRITERS + 1, timeout=30)
        for _ in range(WRITERS):
            self._pool.submit(_close_here, done)
        with suppress(threading.BrokenBarrierError):
            done.wait()
        self._pool.shutdown()


def _close_here(done: threading.Barrier) -> None:
    connection.close()
    with suppress(threading.BrokenBarrierError):
        done.wait()


class Handlers:
    """The listener's side of every association.

    Args:
        writers: threads for the database.
        on_arrival: called whenever an X-ray has been stored.
        on_request: called with a commitment request and its association.
    """

    def __init__(
        self,
        writers: Writers,
        on_arrival: Callable[[], object],
        on_request: Callable[[Any, Any], object],
    ) -> None:
        self.writers, self.on_arrival, self.on_request = writers, on_arrival, on_request
        self.received = 0
        self.is_stopping = False
        self._lock = threading.Lock()

    def bindings(self) -> list[Any]:
        """Return the handlers for pynetdicom."""
        return [
            (evt.EVT_REQUESTED, self.requested),
            (evt.EVT_DATA_RECV, self.data_received),
            (evt.EVT_C_ECHO, self.echo),
            (evt.EVT_C_STORE, self.store),
            (evt.EVT_N_ACTION, self.commit),
            # Whoever may open an association may ask for the worklist.
            *worklist.handlers(lambda _event: True),
        ]

    def requested(self, event: Any) -> None:
        """Refuse an association that the peer may not open."""
        association = event.assoc
        asked = association.requestor.primitive
        calling, address = str(asked.calling_ae_title).strip(), association.requestor.address
        try:
            if self.is_stopping:
                raise gate.RefusedError("the listener is stopping", gate.BUSY)
            self.writers.run(
                gate.check,
                calling_ae=calling,
                called_ae=str(asked.called_ae_title).strip(),
                own_ae=association.acceptor.ae_title.strip(),
                address=address,
                certificate=gate.certificate_of(association.dul.socket.socket),
            )
        except gate.RefusedError as refused:
            logger.warning("Association of %r from %s refused: %s.", calling, address, refused)
            self._refuse(association, refused.answer)
        except DatabaseError:
            logger.exception("It cannot be looked up who may open an association.")
            self._refuse(association, gate.BUSY)

    def _refuse(self, association: Any, answer: tuple[int, int, int]) -> None:
        metrics.count(metrics.DICOM_RECEIVED, "association_refused")
        association.acse.send_reject(*answer)
        association.is_rejected = True
        association.kill()

    def data_received(self, event: Any) -> None:
        """End an association that sends more than an X-ray may have."""
        association = event.assoc
        total = getattr(association, "received_bytes", 0) + len(event.data)
        association.received_bytes = total
        if total > settings.FILM_MAX_BYTES + MARGIN:
            logger.warning(
                "%s sends an object of more than %d MB; the connection is cut.",
                association.requestor.address,
                settings.FILM_MAX_BYTES // 2**20,
            )
            metrics.count(metrics.DICOM_RECEIVED, "too_large")
            association.is_cut = True  # even if the object is complete
            with suppress(OSError):
                association.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    def echo(self, event: Any) -> int:
        """Answer C-ECHO."""
        event.assoc.received_bytes = 0
        return SUCCESS

    def store(self, event: Any) -> int:
        """Answer C-STORE: success only once the X-ray is safe."""
        event.assoc.received_bytes = 0
        try:
            status = self._store(event)
        except receiving.NoRoomError as error:
            logger.warning("X-rays are refused for now: %s", error)
            status = OUT_OF_RESOURCES
        except (OSError, DatabaseError):
            logger.exception("An X-ray from a machine cannot be stored.")
            status = OUT_OF_RESOURCES
        except Exception:
            logger.exception("An X-ray from a machine could not be taken.")
            status = OUT_OF_RESOURCES
        metrics.count(metrics.DICOM_RECEIVED, "stored" if status == SUCCESS else f"{status:04X}")
        return status

    def _store(self, event: Any) -> int:
        request, association = event.request, event.assoc
        sent = receiving.Sent(
            calling_ae=association.requestor.ae_title.strip(),
            address=association.requestor.address,
            sop_class_uid=str(request.AffectedSOPClassUID),
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            transfer_syntax=str(event.context.transfer_syntax),
            data_set=request.DataSet.getvalue(),
        )
        if not receiving.is_uid(sent.sop_instance_uid):
            return DOES_NOT_MATCH
        if self.is_stopping or getattr(association, "is_cut", False):
            return OUT_OF_RESOURCES
        self.writers.run(_checked_store, sent)
        with self._lock:
            self.received += 1
        self.on_arrival()
        return SUCCESS

    def commit(self, event: Any) -> tuple[int, Dataset | None]:
        """Answer N-ACTION: a request for storage commitment."""
        event.assoc.received_bytes = 0
        request = event.request
        if request.RequestedSOPInstanceUID != StorageCommitmentPushModelInstance:
            return NO_SUCH_OBJECT, None
        if request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        try:
            asked = event.action_information
            references = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in asked.ReferencedSOPSequence
            ]
            uid = str(asked.TransactionUID)
        except (AttributeError, TypeError, ValueError, KeyError):
            return INVALID_ARGUMENT, None
        known = all(receiving.is_uid(part) for pair in references for part in pair)
        if not known or not receiving.is_uid(uid) or len(references) > commitments.MAX_REFERENCES:
            return INVALID_ARGUMENT, None
        calling = event.assoc.requestor.ae_title.strip()
        try:
            commitment = self.writers.run(
                commitments.ask, calling_ae=calling, transaction_uid=uid, references=references
            )
        except DatabaseError:
            logger.exception("A storage commitment cannot be kept.")
            return 0x0213, None  # resource limitation
        self.on_request(commitment, event.assoc)
        return SUCCESS, None


def _checked_store(sent: receiving.Sent) -> None:
    receiving.check_room()
    receiving.store(sent)
