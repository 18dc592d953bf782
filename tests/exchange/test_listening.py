"""The listener on the network, with pynetdicom as the machine."""

import datetime
import gc
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from diagnosis import storage
from diagnosis.models import Reading
from exchange.incoming import receiving
from exchange.incoming.listener import handlers
from exchange.incoming.listener.running import Listening
from exchange.incoming.models import Arrival, ArrivalState, Commitment, Listener, Peer, RoutingRule
from tests.exchange.machines import AE as VAN
from tests.exchange.machines import data_set, film, sent

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # pynetdicom leaves the machine's sockets to the garbage collector if the peer closed first.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SITE = "XRAYSITE"
OUT_OF_RESOURCES = 0xA700


@contextmanager
def listening(**options: Any) -> Iterator[Listening]:
    """Listen on a free port of loopback."""
    options = {"ae_title": SITE, "address": "127.0.0.1", "port": None} | options
    process = Listening(**options)
    process.start()
    try:
        yield process
    finally:
        process.stop(grace=1)
        gc.collect()


@pytest.fixture
def van(db) -> Peer:
    return Peer.objects.create(ae_title=VAN, networks="127.0.0.0/8")


def associate(
    process: Listening,
    *,
    calling: str = VAN,
    called: str = SITE,
    port: int = 0,
    contexts: tuple[Any, ...] = (Verification, DigitalXRayImageStorageForPresentation),
    syntaxes: list[Any] | None = None,
    **options: Any,
) -> Any:
    machine = AE(ae_title=calling)
    machine.acse_timeout = machine.dimse_timeout = machine.network_timeout = 10
    for context in contexts:
        machine.add_requested_context(context, syntaxes)
    place = ("127.0.0.1", process.ports[port])
    return machine.associate(*place, ae_title=called, **options)


