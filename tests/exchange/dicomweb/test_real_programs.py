"""DICOMweb with real programs, against the site's own server: a client library, and Orthanc."""

import io
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from django.core.wsgi import get_wsgi_application
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from diagnosis.batches import running
from diagnosis.models import Reading
from exchange import uids
from tests.exchange.dicomweb.programs import (
    FILM,
    NAME,
    SERIES,
    STUDY,
    film_file,
    opened,
    picture_file,
    read,
    token_for,
)
from tests.films import synthetic_film
from tests.server.serving import Server
from xraysite.server.limits import Limits

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("dicomweb")]
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SECONDS = 60


@pytest.fixture
def address(transactional_db, active_model) -> Iterator[str]:
    """The address of the service on the site's own server, which takes chunked messages."""
    server = Server(Limits(), application=get_wsgi_application())
    host, port = server.address
    yield f"http://{host}:{port}/dicomweb"
    server.stop()


def test_a_client_library_stores_finds_and_gets_films(address, doctor):
    client = DICOMwebClient(url=address, headers={"Authorization": f"Bearer {token_for(doctor)}"})
    sent = [opened(film_file(1, bits=12)), opened(film_file(2, transfer_syntax="jpegls"))]
    stored = client.store_instances(sent)
    assert len(stored.ReferencedSOPSequence) == 2
    running.read_waiting("test")
    (study,) = client.search_for_studies(search_filters={"PatientName": "陳*"})
    found = Dataset.from_json(study)
    assert str(found.PatientName) == NAME
    assert len(client.search_for_series(STUDY)) == 1
    assert len(client.search_for_instances(STUDY, SERIES, limit=1)) == 1
    got = {film.SOPInstanceUID: film for film in client.retrieve_study(STUDY)}
    for film in sent:
        assert np.array_equal(got[film.SOPInstanceUID].pixel_array, film.pixel_array)
    one = client.retrieve_instance(STUDY, SERIES, f"{FILM}.1")
    assert one == sent[0]
    for media_type, content in (
        (("application/octet-stream", "1.2.840.10008.1.2.1"), sent[1].pixel_array.tobytes()),
        (("image/jls", "1.2.840.10008.1.2.4.80"), frame_of(sent[1])),
    ):
        (frame,) = client.retrieve_instance_frames(
            STUDY, SERIES, f"{FILM}.2", [1], media_types=(media_type,)
        )
        assert frame == content
    (metadata,) = [
        each for each in client.retrieve_series_metadata(STUDY, SERIES)
        if each["00080018"]["Value"] == [f"{FILM}.1"]
    ]  # fmt: skip
    # The library leaves the port out of the header Host.
    uri = metadata["7FE00010"]["BulkDataURI"].replace("http://127.0.0.1/dicomweb", address)
    bulk = client.retrieve_bulkdata(uri)
    assert bulk == [sent[0].PixelData]
    picture = client.retrieve_instance_rendered(
        STUDY, SERIES, f"{FILM}.1", media_types=("image/png",)
    )
    assert picture[:4] == b"\x89PNG"


def frame_of(film: Dataset) -> bytes:
    return next(generate_frames(film.PixelData, number_of_frames=1))


class Orthanc:
    """A running Orthanc that knows the site as a DICOMweb server."""

    def __init__(self, folder: Path, site: str, token: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{probe.getsockname()[1]}"
        peer = {"Url": f"{site}/", "HttpHeaders": {"Authorization": f"Bearer {token}"}}
        settings = {
            "Name": "tests",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "index"),
            "HttpPort": int(self.address.rpartition(":")[2]),
            "DicomServerEnabled": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(PLUGIN)],
            "DicomWeb": {"Enable": True, "Servers": {"site": peer}},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.program(), str(folder / "orthanc.json")], stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        until = time.monotonic() + SECONDS
        while not self._answers():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.2)

    @staticmethod
    def program() -> str:
        found = os.environ.get("ORTHANC_BIN") or shutil.which("Orthanc")
        if not found or not PLUGIN.exists():
            pytest.skip("NOT TESTED with Orthanc and its DICOMweb plugin: not installed")
        return found

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address}/system", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def ask(self, method: str, path: str, **options: Any) -> Any:
        response = requests.request(method, f"{self.address}{path}", timeout=SECONDS, **options)
        assert response.status_code == 200, f"{response.text}\n{self.log.read_text()[-3000:]}"
        return response

    def keep(self, data: bytes) -> str:
        key: str = self.ask("POST", "/instances", data=data).json()["ID"]
        return key

    def site(self, action: str, **asked: Any) -> Any:
        return self.ask("POST", f"/dicom-web/servers/site/{action}", json=asked).json()

    def films(self) -> dict[str, Dataset]:
        """Return what it holds, by SOP Instance UID."""
        found = {}
        for key in self.ask("GET", "/instances").json():
            film = pydicom.dcmread(io.BytesIO(self.ask("GET", f"/instances/{key}/file").content))
            found[str(film.SOPInstanceUID)] = film
        return found

    def empty(self) -> None:
        for key in self.ask("GET", "/instances").json():
            self.ask("DELETE", f"/instances/{key}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=SECONDS)


def test_films_come_back_from_the_site_to_orthanc_unchanged(address, doctor, tmp_path):
    Orthanc.program()
    token = token_for(doctor)
    sent = [
        opened(film_file(1, bits=12, TimezoneOffsetFromUTC="+0800", AcquisitionTime="235959.5")),
        opened(film_file(2, character_set="GB18030", patient_name="Chen^Xiao Ming=陳^小明",
                         transfer_syntax="jpegls", StudyInstanceUID="1.2.9")),
    ]  # fmt: skip
    orthanc = Orthanc(tmp_path, address, token)
    try:
        keys = []
        for film in sent:
            buffer = io.BytesIO()
            film.save_as(buffer)
            keys.append(orthanc.keep(buffer.getvalue()))
        for _ in range(2):  # the second time, nothing is new
            orthanc.site("stow", Resources=keys, Synchronous=True)
        running.read_waiting("test")
        assert Reading.objects.count() == 2
        assert set(Reading.objects.values_list("patient_name", flat=True)) == {"陳小明"}
        picture = read(doctor, picture_file(3))
        found = orthanc.site("qido", Uri="/studies", Arguments={"PatientName": "陳*"})
        assert len(found) == 3
        orthanc.empty()
        wanted = [*(film.StudyInstanceUID for film in sent), uids.study_uid(picture)]
        resources = [{"Study": uid} for uid in wanted]
        orthanc.site("retrieve", Resources=resources, Synchronous=True)
        back = orthanc.films()
    finally:
        orthanc.stop()
    assert len(back) == 3
    for film in sent:
        returned = back[film.SOPInstanceUID]
        assert returned.file_meta.TransferSyntaxUID == film.file_meta.TransferSyntaxUID
        assert [element.tag for element in returned] == [element.tag for element in film]
        for element in film:
            assert returned[element.tag] == element, element.keyword
    capture = back[uids.instance_uid(picture)]
    assert str(capture.PatientName) == "陳小明=陳小明"
    assert np.array_equal(capture.pixel_array, synthetic_film("NORMAL", seed=3))
