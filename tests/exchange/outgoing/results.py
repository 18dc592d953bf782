"""Readings with a stored film, and systems that results are sent to, without running a model."""

import hashlib
import io
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from accounts.models import User
from diagnosis import storage
from diagnosis.models import Label, Reading
from diagnosis.models.findings import finding
from diagnosis.services.opinions import Content, record_opinion
from exchange.outgoing.models import Target
from exchange.outgoing.objects import building
from exchange.outgoing.objects.building import Made
from exchange.outgoing.objects.context import Kind
from mlcore import inference
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

SUCCESS = 0
STUDY, SERIES, IMAGE = "1.2.826.0.1.999.1", "1.2.826.0.1.999.2", "1.2.826.0.1.999.3"
NAME = "CHEN^XIAO MING=陳^小明=ㄔㄣˊ^ㄒㄧㄠˇ ㄇㄧㄥˊ"
NOTE = "右上葉實質化,左側肋膜積液。"
FINDINGS = [
    finding("consolidation", lobes=["RUL", "LLL"]),
    finding("effusion", side="left"),
    finding("device", text="鼻胃管"),
]
_map = np.zeros((8, 8), np.float32)
_map[2:5, 1:4] = 0.9
MAP = inference.encode_activation_map(_map)


def dicom_film(**elements: Any) -> bytes:
    """Return a digital X-ray as a modality would send it."""
    stated = {
        "patient_name": NAME, "patient_id": "A123", "birth_date": "20220301", "modality": "DX",
        "PatientSex": "M", "StudyTime": "101112", "AccessionNumber": "ACC1", "StudyID": "S1",
        "SeriesInstanceUID": SERIES, "StudyInstanceUID": STUDY, "SOPInstanceUID": IMAGE,
        "PatientOrientation": ["L", "F"], "ImagerPixelSpacing": [0.2, 0.2],
        "ReferringPhysicianName": "LIN^DR=林^醫師", "TimezoneOffsetFromUTC": "+0800",
        "SeriesNumber": 1, "InstanceNumber": 1, "Manufacturer": "Tests",
    }  # fmt: skip
    return encode_dicom(synthetic_film("PNEUMONIA", seed=1, size=256), **(stated | elements))


def png_film() -> bytes:
    return encode(synthetic_film("PNEUMONIA", seed=1, size=256), "png")


def stored_reading(doctor: User, film: bytes, **fields: Any) -> Reading:
    """Store a film and a reading of it, as `submit_reading` would with this result."""
    sha256 = hashlib.sha256(film).hexdigest()
    storage.keep(storage.original_name(sha256), film)
    header = dcmread(io.BytesIO(film)) if film[128:132] == b"DICM" else None
    stated: dict[str, Any] = {
        "doctor": doctor, "patient_name": "陳小明", "patient_number": "A123",
        "film_sha256": sha256, "film_bytes": len(film), "label": Label.PNEUMONIA,
        "probabilities": {"NORMAL": 0.03, "PNEUMONIA": 0.97}, "normal_below": 0.5,
        "pneumonia_from": 0.95, "activation_map": MAP,
    }  # fmt: skip
    if header is not None:
        stated |= {
            "film_format": "DICOM", "film_study_uid": str(header.StudyInstanceUID),
            "film_series_uid": str(header.get("SeriesInstanceUID", "")),
            "film_instance_uid": str(header.SOPInstanceUID),
        }  # fmt: skip
    return ReadingFactory(**(stated | fields))


def sign(reading: Reading, verdict: str = "PNEUMONIA", **content: Any) -> None:
    stated = {"findings": FINDINGS, "confidence": "HIGH", "note": NOTE} | content
    record_opinion(
        doctor=reading.doctor,
        reading_id=reading.pk,
        stage="SIGNED",
        content=Content(verdict, **stated),
    )


def objects_of(reading: Reading) -> dict[str, Made]:
    """Return all objects of a reading as it is stored now, by kind."""
    stored = Reading.objects.select_related("doctor", "model_version").get(pk=reading.pk)
    context = building.current(stored)
    return {
        str(kind): building.made(context, kind) for kind in building.kinds_of(context, list(Kind))
    }


def opened(made: Made) -> Any:
    return dcmread(io.BytesIO(made.data))


EVERYTHING = {"sends_picture": True, "sends_map": True, "sends_document": True}


def target(**fields: Any) -> Target:
    """Create a system that gets structured reports, which are made quickly."""
    stated = {
        "name": "PACS", "is_enabled": True, "ae_title": "PACS", "host": "127.0.0.1", "port": 9,
        "sends_picture": False, "sends_map": False, "sends_document": False,
    }  # fmt: skip
    return Target.objects.create(**(stated | fields))


class Archive:
    """A system that stores what it gets, as it is told to answer.

    Attributes:
        got: the data sets that were stored, in the order of arrival.
        status: the answer to the next C-STORE requests; 0 is success.
        refused: SOP classes that it does not accept.
    """

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.status = 0
        self.port = 0

    def uids(self) -> list[str]:
        return [str(each.SOPInstanceUID) for each in self.got]


@contextmanager
def dicom_archive(
    classes: list[str] | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[Archive]:
    """A C-STORE SCP on loopback."""
    archive = Archive()

    def store(event: Any) -> int | Dataset:
        if archive.status == SUCCESS:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            archive.got.append(dataset)
            return SUCCESS
        answer = Dataset()
        answer.Status, answer.ErrorComment = archive.status, "refused for CHEN XIAO MING"
        return answer

    entity = AE(ae_title="PACS")
    if classes is None:
        from pynetdicom import AllStoragePresentationContexts

        entity.supported_contexts = AllStoragePresentationContexts
    else:
        for uid in classes:
            entity.add_supported_context(uid)
    entity.add_supported_context(Verification)
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)], ssl_context=tls
    )
    archive.port = server.server_address[1]
    try:
        yield archive
    finally:
        server.shutdown()


class WebArchive:
    """A STOW-RS server.

    Attributes:
        requests: method, headers and body of each request.
        answer: the status, and the body as JSON.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any, bytes]] = []
        self.answer: tuple[int, Any] = (200, {})
        self.url = ""


@contextmanager
def web_archive() -> Iterator[WebArchive]:
    archive = WebArchive()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            archive.requests.append((self.command, self.headers, body))
            status, content = archive.answer
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_OPTIONS = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    archive.url = f"http://127.0.0.1:{server.server_port}/dicom-web/studies"
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
