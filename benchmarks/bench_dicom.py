"""The DICOM listener under load, killed in the middle: what it takes, and that nothing is lost.

    .venv/bin/python benchmarks/bench_dicom.py [--rate 50] [--seconds 60] [--senders 4] [--json F]

Starts `manage.py dicom_listen` on a temporary site, and as many sending processes, each of which
has its share of the rate. Halfway, the listener is killed with SIGKILL and started again; senders
repeat what was not confirmed. Then compares what was confirmed with what is in the database, and
waits until every X-ray is a reading. Exit status 1 if one was lost or read twice.
"""

import argparse
import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measuring import machine, say_machine, summary, table  # noqa: E402
from sites import start_django  # noqa: E402

from tests.films import encode_dicom, synthetic_film  # noqa: E402

SITE, VAN = "XRAYSITE", "VAN1"
GIVE_UP_S = 120


def send(number: int, port: int, rate: float, seconds: float, film: bytes, out: Any) -> None:
    """Send X-rays at a rate until the time is over, each until it is confirmed."""
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian
    from pynetdicom import AE
    from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation

    machine_ = AE(ae_title=VAN)
    machine_.acse_timeout = machine_.dimse_timeout = machine_.network_timeout = 20
    machine_.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    sent = dcmread(io.BytesIO(film))
    pixels = bytearray(sent.PixelData)
    confirmed, times, tries = [], [], 0
    association, begun, total = None, time.monotonic(), round(rate * seconds)
    while len(confirmed) < total and time.monotonic() - begun < seconds + GIVE_UP_S:
        place = len(confirmed)
        time.sleep(max(0.0, begun + place / rate - time.monotonic()))
        pixels[:64] = os.urandom(64)
        sent.PixelData = bytes(pixels)
        sent.SOPInstanceUID = f"1.2.{number}.{place}"
        sent.file_meta.MediaStorageSOPInstanceUID = sent.SOPInstanceUID
        sent.PatientID = f"P{number}-{place}"
        while time.monotonic() - begun < seconds + GIVE_UP_S:
            if association is None or not association.is_established:
                association = machine_.associate("127.0.0.1", port, ae_title=SITE)
                if not association.is_established:
                    time.sleep(0.2)
                    continue
            tries += 1
            started = time.monotonic()
            try:
                status: Any = association.send_c_store(sent)
            except RuntimeError:  # it was closed in this moment
                continue
            if getattr(status, "Status", None) == 0:
                times.append(time.monotonic() - started)
                confirmed.append(str(sent.SOPInstanceUID))
                break
            time.sleep(0.2)
    if association is not None and association.is_established:
        association.release()
    out.put((confirmed, times, tries, time.monotonic() - begun))


def started(port: int) -> "subprocess.Popen[str]":
    """Start the listener; return once it listens."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "dicom_listen", "--ae-title", SITE, "--address", "127.0.0.1",
         "--port", str(port)],
        cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdout is None or "listens" not in process.stdout.readline():
        raise SystemExit("The listener does not start.")
    return process


def prepare() -> None:
    """Create a doctor, the machine, and a rule."""
    from accounts import roles, services
    from exchange.incoming.models import Peer, RoutingRule

    doctor = services.create_account(
        email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR
    )
    Peer.objects.create(ae_title=VAN, networks="127.0.0.1")
    RoutingRule.objects.create(name="all", doctor=doctor)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    listener = started(port)
    out: Any = multiprocessing.get_context("spawn").Queue()
    pixels = synthetic_film("NORMAL", seed=1, size=arguments.size)
    film = encode_dicom(pixels, age="004Y", study_date="20260105")
    share = arguments.rate / arguments.senders
    senders = [
        multiprocessing.get_context("spawn").Process(
            target=send,
            args=(number, port, share, arguments.seconds, film, out),
        )
        for number in range(1, arguments.senders + 1)
    ]
    for sender in senders:
        sender.start()
    killed_for = 0.0
    if not arguments.no_kill:
        time.sleep(arguments.seconds / 2)
        listener.send_signal(signal.SIGKILL)
        listener.wait()
        at = time.monotonic()
        listener = started(port)
        killed_for = time.monotonic() - at
    results = [out.get(timeout=arguments.seconds + 2 * GIVE_UP_S) for _ in senders]
    found = _verdict(results, killed_for, arguments)
    listener.send_signal(signal.SIGTERM)
    listener.wait(timeout=60)
    return found


def _verdict(
    results: list[Any], killed_for: float, arguments: argparse.Namespace
) -> dict[str, Any]:
    from diagnosis.models import Reading
    from exchange.incoming.models import Arrival

    confirmed = [uid for uids, *_ in results for uid in uids]
    arrived = set(Arrival.objects.values_list("sop_instance_uid", flat=True))
    begun, limit = time.monotonic(), arguments.wait
    while Reading.objects.count() < len(arrived) and time.monotonic() - begun < limit:
        time.sleep(0.5)
    read = list(Reading.objects.values_list("film_instance_uid", flat=True))
    sending = max(result[3] for result in results)
    return {
        "wanted": round(arguments.rate * arguments.seconds),
        "confirmed": len(confirmed),
        "lost": len(set(confirmed) - arrived),
        "read": len(read),
        "read twice": len(read) - len(set(read)),
        "tries": sum(result[2] for result in results),
        "seconds of sending": round(sending, 1),
        "confirmed per second": round(len(confirmed) / sending, 1),
        "seconds without a listener": round(killed_for, 1),
        "seconds until all were read": round(time.monotonic() - begun, 1),
        "ms until confirmed": summary([1000 * each for result in results for each in result[1]]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=50, help="X-rays per second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--size", type=int, default=1024, help="side of each X-ray in pixels")
    parser.add_argument("--wait", type=float, default=900, help="seconds until all must be read")
    parser.add_argument("--no-kill", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    here = machine()
    say_machine(here)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        start_django(folder, None)
        prepare()
        found = measure(arguments)
    times = found["ms until confirmed"]
    rows = [[name, value] for name, value in found.items() if name != "ms until confirmed"]
    rows += [[f"ms until confirmed, {name}", round(value, 1)] for name, value in times.items()]
    print(table(["", ""], rows))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": here, "found": found}, indent=2))
    sys.exit(bool(found["lost"] or found["read twice"]))


if __name__ == "__main__":
    main()
