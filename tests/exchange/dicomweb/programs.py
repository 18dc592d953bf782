"""What the tests of DICOMweb have in common: films, readings of them, programs with a token."""

import datetime
import io
import uuid
from typing import Any

import pydicom
from django.test import Client
from pydicom.dataset import Dataset

from accounts.models import User
from accounts.tokens import services as tokens
from diagnosis.models import Reading
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import submit_reading
from diagnosis.validators import validate_film_bytes
from tests.films import encode, encode_dicom, synthetic_film

ROOT = "/dicomweb"
STUDY, SERIES, FILM = "1.2.3.4", "1.2.3.4.5", "1.2.3.4.5.6"
NAME = "Chen^Xiao Ming=陳^小明=ㄔㄣˊ^ㄒㄧㄠˇ ㄇㄧㄥˊ"
SCOPES = ("dicomweb:read", "dicomweb:write")
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def film_file(seed: int = 1, **options: Any) -> bytes:
    """Return a DICOM film with UIDs and a name in three groups."""
    uids = {
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "SOPInstanceUID": f"{FILM}.{seed}",
    }
    named = {"patient_name": NAME, "patient_id": "A123", "StudyTime": "101112"}
    pixels = synthetic_film("NORMAL", seed=seed, size=options.pop("size", 256))
    return encode_dicom(pixels, **(named | uids | options))


def picture_file(seed: int = 1) -> bytes:
    return encode(synthetic_film("NORMAL", seed=seed), "png")


def read(doctor: User, data: bytes, **changes: Any) -> Reading:
    """Return a doctor's reading of a film, with details that agree with `film_file`."""
    details = {
        "name": "陳小明", "number": "A123", "age_years": 3,
        "exam_date": datetime.date(2026, 1, 2),
    } | changes  # fmt: skip
    decisions = details.pop("decisions", None)
    extra = {"decisions": decisions} if decisions else {}
    return submit_reading(
        doctor=doctor,
        upload=validate_film_bytes(data, "film.dcm"),
        patient=PatientDetails(**details),
        submission=uuid.uuid4(),
        **extra,
    )


def token_for(user: User, *scopes: str) -> str:
    """Return a token of a user, with both scopes of DICOMweb unless some are given."""
    _row, token = tokens.make_token(owner=user, name="PACS", scopes=scopes or SCOPES, days=1)
    return token


class Program:
    """A program with a token."""

    def __init__(self, user: User, *scopes: str, **headers: str) -> None:
        self.token = token_for(user, *scopes)
        authorization = {"authorization": f"Bearer {self.token}"}
        self.client = Client(headers={"accept-language": "en"} | authorization | headers)

    def get(self, path: str, accept: str = "", **query: Any):
        headers = {"accept": accept} if accept else {}
        return self.client.get(f"{ROOT}{path}", query, headers=headers)

    def search(self, path: str, **query: Any) -> list[dict[str, Any]]:
        response = self.get(path, **query)
        assert response.status_code == 200, response.content.decode()
        assert response.headers["Content-Type"] == "application/dicom+json"
        rows: list[dict[str, Any]] = response.json()
        return rows

    def parts(self, path: str, accept: str = DICOM, **query: Any) -> list[tuple[str, bytes]]:
        """Return the media type and content of each part of an answer."""
        response = self.get(path, accept, **query)
        assert response.status_code == 200, content_of(response)
        return parts_of(response.headers["Content-Type"], content_of(response))

    def films(self, path: str, accept: str = DICOM) -> list[Dataset]:
        return [opened(content) for _type, content in self.parts(path, accept)]


def content_of(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


def parts_of(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    boundary = content_type.partition("boundary=")[2].encode()
    pieces = body.split(b"--" + boundary)
    assert pieces[0] == b""
    assert pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.strip().split(b"\r\n"))
        assert content.endswith(b"\r\n")
        assert int(lines[b"Content-Length"]) == len(content) - 2
        found.append((lines[b"Content-Type"].decode(), content[:-2]))
    return found


def opened(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


def value(row: dict[str, Any], keyword: str) -> Any:
    """Return the first value of an element in DICOM JSON, None if it is empty or missing."""
    tag = f"{pydicom.datadict.tag_for_keyword(keyword):08X}"
    return (row.get(tag, {}).get("Value") or [None])[0]
