"""Readings as FHIR resources: what programs may read, and what they are told."""

import datetime
import json

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, AuditMention
from diagnosis.models import HidingReason, Label, Opinion, Reading, Team, TeamMembership
from diagnosis.models.findings import finding
from diagnosis.retention import hide_reading
from diagnosis.services.opinions import Content, record_opinion
from tests.conftest import signed_in
from tests.exchange.fhir.conftest import Program, a_reading
from tests.exchange.fhir.validation import assert_valid, faults
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
KINDS = ("Patient", "ImagingStudy", "DiagnosticReport", "Observation")


def sign(
    reading: Reading, verdict: str = "PNEUMONIA", stage: str = "SIGNED", note: str = ""
) -> None:
    content = Content(
        verdict=verdict,
        findings=[finding("consolidation", lobes=["RLL"])] if verdict == "PNEUMONIA" else [],
        confidence="HIGH",
        note=note,
    )
    record_opinion(doctor=reading.doctor, reading_id=reading.pk, content=content, stage=stage)


def everything(program: Program, reading: Reading) -> list[dict]:
    """Return every resource of a reading that the program may read."""
    kinds = ("DiagnosticReport", "ImagingStudy")
    found = [program.get(f"{kind}/{reading.pk}").json() for kind in kinds]
    patient = found[0]["subject"]["reference"]
    found.append(program.get(patient).json())
    found += program.found(f"Observation?patient={patient}")
    found.append(program.get(f"Practitioner/{reading.doctor_id}").json())
    found.append(program.get(f"Device/{reading.bundle_sha256}").json())
    return found


def test_every_resource_is_valid_r4(active_model, doctor, program):
    doctor.hospital, doctor.licence_number = "衛生福利部臺北醫院", "012345"
    doctor.save()
    signed = a_reading(doctor, label=Label.PNEUMONIA, film_modality="CR")
    sign(signed, note="右下肺野浸潤 <b>")
    refused = a_reading(doctor, label=Label.OUT_OF_SCOPE, scope_reasons=["picture", "age"])
    unsure = a_reading(doctor, label=Label.UNSURE, patient_birth_date=None, patient_sex="")
    resources = [each for one in (signed, refused, unsure) for each in everything(program, one)]
    resources += [
        program.get("metadata").json(),
        program.get("DiagnosticReport?_count=2").json(),
        program.get("Patient/none").json(),
    ]
    assert {each["resourceType"] for each in resources} >= {
        *KINDS, "Practitioner", "Device", "CapabilityStatement", "Bundle", "OperationOutcome",
    }  # fmt: skip
    assert_valid(resources)


def test_the_validator_finds_faults(active_model, doctor, program):
    report = program.get(f"DiagnosticReport/{a_reading(doctor).pk}").json()
    assert faults([report | {"status": "done"}])
    assert faults([{name: value for name, value in report.items() if name != "code"}])
    assert faults([report | {"colour": "red"}])


def test_the_models_result_is_marked_and_stays_preliminary_until_a_doctor_signs(
    active_model, doctor, program
):
    reading = a_reading(
        doctor, label=Label.PNEUMONIA, probabilities={"NORMAL": 0.08, "PNEUMONIA": 0.92}
    )
    report = program.get(f"DiagnosticReport/{reading.pk}").json()
    assert report["status"] == "preliminary"
    assert report["meta"]["security"][0]["code"] == "AIAST"
    assert "resultsInterpreter" not in report
    [result] = program.found(f"Observation?_id={reading.pk}.model")
    assert result["status"] == "preliminary"
    assert result["meta"]["security"][0]["code"] == "AIAST"
    assert result["device"]["reference"] == f"Device/{reading.bundle_sha256}"
    numbers = {
        each["code"]["coding"][0]["code"]: each["valueQuantity"]["value"]
        for each in result["component"]
    }
    assert numbers == {
        "PROBABILITY_PNEUMONIA": 0.92, "PROBABILITY_NORMAL": 0.08, "NORMAL_BELOW": 0.3,
        "PNEUMONIA_FROM": 0.8,
    }  # fmt: skip
    assert program.get(f"Observation/{reading.pk}.doctor").status_code == 404

    sign(reading, "NORMAL")
    report = program.get(f"DiagnosticReport/{reading.pk}").json()
    assert report["status"] == "final"
    assert "security" not in report["meta"]
    assert report["conclusionCode"][0]["coding"][0]["code"] == "VERDICT_NORMAL"
    assert report["resultsInterpreter"][0]["display"] == doctor.display_name
    assert [each["reference"].rpartition(".")[2] for each in report["result"]] == [
        "model",
        "doctor",
    ]
    assert program.get(f"Observation/{reading.pk}.model").json()["status"] == "final"
    assert program.get(f"Observation/{reading.pk}.doctor").json()["status"] == "final"


