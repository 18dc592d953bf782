"""The listener's process, with the programs of dcmtk as machines, and killed in the middle."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from pynetdicom import AE
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation

from diagnosis.models import BatchItem, Reading
from exchange.incoming import handing, routing
from exchange.incoming.models import Arrival, ArrivalState, Listener, Peer, RoutingRule
from tests.exchange.machines import AE as VAN
from tests.exchange.machines import data_set, film
from tests.exchange.test_listening import SITE, certificates, listening, until
from tests.locks import ROOT

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
COUNT = 24
# The command, with this test's database and folders.
COMMAND = """
import os, pathlib, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "xraysite.settings.test"
from xraysite.settings import test
name, films, bundles = sys.argv[1:4]
test.DATABASES["default"]["NAME"] = name
test.STORAGES["films"]["OPTIONS"]["location"] = pathlib.Path(films)
test.PRIVATE_MEDIA_ROOT, test.BUNDLE_DIR = pathlib.Path(films).parent, pathlib.Path(bundles)
test.BATCH_THREAD = True
import django
django.setup()
from django.core.management import call_command
call_command("dicom_listen", ae_title="XRAYSITE", address="127.0.0.1", port=int(sys.argv[4]))
"""


def program(name: str) -> str:
    """Return the path of a program of dcmtk; skip the test, by name, without it."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"NOT TESTED with {name}: it is not installed (Debian: dcmtk)")
    return found


@pytest.fixture
def van(lenient_model, doctor) -> Peer:
    RoutingRule.objects.create(name="all", doctor=doctor)
    return Peer.objects.create(ae_title=VAN, networks="127.0.0.1")


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(port: int) -> "subprocess.Popen[str]":
    """Start the listener as operators do; return once it listens."""
    process = subprocess.Popen(
        [
            sys.executable, "-c", COMMAND, str(connection.settings_dict["NAME"]),
            str(Path(settings.PRIVATE_MEDIA_ROOT) / "films"), str(settings.BUNDLE_DIR), str(port),
        ],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    while (line := process.stdout.readline()) and "listens" not in line:
        pass
    assert line
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return process


class Sender(threading.Thread):
    """A machine that sends films, again and again, until each was confirmed."""

    def __init__(self, port: int, numbers: range) -> None:
        super().__init__(daemon=True)
        self.port, self.left, self.confirmed = port, list(numbers), set[str]()

    def run(self) -> None:
        end = time.monotonic() + 60
        while self.left and time.monotonic() < end:
            self._send()
            time.sleep(0.1)

    def _send(self) -> None:
        machine = AE(ae_title=VAN)
        machine.acse_timeout = machine.dimse_timeout = machine.network_timeout = 5
        machine.add_requested_context(DigitalXRayImageStorageForPresentation)
        association = machine.associate("127.0.0.1", self.port, ae_title=SITE)
        while self.left and association.is_established:
            try:
                status: Any = association.send_c_store(data_set(film(self.left[0], size=128)))
            except RuntimeError:  # it was closed in this moment
                return
            if getattr(status, "Status", None) != 0:
                return
            self.confirmed.add(f"1.2.3.{self.left.pop(0)}")
        association.release()


def test_a_listener_killed_in_the_middle_loses_nothing_and_repeats_nothing(van):
    port = free_port()
    senders = [Sender(port, range(100 * n, 100 * n + COUNT // 4)) for n in range(1, 5)]
    process = started(port)
    for sender in senders:
        sender.start()
    until(lambda: sum(len(sender.confirmed) for sender in senders) >= COUNT // 4)
    process.send_signal(signal.SIGKILL)
    confirmed = set().union(*(sender.confirmed for sender in senders))
    process.wait()
    assert len(confirmed) < COUNT
    assert confirmed <= set(Arrival.objects.values_list("sop_instance_uid", flat=True))

    process = started(port)
    for sender in senders:
        sender.join()
    assert not any(sender.left for sender in senders)
    # What the killed process had in its hands.
    Arrival.objects.update(claimed_at=None)
    BatchItem.objects.filter(state="READING").update(claimed_at=None, state="WAITING")
    until(lambda: Reading.objects.count() >= COUNT, seconds=30)
    until(lambda: not Arrival.objects.exclude(state=ArrivalState.READ).exists(), seconds=10)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert Reading.objects.count() == Arrival.objects.count() == COUNT
    assert len(set(Reading.objects.values_list("film_instance_uid", flat=True))) == COUNT
    assert not Listener.objects.filter(ports=str(port)).exclude(received=0).exists() or (
        Listener.objects.count() == 1  # that of the killed one
    )
    gc.collect()


def test_dcmtk(van, tmp_path):
    """C-ECHO, C-STORE in several transfer syntaxes, and with TLS."""
    echoscu, storescu = program("echoscu"), program("storescu")
    tls = certificates(tmp_path)
    syntaxes = {"explicit": "-xe", "jpeg_lossless": "-xs", "jpeg2000": "-xv", "rle": "-xr"}
    with listening(tls_port=0, tls=tls.server) as process:
        place = ["127.0.0.1", str(process.ports[0])]
        titles = ["-aet", VAN, "-aec", SITE]
        run([echoscu, *titles, *place])
        stranger = run([echoscu, "-aet", "STRANGER", "-aec", SITE, *place], fails=True)
        assert "Calling AE Title Not Recognized" in stranger
        for number, (syntax, option) in enumerate(syntaxes.items(), start=1):
            path = tmp_path / f"{syntax}.dcm"
            path.write_bytes(film(number, transfer_syntax=syntax))
            run([storescu, option, *titles, *place, str(path)])
        run([storescu, "-xe", *titles, *place, str(tmp_path / "explicit.dcm")])  # a repeat
        path = tmp_path / "secure.dcm"
        path.write_bytes(film(9))
        keys = [str(tmp_path / name) for name in ("machine.key", "machine.pem", "authority.pem")]
        secure = ["+tls", keys[0], keys[1], "+cf", keys[2], "-ic", "127.0.0.1"]
        run([storescu, *secure, *titles, str(process.ports[1]), str(path)])
        until(lambda: not Arrival.objects.filter(state=ArrivalState.RECEIVED).exists())
    found = dict(Arrival.objects.values_list("sop_instance_uid", "transfer_syntax"))
    assert found["1.2.3.2"] == "1.2.840.10008.1.2.4.70"
    assert found["1.2.3.3"] == "1.2.840.10008.1.2.4.90"
    assert len(found) == len(syntaxes) + 1
    routing.route_waiting()
    handing.settle()
    assert not Arrival.objects.filter(state=ArrivalState.WAITING).exists()


def run(command: list[str], *, fails: bool = False) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    text = done.stdout + done.stderr
    assert bool(done.returncode) == fails, text
    return text
