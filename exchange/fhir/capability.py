"""The CapabilityStatement: what the service can do."""

import datetime
from typing import Any

from django.conf import settings

from exchange.fhir.parameters import PARAMETERS, TYPES
from exchange.fhir.systems import TW_CORE

# By kind, TW Core's profile of the resources that have one.
PROFILES = {
    "Patient": "Patient-twcore",
    "ImagingStudy": "ImagingStudy-twcore",
    "Observation": "Observation-simple-twcore",
    "Practitioner": "Practitioner-twcore",
}
READ_ONLY = ("Practitioner", "Device", "Binary")
# When this module last changed what the service can do.
DATE = datetime.date(2026, 11, 28)


def capability_statement(base: str) -> dict[str, Any]:
    """Return the statement of the service at `base`."""
    resources = [_resource(kind, search=True) for kind in PARAMETERS]
    resources += [_resource(kind, search=False) for kind in READ_ONLY]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": DATE.isoformat(),
        "kind": "instance",
        "software": {"name": "xraysite"},
        "implementation": {"description": "Chest X-ray readings", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "description": "Authorization: Bearer, with a token of the scope fhir:read."
                },
                "resource": resources,
            }
        ],
    }


def _resource(kind: str, *, search: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": "read"}],
        "versioning": "versioned" if kind != "Binary" else "no-version",
        "readHistory": False,
    }
    profile = PROFILES.get(kind)
    if kind == "DiagnosticReport" and settings.FHIR_TW_CORE_REPORTS:
        profile = "DiagnosticReport-twcore"
    if profile:
        found["supportedProfile"] = [f"{TW_CORE}{profile}"]
    if search:
        found["interaction"].append({"code": "search-type"})
        found["searchParam"] = [
            {"name": name, "type": TYPES[name]} for name in sorted(PARAMETERS[kind])
        ]
    return found
