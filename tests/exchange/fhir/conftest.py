"""A program with a token, and readings with all that FHIR can show."""

import datetime
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from accounts.tokens.services import make_token
from diagnosis.models import Reading
from tests.factories import ReadingFactory


class Program:
    """A program that asks with a token."""

    def __init__(self, owner: User, scopes: tuple[str, ...] = ("fhir:read",)) -> None:
        _row, token = make_token(owner=owner, name="record", scopes=scopes, days=1)
        self._headers = {"authorization": f"Bearer {token}"}
        self._client = Client()

    def get(self, address: str, **headers: str) -> Any:
        return self._client.get(f"/fhir/{address}", headers=self._headers | headers)

    def post(self, address: str, values: dict[str, str]) -> Any:
        return self._client.post(
            f"/fhir/{address}",
            "&".join(f"{name}={value}" for name, value in values.items()),
            content_type="application/x-www-form-urlencoded",
            headers=self._headers,
        )

    def found(self, address: str) -> list[dict[str, Any]]:
        """Return the resources of a search."""
        answer = self.get(address)
        assert answer.status_code == 200, answer.content
        return [entry["resource"] for entry in answer.json().get("entry", [])]


@pytest.fixture
def program(doctor: User) -> Program:
    return Program(doctor)


def a_reading(doctor: User, **values: Any) -> Reading:
    """Return a reading of a child with a Chinese name and all details."""
    details = {
        "patient_name": "王小明",
        "patient_number": "A-1024",
        "patient_sex": "M",
        "patient_birth_date": datetime.date(2022, 12, 31),
        "normal_below": 0.3,
        "pneumonia_from": 0.8,
        "rule": "conformal",
    }
    return ReadingFactory(doctor=doctor, **details | values)