def test_an_addendum_amends_the_report(active_model, doctor, program):
    reading = a_reading(doctor)
    sign(reading, "NORMAL")
    before = program.get(f"DiagnosticReport/{reading.pk}")
    sign(reading, "NORMAL", "ADDENDUM", note="與主治醫師討論")
    assert program.get(f"DiagnosticReport/{reading.pk}").json()["status"] == "appended"
    sign(reading, "PNEUMONIA", "ADDENDUM")
    after = program.get(f"DiagnosticReport/{reading.pk}")
    assert after.json()["status"] == "amended"
    assert program.get(f"Observation/{reading.pk}.doctor").json()["status"] == "amended"
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.json()["meta"]["lastUpdated"] > before.json()["meta"]["lastUpdated"]


def test_an_unchanged_resource_keeps_its_version_and_is_not_sent_again(
    active_model, doctor, program
):
    reading = a_reading(doctor)
    first = program.get(f"ImagingStudy/{reading.pk}")
    tag = first.headers["ETag"]
    assert first.json()["meta"]["versionId"] in tag
    again = program.get(f"ImagingStudy/{reading.pk}", if_none_match=tag)
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)


def test_names_dates_and_numbers_arrive_as_they_are(active_model, doctor, program):
    doctor.roc_years = True
    doctor.save()
    stated = {"patient_name": "Wang^XiaoMing", "other_names": ["王小明", "ワン シャオミン"]}
    reading = a_reading(
        doctor,
        patient_name="Wang^XiaoMing",
        film_patient=stated,
        exam_date=datetime.date(2026, 2, 28),
    )
    Reading.objects.filter(pk=reading.pk).update(
        created_at=datetime.datetime(2026, 2, 28, 18, 30, tzinfo=datetime.UTC)
    )
    report = program.get(f"DiagnosticReport/{reading.pk}").json()
    patient = program.get(report["subject"]["reference"]).json()
    assert [name["text"] for name in patient["name"]] == [
        "Wang^XiaoMing",
        "王小明",
        "ワン シャオミン",
    ]
    assert (patient["gender"], patient["birthDate"]) == ("male", "2022-12-31")
    assert patient["identifier"][0]["value"] == "A-1024"
    assert patient["meta"]["profile"] == [
        "https://twcore.mohw.gov.tw/ig/twcore/StructureDefinition/Patient-twcore"
    ]
    assert report["effectiveDateTime"] == "2026-02-28"
    result = program.get(f"Observation/{reading.pk}.model").json()
    assert result["issued"] == "2026-03-01T02:30:00+08:00"


def test_a_patient_without_what_tw_core_requires_claims_no_profile(active_model, doctor, program):
    reading = a_reading(doctor, patient_birth_date=None)
    patient = program.get(f"Patient/{reading.pk}").json()
    assert "birthDate" not in patient
    assert "profile" not in patient["meta"]


def test_reports_can_follow_the_profile_of_tw_core(active_model, doctor, program, settings):
    settings.FHIR_TW_CORE_REPORTS = True
    reading = a_reading(doctor)
    report = program.get(f"DiagnosticReport/{reading.pk}").json()
    assert report["meta"]["profile"][0].endswith("/DiagnosticReport-twcore")
    assert "result" not in report
    assert_valid([report])


def test_a_withheld_result_is_in_no_resource(active_model, doctor, program):
    team = Team.objects.create(name="Ward")
    TeamMembership.objects.create(team=team, user=doctor)
    shown = []
    for label, probability in (("PNEUMONIA", 0.987654), ("NORMAL", 0.012345)):
        reading = a_reading(
            doctor, label=label, withheld=True, blind_first=True,
            probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
        )  # fmt: skip
        assert program.get(f"Observation/{reading.pk}.model").status_code == 404
        assert program.get(f"Binary/{reading.pk}").status_code == 404
        assert program.found(f"Observation?_id={reading.pk}.model") == []
        report = program.get(f"DiagnosticReport/{reading.pk}").json()
        assert report["status"] == "registered"
        study = program.get(f"ImagingStudy/{reading.pk}").json()
        texts = json.dumps([report, study, program.found(f"DiagnosticReport?_id={reading.pk}")])
        for varying in (str(reading.pk), report["issued"]):
            texts = texts.replace(varying, "")
        shown.append(
            [
                {name: value for name, value in each.items() if name not in
                 {"id", "meta", "identifier", "issued", "imagingStudy", "subject", "series"}}
                for each in (report, study)
            ]
        )  # fmt: skip
        assert str(probability) not in texts
    assert shown[0] == shown[1]
    record_opinion(
        doctor=doctor, reading_id=reading.pk, content=Content(verdict="NORMAL"), stage="FIRST"
    )
    assert program.get(f"DiagnosticReport/{reading.pk}").json()["status"] == "preliminary"
    assert program.get(f"Observation/{reading.pk}.model").status_code == 200


