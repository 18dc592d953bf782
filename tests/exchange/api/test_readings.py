"""Readings by the API: sent once, shown as pages show them, corrected, deleted, restored."""

import json

import pytest
from django.test import Client

from accounts.models import AuditEntry
from diagnosis import retention
from diagnosis.models import HidingReason, Reading
from tests.exchange.api.conftest import Program, problem
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db


def test_an_x_ray_is_sent_and_its_reading_fetched(program, lenient_model, film_bytes):
    response = program.upload(film_bytes, key="k1")
    assert response.status_code == 201
    body = response.json()
    reading = Reading.objects.get()
    assert response.headers["Location"] == f"/api/v1/readings/{reading.pk}"
    assert body["patient"]["name"] == "陳小明"
    assert body["result"]["label"] == reading.label
    assert body["result"]["probabilities"] == reading.probabilities
    assert body["result"]["rule"]["pneumonia_from"] == reading.pneumonia_from
    assert body["model"]["bundle_sha256"] == lenient_model.bundle_sha256
    fetched = program.get(f"/readings/{reading.pk}")
    assert fetched.json() == body
    assert "no-store" in fetched.headers["Cache-Control"]
    assert AuditEntry.objects.filter(what="api-reading", object_pk=str(reading.pk)).exists()
    unchanged = program.get(
        f"/readings/{reading.pk}", headers={"If-None-Match": fetched.headers["ETag"]}
    )
    assert unchanged.status_code == 304
    for part in ("film", "film?size=original", "heatmap", "report.pdf"):
        assert program.get(f"/readings/{reading.pk}/{part}").status_code == 200, part


def test_out_of_scope_there_is_no_probability(sent, program):
    result = program.get(f"/readings/{sent.pk}").json()["result"]
    assert result["label"] == "OUT_OF_SCOPE"
    assert result["scope"]["texts"]
    assert result["probability"] is None
    assert result["probabilities"] is None


def test_a_repeated_request_makes_no_second_reading(program, active_model, film_bytes):
    first = program.upload(film_bytes, key="k1")
    again = program.upload(film_bytes, key="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert AuditEntry.objects.filter(what="api-reading").count() == 1  # of what is given again
    assert Reading.objects.count() == 1
    # Without a key, one is made from the content.
    other = encode(synthetic_film("NORMAL", seed=5), "png")
    assert program.upload(other).status_code == 201
    assert program.upload(other).status_code == 200


def test_a_key_with_other_content_is_refused(program, active_model, film_bytes):
    program.upload(film_bytes, key="k1")
    other_film = encode(synthetic_film("NORMAL", seed=5), "png")
    assert problem(program.upload(other_film, key="k1")) == "idempotency-key-reused"
    changed = program.upload(film_bytes, key="k1", patient_name="Other")
    assert problem(changed) == "idempotency-key-reused"
    assert Reading.objects.count() == 1


def test_a_key_is_free_again_after_a_refusal(program, active_model, film_bytes):
    assert program.upload(b"no film", key="k1").status_code == 422
    assert program.upload(film_bytes, key="k1").status_code == 201


def test_the_same_key_of_another_account_is_another_one(
    program, others_program, active_model, film_bytes
):
    assert program.upload(film_bytes, key="k1").status_code == 201
    assert others_program.upload(film_bytes, key="k1").status_code == 201
    assert Reading.objects.count() == 2


def test_a_conflict_of_header_and_form_states_both_and_takes_the_choice(program, active_model):
    film = encode_dicom(
        synthetic_film("NORMAL", seed=1),
        PatientName="Doe^Jane", PatientID="A123", PatientAge="062Y",
    )  # fmt: skip
    details = {"patient_name": "Doe Jane", "name": "a.dcm"}
    response = program.upload(film, **details)
    assert problem(response) == "conflict"
    stated = response.json()["conflicts"]["fields"]
    assert [(each["field"], each["file"], each["form"]) for each in stated] == [
        ("patient_age_years", "62", "3")
    ]
    assert not Reading.objects.exists()
    no_reason = {"fields": {"patient_age_years": {"choose": "form"}}}
    refused = program.upload(film, **details, decisions=json.dumps(no_reason))
    assert refused.status_code == 409
    assert refused.json()["errors"]
    choice = {"fields": {"patient_age_years": {"choose": "file"}}}
    taken = program.upload(film, **details, decisions=json.dumps(choice))
    assert taken.status_code == 201
    assert taken.json()["patient"]["age_years"] == 62
    assert taken.json()["discrepancies"][0]["chosen"] == "file"


def test_the_same_x_ray_under_another_patient_has_to_be_decided(program, sent, film_bytes):
    response = program.upload(film_bytes, patient_name="Another", patient_number="B9")
    assert problem(response) == "conflict"
    found = response.json()["conflicts"]["same_film"]
    assert [each["id"] for each in found] == [str(sent.pk)]
    decisions = {"seen": [str(sent.pk)], "film_reason": "The first name was a mistake."}
    taken = program.upload(
        film_bytes, patient_name="Another", patient_number="B9", decisions=json.dumps(decisions)
    )
    assert taken.status_code == 201, taken.content


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"patient_age_years": "old"}, "patient_age_years"), ({"patient_name": ""}, "patient_name"),
     ({"exam_date": "2999-01-01"}, "exam_date")],
)  # fmt: skip
def test_invalid_fields_are_named(program, active_model, film_bytes, changes, field):
    response = program.upload(film_bytes, **changes)
    assert problem(response) == "invalid"
    assert field in {each["field"] for each in response.json()["errors"]}


