"""The definitions that resources are checked against, and TW Core's that no package brings."""

import datetime
import json
import re

import pytest
from fhir.resources.R4B import get_fhir_model_class

from diagnosis.models import Label
from tests.exchange.fhir.conftest import a_reading
from tests.exchange.fhir.test_reading import everything, sign
from tests.locks import ROOT

R4 = ROOT / "node_modules" / "fhir" / "profiles" / "types.json"
USED = (
    "Patient",
    "Practitioner",
    "Device",
    "ImagingStudy",
    "Observation",
    "DiagnosticReport",
    "Binary",
    "Bundle",
    "CapabilityStatement",
    "OperationOutcome",
    "Identifier",
    "HumanName",
    "Coding",
    "CodeableConcept",
    "Quantity",
    "Attachment",
    "Meta",
    "Narrative",
    "Reference",
    "Annotation",
)


@pytest.mark.parametrize("kind", USED)
def test_classes_of_r4b_have_the_elements_of_r4(kind):
    if not R4.exists():
        pytest.skip("NOT TESTED with the npm package fhir: run scripts/biome, which installs it")
    stated = json.loads(R4.read_text())[kind]["_properties"]
    theirs = {each["_name"] for each in stated if not each["_name"].startswith("_")}
    fields = get_fhir_model_class(kind).model_fields
    ours = {field.alias or name for name, field in fields.items()}
    ours = {name for name in ours if not name.startswith("_") and not name.endswith("__ext")}
    assert ours - {"resourceType", "resource_type", "fhir_comments"} == theirs - {"resourceType"}


@pytest.mark.django_db
def test_resources_have_what_their_profiles_of_tw_core_require(
    active_model, doctor, program, settings
):
    """What the published sources of TW Core 0.3.1 state."""
    settings.FHIR_TW_CORE_REPORTS = True
    doctor.licence_number = "012345"
    doctor.save()
    sign(reading := a_reading(doctor, label=Label.PNEUMONIA))
    base = "https://twcore.mohw.gov.tw/ig/twcore/StructureDefinition/"
    found = {}
    for each in everything(program, reading):
        for profile in each["meta"].get("profile", []):
            found.setdefault(profile.removeprefix(base), each)
    assert set(found) == {
        "Patient-twcore", "ImagingStudy-twcore", "Observation-simple-twcore",
        "DiagnosticReport-twcore", "Practitioner-twcore",
    }  # fmt: skip
    patient = found["Patient-twcore"]
    assert patient["gender"] in {"male", "female", "other", "unknown"}
    assert datetime.date.fromisoformat(patient["birthDate"])
    [number] = [each for each in patient["identifier"] if "type" in each]
    assert number["use"] == "official"
    assert number["type"]["coding"][0]["system"].endswith("/v2-0203")
    assert number["type"]["coding"][0]["code"] == "MR"
    assert number["system"]
    assert number["value"]
    uses = [name["use"] for name in patient["name"] if "use" in name]
    assert len(uses) == len(set(uses))
    assert all(name["text"] for name in patient["name"])
    observation = found["Observation-simple-twcore"]
    assert observation["category"]
    assert observation["subject"]["reference"].startswith("Patient/")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", observation["effectiveDateTime"])
    assert observation["derivedFrom"][0]["reference"].startswith("ImagingStudy/")
    report = found["DiagnosticReport-twcore"]
    assert report["category"][0]["coding"][0]["code"] == "RAD"
    assert report["code"]["coding"][0]["system"] == "http://loinc.org"
    assert report["subject"]["reference"].startswith("Patient/")
    assert "result" not in report
    licence = [each for each in found["Practitioner-twcore"]["identifier"] if "type" in each]
    assert licence[0]["type"]["coding"][0]["code"] == "MD"
    assert licence[0]["system"]
