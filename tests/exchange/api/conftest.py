"""Programs with tokens, and X-rays to send."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import User
from accounts.tokens.models import SCOPES
from accounts.tokens.services import make_token
from diagnosis.models import Reading
from tests.conftest import patient_details, upload_of


class Program:
    """A program that uses the API with a token."""

    def __init__(self, user: User, *scopes: str) -> None:
        self.user = user
        self.row, self.token = make_token(
            owner=user, name=f"program {user.tokens.count()}", scopes=scopes or SCOPES, days=30
        )
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def call(self, method: str, path: str, **options: Any) -> Any:
        return getattr(self.client, method)(f"/api/v1{path}", **options)

    def get(self, path: str, **options: Any) -> Any:
        return self.call("get", path, **options)

    def send_json(self, method: str, path: str, content: Any, **options: Any) -> Any:
        if content is None:
            return self.call(method, path, **options)
        return self.call(
            method, path, data=json.dumps(content), content_type="application/json", **options
        )

    def upload(self, film: bytes, *, key: str = "", name: str = "film.png", **changes: Any) -> Any:
        fields = {k: v for k, v in patient_details(**changes).items() if v is not None}
        headers = {"Idempotency-Key": key} if key else {}
        return self.call(
            "post", "/readings", data=fields | {"film": upload_of(film, name)}, headers=headers
        )


def problem(response: Any) -> str:
    """Return the end of a problem's type; checks that the response is a problem."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content
    body = response.json()
    assert body["status"] == response.status_code
    assert body["detail"]
    return str(body["type"]).rpartition(":")[2]


@pytest.fixture(autouse=True)
def _no_guesses():
    cache.clear()


@pytest.fixture
def program(doctor) -> Program:
    return Program(doctor)


@pytest.fixture
def others_program(other_doctor) -> Program:
    return Program(other_doctor)


@pytest.fixture
def sent(program: Program, active_model, film_bytes) -> Reading:
    """A reading that the doctor's program has sent."""
    response = program.upload(film_bytes)
    assert response.status_code == 201, response.content
    return Reading.objects.get()
