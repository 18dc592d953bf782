"""Patient, Practitioner, and the Device that stands for the model."""

from typing import Any, Final

from accounts.models import User
from diagnosis.models import Patient as PatientRow
from diagnosis.models import Reading, Sex
from exchange.fhir import systems
from exchange.fhir.loading import Record
from exchange.fhir.resources.common import Resource, finished, language, reference
from mlcore.models import ModelVersion

GENDERS: Final = {Sex.FEMALE: "female", Sex.MALE: "male", Sex.OTHER: "other"}
PATIENT_PROFILE: Final = "Patient-twcore"


def patient(record: Record) -> Resource:
    """Return the Patient as a reading states it.

    Doctors see what the latest reading that they may see says, never the patient's row, which may
    come from a reading of somebody else.
    """
    reading = record.reading
    resource: Resource = {
        "resourceType": "Patient",
        "id": record.patient_key,
        "language": language(),
        "identifier": patient_identifiers(record),
        "active": True,
        "name": _names(reading),
        "gender": GENDERS.get(Sex(reading.patient_sex), "unknown")
        if reading.patient_sex
        else "unknown",
    }
    if reading.patient_birth_date:
        resource["birthDate"] = reading.patient_birth_date.isoformat()
    is_complete = bool(reading.patient_birth_date and reading.patient_number)
    return finished(
        resource, profile=PATIENT_PROFILE if is_complete else "", changed_at=reading.updated_at
    )


def patient_identifiers(record: Record) -> list[dict[str, Any]]:
    """Return the patient's identifiers: the hospital's number, and this site's id."""
    found = []
    if record.reading.patient_number:
        found.append(
            {
                "use": "official",
                "type": systems.concept(
                    systems.coding(systems.IDENTIFIER_TYPE, "MR", "Medical record number")
                ),
                "system": systems.patient_number_system(),
                "value": record.reading.patient_number,
            }
        )
    own = {"system": systems.site_system("patient"), "value": record.patient_key}
    return [*found, {"use": "secondary", **own}]


def _names(reading: Reading) -> list[dict[str, Any]]:
    """Return the name that the doctor sees, and the file's spellings of the same name.

    Names are not split: which characters are the family name is not known.
    """
    names = [{"use": "official", "text": reading.patient_name}]
    stated = reading.film_patient or {}
    if not reading.header_disowned and stated.get("patient_name") == reading.patient_name:
        others = [name for name in stated.get("other_names") or [] if name]
        names += [{"use": "usual", "text": name} for name in others[:1]]
        names += [{"text": name} for name in others[1:]]
    return names


def merged_patient(row: PatientRow) -> Resource:
    """Return the Patient of a row that turned out to be another patient."""
    survivor = reference("Patient", str(row.survivor().pk))
    resource: Resource = {
        "resourceType": "Patient",
        "id": str(row.pk),
        "active": False,
        "link": [{"other": survivor, "type": "replaced-by"}],
    }
    return finished(resource)


def practitioner(user: User) -> Resource:
    """Return the Practitioner of a doctor's account."""
    resource: Resource = {
        "resourceType": "Practitioner",
        "id": str(user.pk),
        "language": language(),
        "identifier": [practitioner_identifier(user)],
        "active": user.is_active and user.is_approved,
        "name": [{"use": "usual", "text": user.display_name}],
    }
    if user.licence_number:
        kind = systems.coding(systems.IDENTIFIER_TYPE, "MD", "Medical License number")
        resource["identifier"].append(
            {
                "use": "official",
                "type": systems.concept(kind),
                "system": systems.site_system("licence-number"),
                "value": user.licence_number,
            }
        )
    return finished(resource, profile="Practitioner-twcore")


def practitioner_identifier(user: User) -> dict[str, Any]:
    """Return this site's identifier of a doctor."""
    return {"use": "secondary", "system": systems.site_system("account"), "value": str(user.pk)}


def doctor_reference(user: User) -> dict[str, str]:
    """Return a reference to a doctor, with the name."""
    return reference("Practitioner", str(user.pk), user.display_name)


def device(version: ModelVersion, bundle_sha256: str) -> Resource:
    """Return the Device that stands for one bundle of the model.

    TW Core's only profile of Device is for implants, so this one has none.
    """
    resource: Resource = {
        "resourceType": "Device",
        "id": bundle_sha256,
        "identifier": [device_identifier(bundle_sha256)],
        "status": "active",
        "deviceName": [{"name": version.name, "type": "model-name"}],
        "type": systems.concept(text="AI model that reads chest X-rays of children"),
        "version": [
            {"type": systems.concept(text="model"), "value": version.name},
            {"type": systems.concept(text="SHA-256 of the bundle"), "value": bundle_sha256},
        ],
        "note": [{"text": "Decision support only; it does not replace a doctor."}],
    }
    return finished(resource)


def device_identifier(bundle_sha256: str) -> dict[str, Any]:
    """Return the identifier of a model's bundle, the same on every site."""
    return {"system": systems.BUNDLE_HASH, "value": bundle_sha256}


def device_reference(reading: Reading) -> dict[str, str]:
    """Return a reference to the model that read a film."""
    return reference("Device", reading.bundle_sha256, reading.model_name)
