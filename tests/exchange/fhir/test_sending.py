"""Results sent to FHIR servers: which, when, again, and what the server then has."""

import base64
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis.models import HidingReason, Label, Patient, Reading, Study
from diagnosis.retention import hide_reading
from exchange.fhir import queueing, sending
from exchange.fhir.models import FhirDelivery, FhirServer
from tests.exchange.fhir.conftest import a_reading
from tests.exchange.fhir.server import serving
from tests.exchange.fhir.test_reading import sign
from tests.exchange.fhir.validation import assert_valid

pytestmark = pytest.mark.django_db
State = FhirDelivery.State


@pytest.fixture
def store():
    with serving() as found:
        yield found


@pytest.fixture
def server(store):
    return FhirServer.objects.create(
        name="HIS", url=store.url, is_enabled=True, sends_document=False
    )


def test_a_signed_result_arrives_once_however_often_it_is_sent(active_model, doctor, store, server):
    reading = a_reading(doctor, label=Label.PNEUMONIA)
    queueing.queue(reading.pk)
    queueing.send_due()
    assert store.resources == {}
    assert FhirDelivery.objects.get().error == "No opinion has been signed."
    sign(reading)
    queueing.send_due()
    assert sorted(kind for kind, _key in store.resources) == [
        "Device", "DiagnosticReport", "ImagingStudy", "Observation", "Observation", "Patient",
        "Practitioner",
    ]  # fmt: skip
    [report] = store.of("DiagnosticReport")
    assert report["status"] == "final"
    assert report["subject"]["reference"].startswith("Patient/patient-")
    assert store.of("Patient")[0]["name"][0]["text"] == "王小明"
    before = dict(store.resources)
    delivery = FhirDelivery.objects.get()
    assert (delivery.state, delivery.error) == (State.SENT, "")
    # As if the process had died after the server answered.
    FhirDelivery.objects.update(state=State.WAITING, version="", claimed_until=None)
    queueing.send_due()
    assert store.resources == before
    assert len(store.asked) == 2
    assert AuditEntry.objects.filter(what="fhir-sent").count() == 2


def test_an_amended_result_replaces_the_first(active_model, doctor, store, server):
    reading = a_reading(doctor)
    sign(reading, "NORMAL")
    queueing.send_due()
    sign(reading, "PNEUMONIA", "ADDENDUM")
    queueing.send_due()
    [report] = store.of("DiagnosticReport")
    assert report["status"] == "amended"
    assert len(store.of("Observation")) == 2


def test_what_the_hospital_knows_already_is_not_overwritten(active_model, doctor, store, server):
    sign(reading := a_reading(doctor))
    queueing.send_due()
    [key] = [each for each in store.resources if each[0] == "Patient"]
    store.resources[key]["name"] = [{"text": "王大明"}]
    sign(reading, "NORMAL", "ADDENDUM")
    queueing.send_due()
    assert store.of("Patient")[0]["name"] == [{"text": "王大明"}]


def test_a_number_that_two_patients_claim_finds_nobody(active_model, doctor, store, server):
    row = Patient.objects.create(number="A-1024", name="王小明", number_disputed=True)
    reading = a_reading(doctor)
    study = Study.objects.create(patient=row, exam_date=reading.exam_date)
    Reading.objects.filter(pk=reading.pk).update(study=study)
    sign(Reading.objects.get(pk=reading.pk))
    queueing.send_due()
    [patient] = store.of("Patient")
    assert [each["value"] for each in patient["identifier"]] == [str(row.pk)]


@pytest.mark.parametrize("label", [Label.UNSURE, Label.OUT_OF_SCOPE])
def test_uncertain_results_stay_unless_the_server_wants_them(
    active_model, doctor, store, server, label
):
    reading = a_reading(doctor, label=label)
    sign(reading, "NORMAL")
    queueing.send_due()
    assert store.resources == {}
    FhirServer.objects.update(sends_unsure=True, sends_out_of_scope=True)
    queueing.queue(reading.pk)
    queueing.send_due()
    assert store.of("DiagnosticReport")


def test_a_withheld_result_is_never_sent(active_model, doctor, store, server):
    FhirServer.objects.update(when=FhirServer.When.AT_ONCE)
    queueing.queue(a_reading(doctor, withheld=True, blind_first=True).pk)
    queueing.send_due()
    assert store.asked == []
    queueing.queue(a_reading(doctor).pk)
    queueing.send_due()
    [report] = store.of("DiagnosticReport")
    assert report["status"] == "preliminary"


