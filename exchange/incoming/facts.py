"""What is known of an X-ray that arrived: what its header states."""

from typing import Any

from diagnosis.services.patients import AGE, stated_in
from mlcore import inference
from mlcore.engine.data.population import header_reasons
from mlcore.engine.films.film import Film
from mlcore.engine.films.header import DicomHeader

# JSON values: those of `StatedPatient`, and the keys below. Nothing stated, no key.
Facts = dict[str, Any]
MODALITY, VIEW, BODY_PART = "modality", "view", "body_part"
STATION, INSTITUTION = "station", "institution"
# What the header alone puts outside the model's scope, but for the age, as codes of SCOPE_REASONS.
UNREAD = "unread"
AGE_YEARS = AGE
MAX_LENGTH = 120


def facts_of(film: Film) -> Facts:
    """Return what the header of a film states about patient, machine and image.

    Raises:
        mlcore.inference.ModelUnavailable: no model is active, so nobody knows what it reads.
    """
    header = film.header or DicomHeader()
    image = {
        MODALITY: header.modality,
        VIEW: header.view_position,
        BODY_PART: header.body_part,
        STATION: header.station_name,
        INSTITUTION: header.institution,
    }
    found = {key: value[:MAX_LENGTH] for key, value in image.items() if value}
    population = inference.active_model().card["population"]
    unread = [reason for reason in header_reasons(population, header) if reason != "age"]
    return stated_in(film.header) | found | ({UNREAD: unread} if unread else {})


def age_in(facts: Facts) -> int | None:
    """Return the age in completed years, if it is stated without contradiction."""
    age = facts.get(AGE_YEARS)
    return None if age is None else int(age)
