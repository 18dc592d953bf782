"""Changes of a reading: each checks, changes and audits, in one transaction."""

import datetime
import hashlib
import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction

from accounts import audit
from diagnosis import films
from diagnosis.models import AgeScope, Label, Reading, Review, Verdict, agreement_of
from diagnosis.validators import UploadedFilm
from mlcore import inference
from mlcore.models import ModelVersion

if TYPE_CHECKING:
    from accounts.models import User

logger = logging.getLogger(__name__)

THUMBNAIL_SIDE = 160
VIEWER_SIDE = 1600


@dataclass(frozen=True)
class Particulars:
    """What a doctor states of the patient and the exam."""

    name: str
    age_years: int
    exam_date: datetime.date
    number: str = ""


class SubmissionTakenError(Exception):
    """The submission's id is that of a reading which this doctor does not have."""


def submit_reading(
    *, doctor: "User", upload: UploadedFilm, patient: Particulars, submission: uuid.UUID
) -> Reading:
    """Reads a film and stores the reading, or does neither.

    Args:
        submission: the id of the form that was sent; it becomes the reading's id, so that a form
            sent twice makes one reading.

    Returns:
        The new reading, or the one that the same form made before.

    Raises:
        PermissionDenied: if the account may not read films.
        SubmissionTakenError: if `submission` is another doctor's reading, or a deleted one.
        mlcore.inference.ModelUnavailable: if no trustworthy answer can be had now; nothing is
            stored then.
    """
    if not doctor.has_perm("diagnosis.add_reading"):
        raise PermissionDenied
    earlier = Reading.objects.filter(pk=submission).first()
    if earlier is not None:
        if earlier.doctor_id != doctor.pk or earlier.is_hidden:
            raise SubmissionTakenError
        return earlier
    film = upload.film
    stated = inference.Stated(age_years=patient.age_years).completed_by(film.header)
    prediction = inference.predict(film, stated=stated)
    reading = Reading(
        id=submission,
        doctor=doctor,
        film_sha256=film.sha256,
        film_format=film.format,
        film_bytes=film.byte_size,
        film_width=film.width,
        film_height=film.height,
        film_modality=(stated.modality or "")[:16],
        film_view=(stated.view or "")[:16],
        film_body_part=(stated.body_part or "")[:64],
        **_particulars(patient),
        **_result(prediction),
    )
    _store(reading, upload.data)
    return reading


def _particulars(patient: Particulars) -> dict[str, object]:
    return {
        "patient_name": patient.name,
        "patient_number": patient.number,
        "patient_age_years": patient.age_years,
        "exam_date": patient.exam_date,
    }


def _stated(reading: Reading) -> inference.Stated:
    """What doctor and file state of a reading's film, as it is stored."""
    return inference.Stated(
        age_years=reading.patient_age_years,
        modality=reading.film_modality or None,
        view=reading.film_view or None,
        body_part=reading.film_body_part or None,
    )


def _result(prediction: inference.Prediction) -> dict[str, object]:
    return {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "threshold": prediction.threshold,
        "scope_score": prediction.scope_score,
        "scope_threshold": prediction.scope_threshold,
        **_scope(prediction.scope_reasons),
        "activation_map": inference.encode_activation_map(prediction.activation_map),
        "model_version": ModelVersion.objects.get(name=prediction.model),
        "bundle_sha256": prediction.bundle_sha256,
        "preprocessing_id": prediction.preprocessing_id,
        "inference_ms": prediction.milliseconds,
    }


def _scope(reasons: Collection[str]) -> dict[str, object]:
    return {
        "scope_reasons": list(reasons),
        "age_scope": AgeScope.OUTSIDE if "age" in reasons else AgeScope.INSIDE,
    }


def _store(reading: Reading, data: bytes) -> None:
    """Stores film and row; where the row fails, a film that came with it goes too."""
    name = films.original_name(reading.film_sha256)
    kept_now = False
    try:
        with transaction.atomic(), audit.during("created"):
            lock_film(reading.film_sha256)
            kept_now = films.keep(name, data)
            reading.save(force_insert=True)
    except BaseException:
        if kept_now:
            films.forget([name])
        raise


def lock_film(sha256: str) -> None:
    """Keeps other transactions from storing or forgetting the same film until this one ends.

    SQLite's IMMEDIATE transactions exclude each other already.
    """
    if connection.vendor == "postgresql":
        key = int.from_bytes(bytes.fromhex(sha256)[:8], "big", signed=True)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