def test_details_are_corrected_unless_they_have_changed_meanwhile(program, sent):
    path = f"/readings/{sent.pk}"
    tag = program.get(path).headers["ETag"]
    changed = program.send_json(
        "patch", path, {"patient_name": "王小華"}, headers={"If-Match": tag}
    )
    assert changed.json()["patient"]["name"] == "王小華"
    late = program.send_json("patch", path, {"patient_name": "B"}, headers={"If-Match": tag})
    assert problem(late) == "changed"
    born = program.send_json("patch", path, {"patient_birth_date": "2020-01-01"})
    assert born.json()["patient"]["age_years"] == 6
    unknown = program.send_json("patch", path, {"label": "NORMAL"})
    assert problem(unknown) == "invalid"


def test_a_deleted_reading_can_be_restored_for_a_while(program, sent):
    path = f"/readings/{sent.pk}"
    deleted = program.call("delete", f"{path}?reason=MISTAKE")
    assert deleted.json()["undo_until"] > deleted.json()["deleted_at"]
    sent.refresh_from_db()
    assert sent.hidden_reason == HidingReason.MISTAKE
    assert problem(program.get(path)) == "not-found"
    assert program.call("post", f"{path}/undelete").status_code == 200
    program.call("delete", path)
    Reading.objects.filter(pk=sent.pk).update(hidden_at=sent.created_at - 2 * retention.UNDO_WINDOW)
    assert problem(program.call("post", f"{path}/undelete")) == "too-late"


def test_lists_are_filtered_and_paged_without_gaps(program, doctor, active_model):
    made = [ReadingFactory(doctor=doctor, patient_age_years=age) for age in range(7)]
    pages, cursor = [], ""
    while cursor is not None:
        page = program.get(f"/readings?limit=3&cursor={cursor}").json()
        pages.append(page["items"])
        cursor = page["next"]
        if len(pages) == 1:  # what comes and goes meanwhile moves nothing
            ReadingFactory(doctor=doctor)
            retention.hide_reading(doctor=doctor, reading_id=made[4].pk, reason="MISTAKE")
    listed = [each["id"] for items in pages for each in items]
    assert listed == [str(each.pk) for each in reversed(made)]
    young = program.get("/readings?age_to=2&sort=age").json()["items"]
    assert [each["patient"]["age_years"] for each in young][:3] == [0, 1, 2]
    assert problem(program.get("/readings?result=MAYBE")) == "invalid"
    assert problem(program.get("/readings?cursor=nonsense")) == "bad-cursor"


def test_a_list_costs_as_many_queries_as_one_reading(
    program, doctor, active_model, django_assert_max_num_queries
):
    for _number in range(8):
        ReadingFactory(doctor=doctor)
    program.get("/readings?limit=1")
    with django_assert_max_num_queries(16):
        assert len(program.get("/readings").json()["items"]) == 8


def test_patients_are_searched_in_the_body(program, sent):
    found = program.send_json("post", "/readings/search", {"q": "陳小"}).json()["items"]
    assert [each["id"] for each in found] == [str(sent.pk)]
    assert not program.send_json("post", "/readings/search", {"q": "nobody"}).json()["items"]
    patient = program.send_json("post", "/patients/search", {"q": "A123"}).json()["items"][0]
    assert patient["name"] == "陳小明"
    assert program.get("/patients").json()["items"] == [patient]
    detail = program.get(f"/patients/{patient['id']}").json()
    assert [each["id"] for each in detail["readings"]] == [str(sent.pk)]