def test_a_colleague_who_may_read_second_sees_neither_opinion_nor_result(
    active_model, doctor, other_doctor
):
    team = Team.objects.create(name="Ward")
    for member in (doctor, other_doctor):
        TeamMembership.objects.create(team=team, user=member)
    reading = a_reading(doctor, team=team, label=Label.PNEUMONIA)
    sign(reading)
    Reading.objects.filter(pk=reading.pk).update(second_state="WAITS")
    colleague = Program(other_doctor)
    report = colleague.get(f"DiagnosticReport/{reading.pk}").json()
    assert report["status"] == "registered"
    assert not {"conclusion", "conclusionCode", "result", "resultsInterpreter"} & set(report)
    assert colleague.found(f"Observation?patient={reading.pk}") == []
    assert colleague.get(f"Observation/{reading.pk}.doctor").status_code == 404
    Opinion.objects.create(reading=reading, author=other_doctor, stage="SECOND", verdict="NORMAL")
    Reading.objects.filter(pk=reading.pk).update(second_state="SPLIT")
    report = colleague.get(f"DiagnosticReport/{reading.pk}").json()
    assert report["status"] == "appended"
    parts = [each["reference"].rpartition(".")[2] for each in report["result"]]
    assert parts == ["model", "doctor", "second"]
    second = colleague.get(f"Observation/{reading.pk}.second").json()
    assert second["performer"][0]["display"] == other_doctor.display_name
    assert Program(doctor).get(second["performer"][0]["reference"]).status_code == 200
    assert_valid([report, second])


def test_a_program_sees_what_its_account_may_see(active_model, doctor, other_doctor, supervisor):
    reading = a_reading(other_doctor)
    stranger, overseer = Program(doctor), Program(supervisor)
    for address in (
        f"DiagnosticReport/{reading.pk}", f"ImagingStudy/{reading.pk}", f"Patient/{reading.pk}",
        f"Observation/{reading.pk}.model", f"Binary/{reading.pk}",
        f"Practitioner/{other_doctor.pk}",
    ):  # fmt: skip
        assert stranger.get(address).status_code == 404, address
        assert overseer.get(address).status_code == 200, address
    assert stranger.found("DiagnosticReport") == []
    assert stranger.found("Patient?identifier=A-1024") == []
    assert [each["id"] for each in overseer.found("DiagnosticReport")] == [str(reading.pk)]
    denied = AuditEntry.objects.filter(what="access-denied", actor=doctor)
    assert denied.filter(object_repr=f"FHIR Binary/{reading.pk}").exists()


def test_deleted_readings_are_gone_for_those_who_knew_them(active_model, doctor, other_doctor):
    reading = a_reading(doctor)
    hide_reading(doctor=doctor, reading_id=reading.pk, reason=HidingReason.MISTAKE)
    own = Program(doctor)
    answer = own.get(f"DiagnosticReport/{reading.pk}")
    assert answer.status_code == 410
    assert answer.json()["issue"][0]["code"] == "deleted"
    assert own.found("DiagnosticReport") == own.found("Observation") == []
    assert Program(other_doctor).get(f"DiagnosticReport/{reading.pk}").status_code == 404


def test_only_a_token_with_the_scope_opens_the_service(active_model, doctor):
    reading = a_reading(doctor)
    address = f"/fhir/DiagnosticReport/{reading.pk}"
    answer = signed_in(doctor).get(address)
    assert answer.status_code == 401
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert Client().get(address, headers={"authorization": "Bearer xrs_no"}).status_code == 401
    assert (
        Program(doctor, ("readings:read",)).get(address.removeprefix("/fhir/")).status_code == 403
    )
    assert Client().get("/fhir/metadata").status_code == 200


