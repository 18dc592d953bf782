"""Requests made from the OpenAPI description: no error of the server, every answer as described."""

import json

import hypothesis
import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase

from exchange.api.interface import api

pytestmark = pytest.mark.django_db
EXAMPLES = 2
CHECKS = [
    schemathesis.checks.not_a_server_error,
    *(
        check
        for check in schemathesis.checks.CHECKS.get_all()
        if check.__name__
        in {"status_code_conformance", "content_type_conformance", "response_schema_conformance"}
    ),
]


@pytest.fixture
def _one_connection(sent):
    """Keep the connection, and with it the test's transaction, as Django's own client does."""
    both = (request_started, request_finished)
    for signal in both:
        signal.disconnect(close_old_connections)
    yield
    for signal in both:
        signal.connect(close_old_connections)


def test_the_description_is_open_api_3_1_and_complete(client, db):
    described = client.get("/api/v1/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    operations = [each for path in described["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for each in operations:
        assert each["summary"]
        assert each["description"]
        assert {"401", "422"} <= set(each["responses"])


@pytest.mark.usefixtures("_one_connection")
def test_answers_are_as_described(sent, program):
    schema = schemathesis.openapi.from_dict(_described())
    schema.app = WSGIHandler()
    for result in schema.get_all_operations():
        _try(result.ok(), program.token, str(sent.pk))


def _described() -> dict:
    return json.loads(json.dumps(api.get_openapi_schema()))


def _try(operation, token: str, reading: str) -> None:
    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy())
    def attempt(case):
        if "reading_id" in case.path_parameters and case.method != "DELETE":
            case.path_parameters["reading_id"] = reading
        response = case.call(headers={"Authorization": f"Bearer {token}"})
        case.validate_response(response, checks=CHECKS)

    attempt()