def test_a_deleted_result_is_taken_back(active_model, doctor, store, server):
    sent, unsent = a_reading(doctor), a_reading(doctor)
    sign(sent)
    queueing.send_due()
    for reading in (sent, unsent):
        hide_reading(doctor=doctor, reading_id=reading.pk, reason=HidingReason.MISTAKE)
    queueing.send_due()
    statuses = {each["status"] for kind in ("DiagnosticReport", "Observation", "ImagingStudy")
                for each in store.of(kind)}  # fmt: skip
    assert statuses == {"entered-in-error"}
    assert len(store.of("DiagnosticReport")) == 1
    assert_valid([*store.of("DiagnosticReport"), *store.of("Observation")])


def test_a_result_that_cannot_be_made_holds_up_no_other(
    active_model, doctor, store, server, monkeypatch, caplog
):
    first, other = a_reading(doctor), a_reading(doctor)
    made = sending.bundles.transaction

    def transaction(record, **options):
        if record.reading.pk == first.pk:
            raise ValueError("王小明")
        return made(record, **options)

    monkeypatch.setattr(sending.bundles, "transaction", transaction)
    sign(first)
    sign(other)
    queueing.send_due()
    found = dict(FhirDelivery.objects.values_list("reading_id", "state"))
    assert found == {first.pk: State.FAILED, other.pk: State.SENT}
    assert "王小明" not in caplog.text + str(FhirDelivery.objects.values_list("error"))


def test_a_busy_server_is_asked_again_later(active_model, doctor, store, server):
    store.fails = [503, 200]
    sign(a_reading(doctor))
    queueing.send_due()
    delivery = FhirDelivery.objects.get()
    assert delivery.state == State.WAITING
    assert delivery.due_at > timezone.now() + timedelta(seconds=50)
    FhirDelivery.objects.update(due_at=timezone.now())
    queueing.send_due()
    assert FhirDelivery.objects.get().state == State.SENT


def test_a_refusal_is_kept_without_the_words_of_the_server(active_model, doctor, store, server):
    store.fails = [422]
    sign(a_reading(doctor))
    queueing.send_due()
    delivery = FhirDelivery.objects.get()
    assert (delivery.state, delivery.error) == (
        State.FAILED, "The system answered: HTTP 422, processing",
    )  # fmt: skip


def test_a_server_that_is_away_is_given_up_after_days(active_model, doctor, server):
    FhirServer.objects.update(url="http://127.0.0.1:9/r4")
    sign(a_reading(doctor))
    for _ in range(len(sending.DELAYS) + 1):
        FhirDelivery.objects.update(due_at=timezone.now())
        queueing.send_due()
    assert FhirDelivery.objects.get().state == State.FAILED


def test_the_token_is_read_from_the_environment(active_model, doctor, store, server, monkeypatch):
    FhirServer.objects.update(token_name="HIS")
    sign(a_reading(doctor))
    queueing.send_due()
    assert "There is no token HIS" in FhirDelivery.objects.get().error
    monkeypatch.setenv("FHIR_TOKEN_HIS", "secret")
    FhirDelivery.objects.update(state=State.WAITING)
    queueing.send_due()
    assert store.asked[-1]["headers"]["Authorization"] == "Bearer secret"


def test_supervisors_send_again(active_model, doctor, store, server, as_supervisor):
    sign(a_reading(doctor))
    store.fails = [400]
    queueing.send_due()
    delivery = FhirDelivery.objects.get()
    page = as_supervisor.get("/admin/fhir/fhirdelivery/")
    assert "HTTP 400" in page.content.decode()
    as_supervisor.post(
        "/admin/fhir/fhirdelivery/",
        {"action": "send_now", "_selected_action": str(delivery.pk)},
    )
    queueing.send_due()
    assert FhirDelivery.objects.get().state == State.SENT
    assert AuditEntry.objects.filter(what="fhir-retried").exists()


def test_export_prints_a_valid_bundle_with_the_report(active_model, doctor, capsys):
    reading = a_reading(doctor, label=Label.PNEUMONIA)
    sign(reading)
    call_command("export_fhir", str(reading.pk), "--pdf")
    bundle = json.loads(capsys.readouterr().out)
    assert_valid([bundle, *(entry["resource"] for entry in bundle["entry"])])
    [report] = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "DiagnosticReport"
    ]
    assert base64.b64decode(report["presentedForm"][0]["data"]).startswith(b"%PDF-")
    assert AuditEntry.objects.filter(what="fhir-exported").exists()
    with pytest.raises(CommandError, match="no reading"):
        call_command("export_fhir", "nothing")
