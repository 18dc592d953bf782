"""Objects checked and stored by others' programs: dciodvfy, dcmtk and Orthanc."""

import io
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom import dcmread
from pydicom.dataset import Dataset

from diagnosis.models import Label, Reading
from exchange.outgoing import running
from exchange.outgoing.models import Delivery
from tests.exchange.outgoing import results
from tests.exchange.outgoing.results import objects_of, sign, stored_reading, target

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("orthanc-out")]

# Of a name that is typed in one piece, and of codes for which no public scheme has one.
KNOWN = ("Retired Person Name form", "99XRAYSITE", "needed to build DICOMDIR")


def program(name: str, *places: str) -> str:
    """Return the path of a program; skip the test, by name, without it."""
    found = shutil.which(name) or next((each for each in places if Path(each).exists()), None)
    if not found:
        pytest.skip(f"NOT TESTED with {name}: it is not installed")
    return found


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    made = stored_reading(doctor, results.dicom_film())
    sign(made)
    return made


@pytest.fixture
def every_object(reading, doctor) -> dict[str, bytes]:
    """Of a signed DICOM film, an unsigned picture file and a refused film."""
    refused = {"label": Label.OUT_OF_SCOPE, "scope_reasons": ["age"]}
    readings = {
        "dicom": reading,
        "png": stored_reading(doctor, results.png_film()),
        "refused": stored_reading(doctor, results.dicom_film(SOPInstanceUID="1.2.3"), **refused),
    }
    return {
        f"{name}-{kind}": made.data
        for name, each in readings.items()
        for kind, made in objects_of(each).items()
    }


def test_dciodvfy_finds_no_fault(every_object, tmp_path):
    checker = program("dciodvfy")
    for name, data in every_object.items():
        file = tmp_path / f"{name}.dcm"
        file.write_bytes(data)
        run = subprocess.run([checker, file], capture_output=True, text=True, check=False)
        lines = [
            line for line in run.stderr.splitlines()
            if line.startswith(("Error", "Warning")) and not any(each in line for each in KNOWN)
        ]  # fmt: skip
        assert not lines, name
    assert len(every_object) == 11


def test_dsrdump_reads_the_structured_report(every_object, tmp_path):
    reader = program("dsrdump")
    (tmp_path / "sr.dcm").write_bytes(every_object["dicom-sr"])
    run = subprocess.run(
        [reader, "+Pl", "+U8", tmp_path / "sr.dcm"], capture_output=True, check=False
    )
    text = run.stdout.decode()
    assert run.returncode == 0, run.stderr
    assert "Comprehensive 3D SR Document" in text
    assert '(233604007,SCT,"Pneumonia")' in text
    assert results.NOTE in text
    assert results.NAME.split("=")[1] in text
    assert b"E:" not in run.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Orthanc:
    """A running Orthanc with its DICOMweb plugin."""

    def __init__(self, dicom_port: int, http_port: int) -> None:
        self.dicom_port = dicom_port
        self.url = f"http://127.0.0.1:{http_port}"

    def instances(self) -> dict[str, Dataset]:
        """Return what it has stored, by SOP Instance UID."""
        found = {}
        for key in requests.get(f"{self.url}/instances", timeout=10).json():
            data = requests.get(f"{self.url}/instances/{key}/file", timeout=10).content
            dataset = dcmread(io.BytesIO(data))
            found[str(dataset.SOPInstanceUID)] = dataset
        return found


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = program("Orthanc", "/usr/sbin/Orthanc")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not plugin.exists():
        pytest.skip("NOT TESTED with Orthanc: its plugin orthanc-dicomweb is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    dicom_port, http_port = free_port(), free_port()
    settings: dict[str, Any] = {
        "Name": "Tests", "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "DicomAet": "ORTHANC", "DicomPort": dicom_port, "HttpPort": http_port,
        "HttpBindAddresses": ["127.0.0.1"], "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False, "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False,
        "DefaultEncoding": "Utf8", "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, folder / "orthanc.json"], stdout=log, stderr=log)
        try:
            running_there = Orthanc(dicom_port, http_port)
            _wait_for(running_there, process, folder / "log")
            yield running_there
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(there: Orthanc, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{there.url}/dicom-web/studies", timeout=2).raise_for_status()
        except requests.RequestException:
            time.sleep(0.2)
        else:
            return
    pytest.fail(log.read_text())


@pytest.mark.parametrize("way", ["C_STORE", "STOW"])
def test_orthanc_has_every_element_as_it_was_sent(orthanc, active_model, doctor, way):
    film = results.dicom_film(
        StudyInstanceUID=f"{results.STUDY}.{len(way)}", SOPInstanceUID=f"{results.IMAGE}.{len(way)}"
    )
    target(
        way=way, ae_title="ORTHANC", port=orthanc.dicom_port,
        url=f"{orthanc.url}/dicom-web/studies" if way == "STOW" else "", **results.EVERYTHING,
    )  # fmt: skip
    reading = stored_reading(doctor, film)
    sign(reading)
    running.send_due("test")
    delivery = Delivery.objects.get()
    assert delivery.state == "SENT", delivery.error
    stored = orthanc.instances()
    made = objects_of(reading)
    for kind, each in made.items():
        sent = dcmread(io.BytesIO(each.data))
        received = stored[each.uid]
        assert differences(sent, received) == [], kind
        assert str(received.PatientName) == results.NAME
        assert received.StudyInstanceUID == f"{results.STUDY}.{len(way)}"
    web = f"{orthanc.url}/dicom-web/studies/{results.STUDY}.{len(way)}/series"
    found = requests.get(web, headers={"Accept": "application/dicom+json"}, timeout=10).json()
    assert {each["00080060"]["Value"][0] for each in found} == {"SR", "OT", "SEG", "DOC"}


def test_sending_twice_leaves_one_of_each(orthanc, active_model, doctor):
    target(ae_title="ORTHANC", port=orthanc.dicom_port)
    reading = stored_reading(doctor, results.png_film())
    sign(reading)
    before = len(orthanc.instances())
    running.send_due("test")
    Delivery.objects.update(state="WAITING", sent={})
    running.send_due("test")
    assert len(orthanc.instances()) == before + 2, "the film and the report"
    assert Delivery.objects.get().state == "SENT"


def differences(sent: Dataset, received: Dataset) -> list[str]:
    """Return the tags in which two data sets differ, sequences element by element."""
    found = [str(tag) for tag in set(sent.keys()) ^ set(received.keys())]
    for tag in set(sent.keys()) & set(received.keys()):
        one, other = sent[tag], received[tag]
        if one.VR == "SQ":
            if len(one.value) != len(other.value):
                found.append(str(tag))
            for first, second in zip(one.value, other.value, strict=False):
                found += differences(first, second)
        elif one.value != other.value:
            found.append(f"{tag} {one.value!r} {other.value!r}"[:200])
    return found