def test_a_blind_first_result_is_in_no_response(program, doctor, active_model, film_bytes):
    doctor.blind_first = True
    doctor.save()
    response = program.upload(film_bytes)
    reading = Reading.objects.get()
    path = f"/readings/{reading.pk}"
    patient = f"/patients/{reading.study.patient_id}"
    shown = [response, *(program.get(each) for each in (path, "/readings", patient))]
    draft = program.send_json("post", f"{path}/reviews", {"verdict": "NORMAL"})
    assert draft.status_code == 201
    shown += [draft, program.get(path)]  # a draft reveals nothing
    for each in shown:
        text = each.content.decode()
        assert each.status_code in (200, 201), text
        assert reading.label not in text
        assert str(round(reading.probability, 6)) not in text
    assert program.get(path).json()["result"] is None
    assert program.get(f"/readings?result={reading.label}").json()["items"] == []
    assert program.get(f"{path}/heatmap").status_code == 404
    assert problem(program.get(f"{path}/report.pdf")) == "withheld"


def test_a_program_prepares_an_opinion_and_signs_none(program, sent, as_doctor):
    path = f"/readings/{sent.pk}/reviews"
    finding = {"code": "consolidation", "lobes": ["RUL"]}
    content = {"verdict": "PNEUMONIA", "findings": [finding], "note": "prepared"}
    response = program.send_json("post", path, content)
    assert response.status_code == 201
    body = program.get(path).json()
    assert body["items"] == []
    assert not body["is_signed"]
    assert body["draft"]["note"] == "prepared"
    assert "prepared" in as_doctor.get(f"/readings/{sent.pk}/").content.decode()
    contradiction = {"verdict": "NORMAL", "findings": [finding]}
    assert problem(program.send_json("post", path, contradiction)) == "invalid"
    as_doctor.post(f"/readings/{sent.pk}/own-reading/", {"verdict": "OTHER"})
    assert program.get(path).json()["items"][0]["verdict"] == "OTHER"


def test_limits_and_quotas_are_those_of_the_pages(program, active_model, film_bytes, settings):
    settings.ACCOUNT_LIMITS = {"upload": ["1/h"]}
    program.upload(film_bytes)
    other = encode(synthetic_film("NORMAL", seed=5), "png")
    response = program.upload(other)
    assert problem(response) == "too-many-requests"
    assert int(response.headers["Retry-After"]) > 1
    settings.ACCOUNT_LIMITS = {}
    settings.DOCTOR_QUOTA_BYTES = 1
    assert problem(program.upload(other)) == "quota"


def test_a_file_above_the_limit_is_refused(program, active_model, film_bytes, settings):
    settings.FILM_MAX_BYTES = 1000
    assert problem(program.upload(film_bytes)) == "too-large"


def test_without_a_model_no_reading_is_made(program, db, film_bytes):
    response = program.upload(film_bytes)
    assert problem(response) == "model-unavailable"
    assert response.headers["Retry-After"]
    assert not Reading.objects.exists()


def test_errors_follow_the_language_that_is_asked_for(program, active_model):
    path = "/readings/00000000-0000-0000-0000-000000000000"
    english = program.get(path)
    chinese = program.get(path, headers={"Accept-Language": "zh-TW,zh;q=0.9"})
    assert english.json()["detail"] == "This reading does not exist."
    assert chinese.headers["Content-Language"] == "zh-hant"
    assert chinese.json()["detail"] != english.json()["detail"]
    program.client.cookies["django_language"] = "zh-hant"
    assert program.get(path).json() == english.json()


def test_a_session_is_no_token(as_doctor: Client, sent):
    response = as_doctor.get(f"/api/v1/readings/{sent.pk}")
    assert response.status_code == 401
    assert problem(response) == "no-valid-token"
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert as_doctor.post("/api/v1/batches").status_code == 401


def test_nothing_permits_pages_elsewhere_to_call_it(program, sent):
    for method in ("get", "options"):
        response = program.call(method, "/readings", headers={"Origin": "https://evil.example"})
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


def test_scopes_limit_a_token(doctor, sent):
    reader = Program(doctor, "readings:read")
    assert reader.get(f"/readings/{sent.pk}").status_code == 200
    for method, path in (
        ("delete", f"/readings/{sent.pk}"), ("post", "/batches"), ("get", "/patients"),
        ("get", "/models"), ("get", f"/readings/{sent.pk}/reviews"),
    ):  # fmt: skip
        response = reader.call(method, path)
        assert response.status_code == 403
        assert problem(response) == "scope-missing"
    assert reader.get("/token").json()["scopes"] == ["readings:read"]
