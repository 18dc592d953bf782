"""Services that change readings; each checks, changes and audits in one transaction."""

import datetime
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction

from accounts.audit import recording
from diagnosis import storage
from diagnosis.models import AgeScope, Label, Reading, Review, Verdict, agreement_of
from diagnosis.services.films import lock_film, render_all
from diagnosis.validators import UploadedFilm
from mlcore import inference
from mlcore.cards.shown import shown_probability
from mlcore.models import ModelVersion

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True)
class PatientDetails:
    """What a doctor enters about the patient and the exam.

    Attributes:
        name: the patient's name, at most 120 characters.
        age_years: age at the exam in completed years, 0 to 130.
        exam_date: date of the exam.
        number: the hospital's patient number, at most 64 characters; may be empty.
    """

    name: str
    age_years: int
    exam_date: datetime.date
    number: str = ""


class SubmissionTakenError(Exception):
    """Raised when a submission id belongs to another doctor's reading or to a deleted one."""


class ModelForgottenError(Exception):
    """Raised when a result must be decided again, but the card of its model is not known.

    Only readings of earlier versions of the site, which let a model take the name of another.
    """


def submit_reading(
    *, doctor: "User", upload: UploadedFilm, patient: PatientDetails, submission: uuid.UUID
) -> Reading:
    """Run the active model on a film and store the reading; on any error, store nothing.

    Args:
        doctor: the doctor who uploads the film.
        upload: a validated film.
        patient: what the doctor entered about the patient.
        submission: the id of the submitted form. It becomes the reading's id, so a form that is
            sent twice creates one reading.

    Returns:
        The new reading, or the reading that the same form created before.

    Raises:
        PermissionDenied: the account may not read films.
        SubmissionTakenError: `submission` is the id of another doctor's reading or of a deleted
            one.
        mlcore.inference.ModelUnavailable: the model is missing or damaged, too slow, or its output
            is invalid.
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
        **_patient_fields(patient),
        **_prediction_fields(prediction),
    )
    _store(reading, upload)
    return reading


def _patient_fields(patient: PatientDetails) -> dict[str, object]:
    return {
        "patient_name": patient.name,
        "patient_number": patient.number,
        "patient_age_years": patient.age_years,
        "exam_date": patient.exam_date,
    }


def stated_of(reading: Reading) -> inference.Stated:
    """Return the age, modality, view and body part stored with a reading."""
    return inference.Stated(
        age_years=reading.patient_age_years,
        modality=reading.film_modality or None,
        view=reading.film_view or None,
        body_part=reading.film_body_part or None,
    )


def _prediction_fields(prediction: inference.Prediction) -> dict[str, object]:
    return {
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "threshold": prediction.threshold,
        **_decision_fields(prediction.rule, prediction.probabilities),
        "scope_score": prediction.scope_score,
        "scope_threshold": prediction.scope_threshold,
        **_scope_fields(prediction.scope_reasons),
        "activation_map": inference.encode_activation_map(prediction.activation_map),
        "model_version": ModelVersion.objects.get(
            name=prediction.model, bundle_sha256=prediction.bundle_sha256
        ),
        "bundle_sha256": prediction.bundle_sha256,
        "preprocessing_id": prediction.preprocessing_id,
        "inference_ms": prediction.milliseconds,
    }


def _decision_fields(
    rule: inference.DecisionRule, probabilities: Mapping[str, float]
) -> dict[str, object]:
    """Return the decision as the doctor sees it, to be stored with the reading."""
    shown = shown_probability(probabilities[Label.PNEUMONIA], rule.lower, rule.upper)
    return {
        "rule": inference.RULE,
        "normal_below": rule.lower,
        "pneumonia_from": rule.upper,
        "probability_shown": shown,
    }


def _scope_fields(reasons: Collection[str]) -> dict[str, object]:
    return {
        "scope_reasons": list(reasons),
        "age_scope": AgeScope.OUTSIDE if "age" in reasons else AgeScope.INSIDE,
    }


def _store(reading: Reading, upload: UploadedFilm) -> None:
    """Store the film, its renderings and the row; if any of it fails, remove the new files.

    The renderings come from the pixels that were decoded for the model, so no later view of the
    film has to decode it again.
    """
    sha256 = upload.film.sha256
    files = {storage.original_name(sha256): upload.data, **render_all(upload.film)}
    new_files: list[str] = []
    try:
        with transaction.atomic(), recording.event("created"):
            lock_film(sha256)
            for name, content in files.items():
                if storage.keep(name, content):
                    new_files.append(name)
            reading.save(force_insert=True)
    except BaseException:
        storage.remove(new_files)
        raise


@transaction.atomic
def edit_reading(*, doctor: "User", reading_id: uuid.UUID, patient: PatientDetails) -> Reading:
    """Correct the patient's details of one of the doctor's own readings.

    The model's probabilities stay as they are. The label is decided again by the same rule, because
    a film must not keep its label when the patient turns out to be outside the validated age range,
    nor stay refused because of a mistyped age.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        patient: the corrected details.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        ModelForgottenError: the age changed, and the card of the model is no longer known.
    """
    reading = (
        Reading.objects.own_of(doctor)
        .select_for_update(of=("self",))
        .select_related("model_version")
        .get(pk=reading_id)
    )
    had_age = reading.patient_age_years
    for field, value in _patient_fields(patient).items():
        setattr(reading, field, value)
    if reading.card is not None:
        _decide_again(reading, reading.card)
    elif reading.patient_age_years != had_age:
        raise ModelForgottenError
    review = Review.objects.filter(reading=reading).first()
    reading.agreement = agreement_of(reading.label, review.verdict if review else "")
    with recording.event("edited"):
        reading.save()
    return reading


def _decide_again(reading: Reading, card: Mapping[str, Any]) -> None:
    reading.label, reasons = inference.decide(
        card,
        probabilities=reading.probabilities,
        scope_score=reading.scope_score,
        stated=stated_of(reading),
    )
    rule = inference.DecisionRule.of(card)
    decided = _decision_fields(rule, reading.probabilities) | _scope_fields(reasons)
    for field, value in decided.items():
        setattr(reading, field, value)


@transaction.atomic
def review_reading(
    *, doctor: "User", reading_id: uuid.UUID, verdict: Verdict | str, note: str = ""
) -> Review:
    """Record the doctor's own assessment of the film, replacing an earlier one.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        verdict: what the doctor sees on the film.
        note: a remark, at most 500 characters.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        ValueError: `verdict` is not a `Verdict`.
    """
    verdict = Verdict(verdict)
    reading = Reading.objects.own_of(doctor).select_for_update().get(pk=reading_id)
    review = Review.objects.filter(reading=reading).first() or Review(reading=reading)
    changes = {
        name: [before, after]
        for name, before, after in (
            ("verdict", review.verdict, verdict.value),
            ("note", review.note, note),
        )
        if before != after
    }
    if not changes:
        return review
    review.doctor, review.verdict, review.note = doctor, verdict, note
    review.save()
    # An update instead of `save`: the reading itself and its `updated_at` do not change.
    Reading.objects.filter(pk=reading.pk).update(agreement=agreement_of(reading.label, verdict))
    recording.record_change(reading, what="reviewed", changes=changes)
    return review
