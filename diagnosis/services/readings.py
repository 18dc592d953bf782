"""Changes of a reading: each checks, changes and audits, in one transaction."""

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts.audit import recording
from diagnosis import storage
from diagnosis.models import AgeScope, Reading, Review, Verdict, agreement_of
from diagnosis.services.films import lock_film
from diagnosis.validators import UploadedFilm
from mlcore import inference
from mlcore.models import ModelVersion

if TYPE_CHECKING:
    from accounts.models import User


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


def stated_of(reading: Reading) -> inference.Stated:
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
    name = storage.original_name(reading.film_sha256)
    kept_now = False
    try:
        with transaction.atomic(), recording.event("created"):
            lock_film(reading.film_sha256)
            kept_now = storage.keep(name, data)
            reading.save(force_insert=True)
    except BaseException:
        if kept_now:
            storage.forget([name])
        raise


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
        stated=stated_of(reading),
    )
    for field, value in _scope(reasons).items():
        setattr(reading, field, value)
    own = Review.objects.filter(reading=reading).first()
    reading.agreement = agreement_of(reading.label, own.verdict if own else "")
    with recording.event("edited"):
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
    recording.record_change(reading, what="reviewed", changes=changes)
    return own