def test_every_read_is_on_record(active_model, doctor, program):
    reading = a_reading(doctor)
    program.get(f"ImagingStudy/{reading.pk}")
    program.get("DiagnosticReport")
    entries = AuditEntry.objects.filter(what="fhir-read").order_by("pk")
    assert [entry.object_repr for entry in entries] == ["ImagingStudy", "DiagnosticReport"]
    assert {entry.actor for entry in entries} == {doctor}
    assert AuditMention.objects.filter(entry__in=entries, object_pk=reading.pk).count() == 2


def test_searches(active_model, doctor, program):
    first = a_reading(doctor, exam_date=datetime.date(2026, 1, 31))
    other = ReadingFactory(
        doctor=doctor,
        exam_date=datetime.date(2026, 2, 1),
        film_study_uid="1.2.3",
        patient_number="B 7",
    )

    def ids(address: str) -> set[str]:
        return {each["id"] for each in program.found(address)}

    one, two = {str(first.pk)}, {str(other.pk)}
    assert ids(f"DiagnosticReport?patient={first.pk}") == one
    assert ids(f"DiagnosticReport?subject=Patient/{first.pk},Patient/{other.pk}") == one | two
    assert ids("DiagnosticReport?patient=Group/1") == set()
    assert ids("DiagnosticReport?date=2026-01") == one
    assert ids("DiagnosticReport?date=ge2026-02") == two
    assert ids("DiagnosticReport?date=gt2026-01-31&date=lt2026-02-02") == two
    assert ids("DiagnosticReport?date=2025") == set()
    assert ids("ImagingStudy?identifier=urn:dicom:uid|urn:oid:1.2.3") == two
    assert ids("ImagingStudy?identifier=1.2.3") == two
    assert ids("ImagingStudy?patient.identifier=A-1024") == one
    assert ids(f"Observation?patient={first.pk}&date=2026") == {f"{first.pk}.model"}
    assert ids("Patient?identifier=a-1024") == one
    assert ids(f"Patient?_id={first.pk}") == one
    answer = program.post("Patient/_search", {"identifier": "A-1024"})
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [str(first.pk)]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("Patient", 400),
        ("DiagnosticReport?colour=red", 400),
        ("DiagnosticReport?date=yesterday", 400),
        ("DiagnosticReport?date=2026-02-30", 400),
        ("DiagnosticReport?_count=0", 400),
        ("DiagnosticReport?_cursor=x", 400),
        ("Medication", 404),
        ("Medication/1", 404),
        ("DiagnosticReport/1", 404),
        ("Patient/%E7%8E%8B", 404),
        ("DiagnosticReport?_format=xml", 406),
    ],
)
def test_bad_requests_are_explained(program, address, status):
    answer = program.get(address)
    assert answer.status_code == status
    if address != "Patient/%E7%8E%8B":
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["Content-Type"].startswith("application/fhir+json")


def test_accepted_formats(program):
    for accepted in ("application/fhir+json", "application/json", "text/html, */*;q=0.1"):
        assert program.get("metadata", accept=accepted).status_code == 200
    assert program.get("metadata", accept="application/fhir+xml").status_code == 406
    assert program.get("metadata?_format=application/fhir+json").status_code == 200
    assert program.post("Patient", {}).status_code == 405


def test_pages_lead_to_every_report_once(
    active_model, doctor, program, django_assert_max_num_queries
):
    for _ in range(7):
        a_reading(doctor)
    Reading.objects.update(created_at=timezone.now())
    address, seen = "DiagnosticReport?_count=3", []
    while address:
        with django_assert_max_num_queries(22):
            bundle = program.get(address).json()
        assert bundle["total"] == 7
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").partition("/fhir/")[2]
    assert len(seen) == len(set(seen)) == 7
    counted = program.get("DiagnosticReport?_summary=count").json()
    assert (counted["total"], "entry" in counted) == (7, False)


def test_the_report_is_a_numbered_copy(active_model, doctor, program):
    reading = a_reading(doctor)
    report = program.get(f"DiagnosticReport/{reading.pk}").json()
    answer = program.get(report["presentedForm"][0]["url"], accept="application/pdf")
    assert answer.content.startswith(b"%PDF-")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert reading.reports.count() == 1
    assert AuditEntry.objects.filter(what="report-issued", actor=doctor).count() == 1
    resource = program.get(f"Binary/{reading.pk}", accept="application/fhir+json").json()
    assert resource["securityContext"]["reference"] == f"DiagnosticReport/{reading.pk}"
    assert_valid([resource])
