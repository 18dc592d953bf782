"""ImagingStudy: the film that a reading is about."""

from typing import Any, Final

from exchange import uids
from exchange.fhir import systems
from exchange.fhir.loading import Record
from exchange.fhir.resources.common import Resource, finished, language, reference

# What is stated of a film that came as a picture or whose file names no SOP class.
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"


def imaging_study(record: Record) -> Resource:
    """Return the ImagingStudy of a reading's film.

    It describes the film that was read and not the whole study of the archive, so it has an
    identifier of its own besides the study's UID.
    """
    reading = record.reading
    modality = systems.coding(systems.DICOM, reading.film_modality or "OT")
    resource: Resource = {
        "resourceType": "ImagingStudy",
        "id": record.key,
        "language": language(),
        "identifier": study_identifiers(record),
        "status": "available",
        "modality": [modality],
        "subject": reference("Patient", record.patient_key),
        "started": reading.exam_date.isoformat(),
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [_series(record, modality)],
    }
    return finished(resource, profile="ImagingStudy-twcore", changed_at=reading.updated_at)


def _series(record: Record, modality: systems.Coding) -> dict[str, Any]:
    reading = record.reading
    sop_class = "" if reading.header_disowned else reading.film_sop_class_uid
    return {
        "uid": uids.series_uid(reading),
        "modality": modality,
        "numberOfInstances": 1,
        "bodySite": systems.CHEST,
        "started": reading.exam_date.isoformat(),
        "instance": [
            {
                "uid": uids.instance_uid(reading),
                "sopClass": {
                    "system": systems.URI,
                    "code": f"urn:oid:{sop_class or SECONDARY_CAPTURE}",
                },
            }
        ],
    }


def study_identifiers(record: Record) -> list[dict[str, Any]]:
    """Return the study's UID, the accession number if the file has one, and this site's id."""
    reading = record.reading
    found: list[dict[str, Any]] = [
        {
            "use": "official",
            "system": systems.DICOM_UID,
            "value": f"urn:oid:{uids.study_uid(reading)}",
        }
    ]
    accession = (reading.film_patient or {}).get("accession_number")
    if accession and not reading.header_disowned:
        kind = systems.coding(systems.IDENTIFIER_TYPE, "ACSN", "Accession ID")
        found.append({"use": "usual", "type": systems.concept(kind), "value": accession})
    return [*found, own_identifier(record, "imaging-study")]


def own_identifier(record: Record, name: str) -> dict[str, Any]:
    """Return this site's identifier of a resource of a reading."""
    return {"use": "secondary", "system": systems.site_system(name), "value": record.key}
