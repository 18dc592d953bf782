"""Endpoints × accounts: what a token of each role may do with a doctor's objects."""

import pytest
from django.test import Client

from accounts import services as account_services
from accounts.models import AuditEntry
from diagnosis.batches import receiving
from exchange.api.interface import api
from tests.exchange.api.conftest import Program, problem

pytestmark = pytest.mark.django_db
PEOPLE = ("doctor", "other_doctor", "supervisor", "ml_engineer")
OWN_OR_OVERSEEN = (200, 404, 200, 404)
DOCTORS, ALL = (200, 200, 403, 403), (200,) * 4
READING, PATIENT, BATCH = "/readings/{reading}", "/patients/{patient}", "/batches/{batch}"

# By operation: method, address, body, and the status for each of PEOPLE.
ROWS = {
    "list_readings": ("get", "/readings", None, ALL),
    "search_readings": ("post", "/readings/search", {"q": "a"}, ALL),
    "get_reading": ("get", READING, None, OWN_OR_OVERSEEN),
    "correct_reading": ("patch", READING, {}, (200, 404, 404, 404)),
    "get_film": ("get", f"{READING}/film", None, OWN_OR_OVERSEEN),
    "get_heatmap": ("get", f"{READING}/heatmap", None, OWN_OR_OVERSEEN),
    "get_report": ("get", f"{READING}/report.pdf", None, OWN_OR_OVERSEEN),
    "list_reviews": ("get", f"{READING}/reviews", None, OWN_OR_OVERSEEN),
    "draft_review": ("post", f"{READING}/reviews", {"verdict": "NORMAL"}, (201, 404, 404, 404)),
    "list_patients": ("get", "/patients", None, ALL),
    "search_patients": ("post", "/patients/search", {"q": "a"}, ALL),
    "get_patient": ("get", PATIENT, None, OWN_OR_OVERSEEN),
    "send_reading": ("post", "/readings", {}, (422, 422, 403, 403)),
    "drop_file": ("post", "/uploads", {}, (422, 422, 403, 403)),
    "list_batches": ("get", "/batches", None, DOCTORS),
    "begin_batch": ("post", "/batches", {}, (201, 201, 403, 403)),
    "get_batch": ("get", BATCH, None, (200, 404, 404, 404)),
    "list_batch_items": ("get", f"{BATCH}/items", None, (200, 404, 404, 404)),
    "send_batch_file": ("post", f"{BATCH}/files", {}, (422, 404, 404, 404)),
    "state_batch_patient": ("patch", f"{BATCH}/items/{{item}}", {}, (200, 404, 404, 404)),
    "finish_batch": ("post", f"{BATCH}/finish", {}, (200, 404, 404, 404)),
    "remove_batch_item": ("delete", f"{BATCH}/items/{{item}}", None, (200, 404, 404, 404)),
    "cancel_batch": ("post", f"{BATCH}/cancel", {}, (200, 404, 404, 404)),
    "delete_reading": ("delete", READING, None, (200, 404, 404, 404)),
    "undelete_reading": ("post", f"{READING}/undelete", {}, (200, 404, 404, 404)),
    "list_models": ("get", "/models", None, ALL),
    "get_model": ("get", "/models/pneumonia-2", None, ALL),
    "get_token": ("get", "/token", None, ALL),
    "get_health": ("get", "/health", None, ALL),
}


@pytest.fixture
def addresses(sent, doctor):
    from io import BytesIO

    batch = receiving.begin_batch(doctor=doctor)
    received = receiving.add_file(
        doctor=doctor, batch_id=batch.pk, path="a.png", file=BytesIO(b"no film at all")
    )
    return {
        "reading": sent.pk,
        "patient": sent.study.patient_id,
        "batch": batch.pk,
        "item": received.items[0].pk,
    }


def test_every_operation_has_a_row():
    operations = {
        operation["operationId"]
        for methods in api.get_openapi_schema()["paths"].values()
        for operation in methods.values()
    }
    assert operations == set(ROWS)


def test_tokens_of_each_role(addresses, doctor, other_doctor, supervisor, ml_engineer):
    accounts = dict(zip(PEOPLE, (doctor, other_doctor, supervisor, ml_engineer), strict=True))
    programs = {name: Program(user) for name, user in accounts.items()}
    found = {}
    for operation, (method, address, body, _expected) in ROWS.items():
        statuses = {}
        # The doctor last: others must not profit from what the doctor has changed.
        for name in reversed(PEOPLE):
            path = address.format(**addresses)
            response = programs[name].send_json(method, path, body)
            statuses[name] = response.status_code
            if response.status_code >= 400:
                problem(response)
        found[operation] = tuple(statuses[name] for name in PEOPLE)
    assert found == {operation: row[-1] for operation, row in ROWS.items()}


def test_another_doctors_reading_is_as_one_that_does_not_exist(sent, others_program):
    theirs = others_program.get(f"/readings/{sent.pk}")
    nothing = others_program.get("/readings/00000000-0000-0000-0000-000000000000")
    assert theirs.json() == nothing.json()
    assert AuditEntry.objects.filter(what="access-denied", object_pk=str(sent.pk)).exists()
    assert others_program.get("/readings").json()["items"] == []


def test_a_suspended_account_has_no_access(sent, program, doctor, supervisor):
    assert program.get("/readings").status_code == 200
    account_services.suspend_account(by=supervisor, user=doctor, reason="left")
    assert program.get("/readings").status_code == 401


def test_unknown_addresses_and_methods_are_problems(db):
    client = Client()
    assert problem(client.get("/api/v1/nothing/here")) == "not-found"
    response = client.put("/api/v1/readings")
    assert problem(response) == "no-such-method"
    assert "GET" in response.headers["Allow"]


def test_tokens_are_in_no_log(program, sent, caplog):
    with caplog.at_level("DEBUG"):
        program.get(f"/readings/{sent.pk}")
        Client(headers={"Authorization": "Bearer xrs_wrong-secret"}).get("/api/v1/readings")
    assert program.token not in caplog.text
    assert "wrong-secret" not in caplog.text