def until(found: Callable[[], Any], *, seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


def test_a_film_is_on_the_doctors_worklist_within_two_seconds(van, lenient_model, doctor, settings):
    settings.BATCH_THREAD = True
    RoutingRule.objects.create(name="all", doctor=doctor)
    with listening() as process:
        association = associate(process)
        assert association.send_c_echo().Status == 0
        assert association.send_c_store(data_set(film(1))).Status == 0
        until(lambda: Reading.objects.worklist_of(doctor).exists())  # the decoders start
        for number in (2, 3):
            began = time.monotonic()
            assert association.send_c_store(data_set(film(number))).Status == 0
            until(lambda n=number: Reading.objects.worklist_of(doctor).count() == n)
            assert time.monotonic() - began < 2
        assert association.send_c_store(data_set(film(1))).Status == 0  # a repeat
        association.release()
        until(lambda: not Arrival.objects.exclude(state=ArrivalState.READ).exists())
        beat = Listener.objects.get()
        assert (beat.ae_title, beat.ports) == (SITE, str(process.ports[0]))
    assert not Listener.objects.exists()  # it stopped in order
    assert Reading.objects.count() == Arrival.objects.count() == 3


def test_only_known_machines_may_send(van):
    Peer.objects.create(ae_title="ELSEWHERE", networks="192.0.2.0/24, 2001:db8::/32")
    Peer.objects.create(ae_title="STOPPED", is_active=False)
    Peer.objects.create(ae_title="TLS", needs_tls=True)
    with listening() as process:
        for calling in ("STRANGER", "ELSEWHERE", "STOPPED", "TLS"):
            refused = associate(process, calling=calling)
            assert refused.is_rejected
            answer = refused.acceptor.primitive
            assert (answer.result, answer.diagnostic) == (1, 3)
        refused = associate(process, called="ANOTHER")
        assert refused.is_rejected
        assert refused.acceptor.primitive.diagnostic == 7
        accepted = associate(process, contexts=(Verification, CTImageStorage))
        assert [each.abstract_syntax for each in accepted.accepted_contexts] == [Verification]
        accepted.release()
    assert not Arrival.objects.exists()


def test_success_is_not_sent_before_the_film_is_safe(van, monkeypatch, settings):
    """A full disk, a full queue, a broken database: the machine keeps the film, and sends again."""
    contents = iter([OSError(28, "No space left"), receiving.NoRoomError("full"), ValueError("?")])

    def fails(sent: Any) -> None:
        raise next(contents)

    with listening() as process:
        association = associate(process)
        with monkeypatch.context() as broken:
            broken.setattr(handlers, "_checked_store", fails)
            for _ in range(3):
                status = association.send_c_store(data_set(film()))
                assert status.Status == OUT_OF_RESOURCES
        settings.DICOM_MAX_WAITING = 1
        process.stopped.set()  # nothing is routed any more
        assert association.send_c_store(data_set(film(1))).Status == 0
        Arrival.objects.update(state=ArrivalState.RECEIVED)
        assert association.send_c_store(data_set(film(2))).Status == OUT_OF_RESOURCES
        association.release()
    assert Arrival.objects.count() == 1


def test_a_broken_association_loses_nothing_that_was_confirmed(van):
    with listening() as process:
        association = associate(process)
        assert association.send_c_store(data_set(film(1))).Status == 0
        association.abort()
        # In the middle of an object.
        association = associate(process)
        raw = association.dul.socket.socket
        raw.sendall(b"\x04\0" + (60_000).to_bytes(4, "big") + b"\0" * 1000)
        raw.close()
        association.kill()
        association = associate(process)
        assert association.send_c_store(data_set(film(1))).Status == 0
        assert association.send_c_store(data_set(film(2))).Status == 0
        association.release()
    assert sorted(Arrival.objects.values_list("sop_instance_uid", "times")) == [
        ("1.2.3.1", 2), ("1.2.3.2", 1),
    ]  # fmt: skip


def test_what_is_too_large_is_cut_off(van, settings):
    settings.FILM_MAX_BYTES = 10_000
    with listening() as process:
        handlers_margin = handlers.MARGIN
        handlers.MARGIN = 0
        try:
            association = associate(process)
            status = association.send_c_store(data_set(film(size=256)))
            assert "Status" not in status
        finally:
            handlers.MARGIN = handlers_margin
        with socket.create_connection(("127.0.0.1", process.ports[0]), timeout=5) as raw:
            raw.sendall(b"\x01\0" + (2**31).to_bytes(4, "big") + b"\0" * 100)
            assert raw.recv(1) == b""  # closed at once, not after 2 GB
        assert associate(process).is_established
    assert not Arrival.objects.exists()


def test_a_connection_that_says_nothing_stops_nobody(van, tmp_path):
    tls = certificates(tmp_path)
    with (
        listening(tls_port=0, tls=tls.server) as process,
        socket.create_connection(("127.0.0.1", process.ports[1])),
        socket.create_connection(("127.0.0.1", process.ports[0])),
    ):
        association = associate(process, port=1, tls_args=(tls.context(), "localhost"))
        assert association.is_established
        association.release()


def test_tls_needs_a_certificate_of_the_authority(van, tmp_path):
    tls = certificates(tmp_path)
    van.needs_tls, van.certificate = True, tls.fingerprint.upper()
    van.save()
    Peer.objects.create(ae_title="OTHER", needs_tls=True, certificate="0" * 64)
    with listening(tls_port=0, tls=tls.server) as process:
        assert associate(process).is_rejected  # without TLS
        secure = {"port": 1, "tls_args": (tls.context(), "localhost")}
        association = associate(process, **secure)
        assert association.send_c_store(data_set(film())).Status == 0
        association.release()
        assert associate(process, calling="OTHER", **secure).is_rejected
        anonymous = (tls.context(with_certificate=False), "localhost")
        assert not associate(process, port=1, tls_args=anonymous).is_established
    assert Arrival.objects.count() == 1


@pytest.mark.parametrize("calls_back", [False, True])
def test_storage_commitment(van, calls_back):
    reports: list[tuple[int, Dataset]] = []

    def reported(event: evt.Event) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0, None

    machine = AE(ae_title=VAN)
    machine.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    bound = [(evt.EVT_N_EVENT_REPORT, reported)]
    server = machine.start_server(("127.0.0.1", 0), block=False, evt_handlers=bound)
    if calls_back:
        van.host, van.port = "127.0.0.1", server.server_address[1]
        van.save()
    services = (StorageCommitmentPushModel, DigitalXRayImageStorageForPresentation)
    with listening() as process:
        association = associate(process, contexts=services, evt_handlers=bound)
        stored = data_set(film())
        assert association.send_c_store(stored).Status == 0
        status, _reply = association.send_n_action(
            request_for(stored),
            1,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        assert status.Status == 0
        until(lambda: reports)
        until(lambda: Commitment.objects.filter(sent_at__isnull=False).exists())
        incomplete = Dataset()
        incomplete.TransactionUID = "1.2.3.10"
        wrong, _reply = association.send_n_action(
            incomplete, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        assert wrong.Status == handlers.INVALID_ARGUMENT
        association.release()
    server.shutdown()
    kind, report = reports[0]
    assert kind == 2  # one of them is unknown
    assert report.TransactionUID == "1.2.3.9"
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == ["1.2.3.1"]
    assert [item.FailureReason for item in report.FailedSOPSequence] == [0x0112]
    assert Arrival.objects.get().committed_at is not None


def request_for(sent: Dataset) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = "1.2.3.9"
    asked.ReferencedSOPSequence = []
    for uid in (sent.SOPInstanceUID, "1.2.3.77"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sent.SOPClassUID, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


def test_four_machines_at_once(van):
    def send(first: int) -> None:
        association = associate(process)
        for number in range(first, first + 5):
            if association.send_c_store(data_set(film(number))).Status == 0:
                confirmed.add(f"1.2.3.{number}")
        association.release()

    confirmed: set[str] = set()
    with listening() as process:
        threads = [threading.Thread(target=send, args=(10 * n,)) for n in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(confirmed) == 20
    assert set(Arrival.objects.values_list("sop_instance_uid", flat=True)) == confirmed


class certificates:  # noqa: N801 - reads like a function
    """An authority, a listener's and a machine's certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority, key = self._issue("authority", None, None)
        self._issue("server", authority, key)
        machine, _key = self._issue("machine", authority, key)
        self.fingerprint = machine.fingerprint(hashes.SHA256()).hex()
        paths = [str(folder / name) for name in ("server.pem", "server.key", "authority.pem")]
        self.server = (paths[0], paths[1], paths[2])

    def _issue(self, name: str, issuer: Any, issuer_key: Any) -> tuple[Any, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(issuer_key or key, hashes.SHA256())
        )
        pem, encoding = certificate.public_bytes, serialization.Encoding.PEM
        (self.folder / f"{name}.pem").write_bytes(pem(encoding))
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                encoding,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, key

    def context(self, *, with_certificate: bool = True) -> Any:
        context = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        if with_certificate:
            context.load_cert_chain(self.folder / "machine.pem", self.folder / "machine.key")
        return context


def test_data_sets_are_stored_as_they_were_sent(van):
    """Whatever pynetdicom or the machine thinks of it."""
    with listening() as process:
        association = associate(process, syntaxes=[ExplicitVRLittleEndian])
        assert association.send_c_store(data_set(film())).Status == 0
        association.release()
    content = storage.read(Arrival.objects.get().storage_name)
    assert content is not None
    assert content.endswith(sent(film()).data_set)
    assert io.BytesIO(content).read(132)[128:] == b"DICM"
