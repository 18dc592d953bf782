"""The process that listens, routes what arrived, and says that it is alive."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pynetdicom
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.backends.signals import connection_created
from django.db.models.functions import Now
from pynetdicom import AE
from pynetdicom import _config as network_config

from diagnosis.batches import running as batches
from exchange.incoming import commitments, handing, receiving, routing
from exchange.incoming.listener import confirming, contexts
from exchange.incoming.listener.handlers import Handlers, Writers
from exchange.incoming.listener.server import (
    MAX_PDU,
    TIMEOUT_S,
    Connection,
    Server,
    tls_context,
)
from exchange.incoming.models import Commitment, Listener, Peer

logger = logging.getLogger(__name__)

BEAT_S = 5.0
# What was left by killed processes is looked for so often.
REVIVE_S = 30.0
ROUTERS = 2
# Associations may go on for so long after the listener was told to stop.
GRACE_S = 20.0


def set_up_library() -> None:
    """Keep data sets, which name patients, out of the logs."""
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    network_config.LOG_HANDLER_LEVEL = "none"


def sync_every_commit(sender: Any, connection: Any, **_: Any) -> None:
    """Let SQLite sync each commit to disk: a machine deletes what it was told is stored."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=FULL")


class Listening:
    """A listener with its threads.

    Args:
        ae_title: the site's own AE title.
        address: where it listens; every address if empty.
        port: without TLS; 0 for none, None for any free one.
        tls_port: with TLS, if `tls` is given.
        tls: certificate, key and authority as PEM files.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        address: str = "",
        port: int | None = 0,
        tls_port: int | None = None,
        tls: tuple[str, str, str] | None = None,
    ) -> None:
        set_up_library()
        connection_created.connect(sync_every_commit, dispatch_uid=__name__)
        self.ae_title, self.address = ae_title, address
        self.stopped, self._wake = threading.Event(), threading.Event()
        self._commit = threading.Event()
        self.writers = Writers()
        self.associations = confirming.Associations()
        self.handlers = Handlers(self.writers, self._wake.set, self._asked)
        self.entity = self._entity()
        self.servers: list[Server] = []
        if port != 0:
            self._open(port or 0, None)
        if tls is not None:
            self._open(tls_port or 0, tls_context(*tls))
        self.name = f"{socket.gethostname()}-{os.getpid()}-{id(self)}"[:120]
        self._threads: list[threading.Thread] = []

    def _entity(self) -> AE:
        entity = AE(ae_title=self.ae_title)
        entity.implementation_class_uid = receiving.IMPLEMENTATION
        entity.implementation_version_name = receiving.VERSION
        entity.maximum_associations = settings.DICOM_MAX_ASSOCIATIONS
        entity.maximum_pdu_size = MAX_PDU
        entity.acse_timeout = 30
        entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
        entity.supported_contexts = contexts.accepted()
        return entity

    def _open(self, port: int, tls: Any) -> None:
        server: Any = self.entity.make_server(
            (self.address, port),
            ae_title=self.ae_title,
            ssl_context=tls,
            evt_handlers=self.handlers.bindings(),
            server_class=Server,
            request_handler=Connection,
        )
        self.entity._servers.append(server)
        self.servers.append(server)

    @property
    def ports(self) -> list[int]:
        """The ports that it listens on, that with TLS last."""
        return [server.server_address[1] for server in self.servers]

    def start(self) -> None:
        """Listen, and start the threads."""
        self._beat(is_first=True)
        works: list[tuple[str, Callable[[], float]]] = [
            ("dicom-beat", self._beat),
            ("dicom-revive", self._revive),
            ("dicom-settle", self._settle),
            ("dicom-commit", self._send_commitments),
            *((f"dicom-route-{number}", self._route) for number in range(ROUTERS)),
        ]
        for name, work in works:
            thread = threading.Thread(target=self._repeat, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        for server in self.servers:
            thread = threading.Thread(target=server.serve_forever, name="dicom-port", daemon=True)
            thread.start()

    def stop(self, *, grace: float = GRACE_S) -> None:
        """Take no new associations, let those that are open end, and stop."""
        self.handlers.is_stopping = True
        for server in list(self.servers):
            server.shutdown()
        end = time.monotonic() + grace
        while self._open_associations() and time.monotonic() < end:
            time.sleep(0.05)
        for association in self._open_associations():
            association.abort()
        self.stopped.set()
        self._wake.set()
        self._commit.set()
        for thread in self._threads:
            thread.join(timeout=30)
        self.writers.run(Listener.objects.filter(pk=self.name).delete)
        self.writers.close()

    def _open_associations(self) -> list[Any]:
        return [
            thread
            for thread in threading.enumerate()
            if isinstance(thread, pynetdicom.association.Association)
            and thread._server in self.servers
        ]

    # What the threads do; each returns the seconds until the next time -------------------------

    def _repeat(self, work: Callable[[], float]) -> None:
        try:
            while not self.stopped.is_set():
                try:
                    pause = work()
                except DatabaseError:
                    logger.exception("The listener cannot use the database; it tries again.")
                    connection.close()
                    pause = 1.0
                except Exception:
                    logger.exception("The listener goes on after an unexpected error.")
                    pause = 1.0
                close_old_connections()
                if pause:
                    self.stopped.wait(pause)
        finally:
            connection.close()

    def _beat(self, *, is_first: bool = False) -> float:
        facts: dict[str, Any] = {
            "ae_title": self.ae_title,
            "ports": ", ".join(map(str, self.ports)),
            "associations": len(self._open_associations()),
            "received": self.handlers.received,
            "seen_at": Now(),
        }
        Listener.objects.update_or_create(
            name=self.name, defaults=facts, create_defaults=facts | {"started_at": Now()}
        )
        return BEAT_S

    def _route(self) -> float:
        self._wake.clear()
        if not routing.route_waiting():
            self._wake.wait(1.0)
        return 0.0

    def _settle(self) -> float:
        handing.settle()
        return 1.0

    def _revive(self) -> float:
        batches.revive()
        return REVIVE_S

    def _send_commitments(self) -> float:
        self._commit.clear()
        for commitment in commitments.due():
            commitments.deliver(commitment, self._send)
        self._commit.wait(1.0)
        return 0.0

    def _asked(self, commitment: Commitment, association: Any) -> None:
        self.associations.add(commitment, association)
        self._commit.set()

    def _send(self, commitment: Commitment, result: commitments.Result) -> bool:
        peer = Peer.objects.filter(ae_title=commitment.calling_ae).first()
        if peer is not None and peer.host:
            return confirming.send_to(self.ae_title, peer, commitment, result)
        association = self.associations.of(commitment)
        return association is not None and confirming.send_in(association, commitment, result)