@transaction.atomic
def edit_reading(*, doctor: "User", reading_id: uuid.UUID, patient: Particulars) -> Reading:
    """Corrects the patient's particulars of an own reading.

    What the model computed stays. Its label is decided again, by the same rule and figures, where
    the age changes: a film may not keep a plain label once its patient is outside the ages that
    the model was validated on, nor be refused for a mistyped age.

    Raises:
        Reading.DoesNotExist: if it is no reading of this doctor.
    """
    reading = (
        Reading.objects.own_of(doctor)
        .select_for_update(of=("self",))
        .select_related("model_version")
        .get(pk=reading_id)
    )
    for field, value in _particulars(patient).items():
        setattr(reading, field, value)
    reading.label, reasons = inference.decide(
        reading.model_version.card,
        probabilities=reading.probabilities,
        scope_score=reading.scope_score,
        stated=_stated(reading),
    )
    for field, value in _scope(reasons).items():
        setattr(reading, field, value)
    own = Review.objects.filter(reading=reading).first()
    reading.agreement = agreement_of(reading.label, own.verdict if own else "")
    with audit.during("edited"):
        reading.save()
    return reading


@transaction.atomic
def review_reading(
    *, doctor: "User", reading_id: uuid.UUID, verdict: Verdict | str, note: str = ""
) -> Review:
    """States, or states anew, what the doctor reads on the film.

    Raises:
        Reading.DoesNotExist: if it is no reading of this doctor.
        ValueError: if there is no such verdict.
    """
    verdict = Verdict(verdict)
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    own = Review.objects.filter(reading=reading).first() or Review(reading=reading)
    changes = {
        name: [before, after]
        for name, before, after in (
            ("verdict", own.verdict, verdict.value),
            ("note", own.note, note),
        )
        if before != after
    }
    if not changes:
        return own
    own.doctor, own.verdict, own.note = doctor, verdict, note
    own.save()
    # Not `save`: the record itself, and when it was last changed, stay as they are.
    Reading.objects.filter(pk=reading.pk).update(agreement=agreement_of(reading.label, verdict))
    audit.record_change(reading, what="reviewed", changes=changes)
    return own


class FilmMissingError(Exception):
    """The stored film is gone, or is not the film that was read."""


def original_film(reading: Reading) -> bytes:
    """Returns the film byte for byte as it came.

    Raises:
        FilmMissingError: if it is not in storage or its hash is another.
    """
    data = films.read(films.original_name(reading.film_sha256))
    if data is None or hashlib.sha256(data).hexdigest() != reading.film_sha256:
        logger.error("The film of reading %s is missing or altered.", reading.pk)
        raise FilmMissingError(str(reading.pk))
    return data


def film_rendering(reading: Reading, *, max_side: int) -> bytes:
    """Returns a re-encoded JPEG of the film, at most `max_side` pixels a side, made once.

    Raises:
        FilmMissingError: if the original is needed and cannot be had.
    """
    name = films.rendering_name(reading.film_sha256, max_side)
    rendering = films.read(name)
    if rendering is None:
        film = inference.read_film(original_film(reading))
        rendering = inference.render_film(film, max_side=max_side)
        films.keep(name, rendering)
    return rendering


def heatmap(reading: Reading, *, max_side: int = 800) -> bytes:
    """Returns the activation map as a transparent PNG in the film's proportions."""
    scale = max_side / max(reading.film_width, reading.film_height)
    return inference.render_heatmap(
        inference.decode_activation_map(bytes(reading.activation_map)),
        max(1, round(reading.film_width * scale)),
        max(1, round(reading.film_height * scale)),
    )


REPLAY_TOLERANCE = 1e-4


def replay(reading: Reading) -> list[str]:
    """Reads the stored film again with the model that read it.

    Returns:
        What differs from what is stored, in words; nothing where all is the same.

    Raises:
        FilmMissingError: the film is missing or altered.
        mlcore.inference.ModelUnavailable: the model is gone or its bundle is another.
    """
    model = inference.model_named(reading.model_version.name, sha256=reading.bundle_sha256)
    again = inference.predict(original_film(reading), stated=_stated(reading), model=model)
    pairs = {
        "label": (reading.label, again.label),
        "threshold": (reading.threshold, again.threshold),
        "scope reasons": (reading.scope_reasons, list(again.scope_reasons)),
        "preprocessing": (reading.preprocessing_id, again.preprocessing_id),
    }
    differences = [
        f"{name} was {stored}, is {now}" for name, (stored, now) in pairs.items() if stored != now
    ]
    figures = {
        "probability": (reading.probability, again.probabilities[Label.PNEUMONIA]),
        "scope score": (reading.scope_score, again.scope_score),
    }
    return differences + [
        f"{name} was {stored:.6f}, is {now:.6f}"
        for name, (stored, now) in figures.items()
        if abs(stored - now) > REPLAY_TOLERANCE * max(1, abs(stored))
    ]
