"""Helpers for the page that asks for decisions before a reading is saved."""

import datetime
from typing import Any

from django.test import Client

from diagnosis.services.patients import PatientDetails
from tests.conftest import post_film
from tests.films import encode_dicom, synthetic_film

PATIENT = PatientDetails(
    name="陳小明", number="A123", age_years=3, exam_date=datetime.date(2026, 1, 2)
)
BECAUSE = "the file was exported under the father's number"


def dicom(*, seed: int = 1, size: int = 256, **header: Any) -> bytes:
    """Return a DICOM film of the patient whose details `patient_details` types, with `header`."""
    stated = {
        "patient_name": "陳小明",
        "patient_id": "A123",
        "age": "003Y",
        "study_date": "20260102",
    }
    return encode_dicom(synthetic_film("NORMAL", seed=seed, size=size), **stated | header)


def checked(client: Client, data: bytes, **changes: Any) -> str:
    """Submit a film that needs decisions and return the URL of the page that asks for them."""
    response = post_film(client, data, "film.dcm", **changes)
    assert response.status_code == 302, response.context["form"].errors
    location: str = response.headers["Location"]
    assert location.startswith("/readings/new/check/"), location
    return location


def decided(client: Client, location: str, **answers: str):
    """Answer the page; "patient_name=file" or "patient_name=form: reason" for each field.

    `film` is the reason for the same X-ray under another patient. Every earlier reading that the
    page shows counts as seen.
    """
    page = client.get(location)
    sent = {"seen": page.context["form"]["seen"].value() or ""}
    for field, answer in answers.items():
        if field == "film":
            sent["reason_film"] = answer
            continue
        chosen, _, reason = answer.partition(": ")
        sent |= {f"choose_{field}": chosen, f"reason_{field}": reason}
    return client.post(location, sent)
