"""Services that change readings; each checks, changes and audits in one transaction."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction

from accounts.audit import recording
from diagnosis import blind, storage
from diagnosis.models import AgeScope, Label, Reading, Review, Team, agreement_of
from diagnosis.models.discrepancies import summary
from diagnosis.services import film_uids
from diagnosis.services.conflicts import (
    NOTHING_DECIDED,
    Conflicts,
    Decisions,
    UndecidedError,
    conflicts_of,
    conflicts_of_edit,
    decided_patient,
    entries_of,
    is_disowned,
    same_film,
    same_film_keys,
    same_number,
)
from diagnosis.services.films import (
    MIME_TYPES,
    UNKNOWN_MIME_TYPE,
    FilmHashes,
    FilmMissingError,
    has_film,
    hashes_of,
    lock_film,
    original_film,
    stored_film,
)
from diagnosis.services.linking import forget_if_empty, link_as_decided
from diagnosis.services.patients import AGE, PatientDetails, stated_in, with_birth_date
from diagnosis.services.second_readings import state_before_signing
from diagnosis.services.teams import TeamChoice, team_for
from diagnosis.signals import Change, reading_changed
from diagnosis.validators import UploadedFilm
from mlcore import inference
from mlcore.cards.shown import shown_probability
from mlcore.decoding import decode_film
from mlcore.engine.films.film import FilmError
from mlcore.models import ModelVersion

if TYPE_CHECKING:
    from accounts.models import User


class SubmissionTakenError(Exception):
    """Raised when a submission id belongs to another film, another doctor or a deleted reading."""


class ModelForgottenError(Exception):
    """Raised when a result must be decided again, but the card of its model is not known.

    Only readings of earlier versions of the site, which let a model take the name of another.
    """


def submit_reading(
    *,
    doctor: "User",
    upload: UploadedFilm,
    patient: PatientDetails,
    submission: uuid.UUID,
    decisions: Decisions = NOTHING_DECIDED,
    team: Team | TeamChoice | None = TeamChoice.SOLE,
) -> Reading:
    """Run the active model on a film and store the reading; on any error, store nothing.

    Args:
        doctor: the doctor who uploads the film.
        upload: a validated film.
        patient: what the doctor entered about the patient.
        submission: the id of the submitted form. It becomes the reading's id, so a form that is
            sent twice, even at the same moment, creates one reading.
        decisions: what the doctor decided where file, form and earlier readings disagree.
        team: which of the doctor's teams shares the reading, None for none of them.

    Returns:
        The new reading, or the reading that the same form created before.

    Raises:
        PermissionDenied: the account may not read films, or is no member of the team.
        SubmissionTakenError: `submission` is the id of a reading of another film, of another
            doctor's reading or of a deleted one.
        UndecidedError: something has to be decided first.
        mlcore.inference.ModelUnavailable: the model is missing or damaged, too slow, or its output
            is invalid.
    """
    if not doctor.has_perm("diagnosis.add_reading"):
        raise PermissionDenied
    made = _made_from(submission, doctor, upload)
    if made is not None:
        return made
    hashes = hashes_of(upload.film)
    stated = stated_in(upload.film.header)
    earlier = same_film(doctor, hashes)
    model = inference.active_model()
    known = same_number(doctor, stated, patient)
    conflicts = conflicts_of(stated, patient, model.card, earlier=earlier, same_number=known)
    patient = with_birth_date(decided_patient(conflicts, patient, decisions), stated)
    entries = entries_of(conflicts, patient, decisions)
    reading = Reading(id=submission, doctor=doctor, discrepancies=entries, film_patient=stated)
    reading.team = team_for(doctor, team)
    reading.second_state = state_before_signing(reading.team)
    reading.header_disowned = is_disowned(entries)
    _set(reading, patient.as_fields())
    _set(reading, _film_fields(upload, hashes))
    withheld = blind.fields_for(doctor, film_sha256=hashes.file, pixels_sha256=hashes.pixels)
    _set(reading, withheld)
    prediction = inference.predict(upload.film, stated=stated_of(reading), model=model)
    _set(reading, _prediction_fields(prediction))
    try:
        _store(reading, upload, conflicts, decisions)
    except (IntegrityError, OperationalError, InterfaceError):
        # The same form, sent twice at once, and the other request was faster; or the connection
        # broke after the commit.
        connection.close_if_unusable_or_obsolete()
        made = _made_from(submission, doctor, upload)
        if made is None:
            raise
        return made
    return reading


def _made_from(submission: uuid.UUID, doctor: "User", upload: UploadedFilm) -> Reading | None:
    """Return the reading that a form created, None if it has created none.

    A film that has been lost or damaged since is stored again.

    Raises:
        SubmissionTakenError: the reading is not the doctor's, is deleted, or has another film.
    """
    if not Reading.objects.filter(pk=submission).exists():
        return None
    made = Reading.objects.get(pk=submission)
    is_same = made.doctor_id == doctor.pk and made.film_sha256 == upload.film.sha256
    if not is_same or made.is_hidden:
        raise SubmissionTakenError
    if not has_film(made):
        for name, content in stored_film(upload.film, upload.data).items():
            storage.keep(name, content)
        storage.confirm(made.film_sha256)
    return made


def _set(reading: Reading, fields: Mapping[str, object]) -> None:
    for field, value in fields.items():
        setattr(reading, field, value)


def _film_fields(upload: UploadedFilm, hashes: FilmHashes) -> dict[str, object]:
    film = upload.film
    stated = inference.Stated().completed_by(film.header)
    return {
        "film_sha256": hashes.file,
        "film_pixels_sha256": hashes.pixels,
        "original_name": upload.name,
        "film_mime_type": MIME_TYPES.get(film.format, UNKNOWN_MIME_TYPE),
        "film_format": film.format,
        "film_bytes": film.byte_size,
        "film_width": film.width,
        "film_height": film.height,
        "film_modality": (stated.modality or "")[:16],
        "film_view": (stated.view or "")[:16],
        "film_body_part": (stated.body_part or "")[:64],
        **film_uids.of_header(film.header),
    }


def stated_of(reading: Reading) -> inference.Stated:
    """Return the ages, modality, view and body part stored with a reading.

    For readings made before the file's age was stored, the doctor's alone counts, as it did then.
    """
    in_file = {} if reading.header_disowned else reading.film_patient or {}
    return inference.Stated(
        age_years=reading.patient_age_years,
        header_age_years=in_file.get(AGE),
        trusts_header_age=reading.film_patient is not None and not reading.header_disowned,
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
        "scope_resembles": prediction.resembles,
        "image_hints": list(prediction.hints),
        "activation_map": inference.encode_activation_map(prediction.activation_map),
        # Without the card, which takes as long to read as everything else in the row.
        "model_version": ModelVersion.objects.only("name", "bundle_sha256").get(
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


def _store(
    reading: Reading, upload: UploadedFilm, conflicts: Conflicts, decisions: Decisions
) -> None:
    """Store the film, its renderings and the row.

    The renderings come from the pixels that were decoded for the model, so no later view of the
    film has to decode it again. On an error, the files stay: the row may exist although this
    process never learns so, because the connection broke during the commit. `sweep_films` removes
    films without a reading.

    Raises:
        UndecidedError: the doctor has stored the same X-ray since `conflicts` were found.
    """
    sha256 = upload.film.sha256
    files = stored_film(upload.film, upload.data)
    # Written before the transaction: on SQLite, everybody else waits until it ends.
    with storage.staged(files) as place, transaction.atomic(), recording.event("created"):
        lock_film(sha256)
        lock_film(reading.film_pixels_sha256)
        _check_for_newer(reading, conflicts)
        place()
        link_as_decided(reading, conflicts.same_number, decisions)
        reading.save(force_insert=True)
        record_decisions(reading, reading.discrepancies)
        reading_changed.send(Reading, reading=reading, what=Change.MADE)
        transaction.on_commit(lambda: storage.confirm(sha256), robust=True)


def _check_for_newer(reading: Reading, conflicts: Conflicts) -> None:
    hashes = FilmHashes(reading.film_sha256, reading.film_pixels_sha256)
    now = same_film_keys(reading.doctor, hashes, but=reading.pk)
    if not set(now) <= {each.pk for each in conflicts.earlier}:
        found = same_film(reading.doctor, hashes, but=reading.pk)
        raise UndecidedError(replace(conflicts, earlier=found))


def record_decisions(reading: Reading, entries: list[dict[str, Any]]) -> None:
    """Record what the doctor decided where file and form differ as an event of its own."""
    if entries:
        changes = {entry["field"]: [entry["file"], summary([entry])] for entry in entries}
        recording.record_change(reading, what="discrepancy", changes=changes)


@transaction.atomic
def edit_reading(
    *,
    doctor: "User",
    reading_id: uuid.UUID,
    patient: PatientDetails,
    decisions: Decisions = NOTHING_DECIDED,
) -> Reading:
    """Correct the patient's details of one of the doctor's own readings.

    The model's probabilities stay as they are. The label is decided again by the same rule, because
    a film must not keep its label when the patient turns out to be outside the validated age range,
    nor stay refused because of a mistyped age.

    Args:
        doctor: the doctor who made the reading.
        reading_id: the reading.
        patient: the corrected details.
        decisions: what the doctor decided where they disagree with the file, or with other
            readings of the same X-ray. What was decided before is not asked for again.

    Raises:
        Reading.DoesNotExist: the doctor has no such reading.
        UndecidedError: something has to be decided first.
        ModelForgottenError: the age changed, and the card of the model is no longer known.
    """
    reading = (
        Reading.objects.own_of(doctor)
        .select_for_update(of=("self",))
        .select_related("model_version", "study__patient")
        .get(pk=reading_id)
    )
    before, study = stated_of(reading), reading.study
    _state_patient_of_film(reading)
    conflicts = conflicts_of_edit(reading, patient)
    patient = decided_patient(conflicts, patient, decisions)
    entries = entries_of(conflicts, patient, decisions)
    _set(reading, patient.as_fields())
    reading.discrepancies = [*reading.discrepancies, *entries]
    reading.header_disowned = is_disowned(entries, before=reading.header_disowned)
    if reading.card is not None:
        _decide_again(reading, reading.card)
    elif stated_of(reading) != before:
        raise ModelForgottenError
    review = Review.objects.filter(reading=reading).first()
    reading.agreement = agreement_of(reading.label, review.verdict if review else "")
    link_as_decided(reading, conflicts.same_number, decisions)
    with recording.event("edited"):
        reading.save()
        record_decisions(reading, entries)
    forget_if_empty(study)
    reading_changed.send(Reading, reading=reading, what=Change.CORRECTED)
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
    _set(reading, decided)


def _state_patient_of_film(reading: Reading) -> None:
    """Set what the file states, for a reading made before it was stored, if the film is there."""
    if reading.film_patient is None and reading.film_format == "DICOM":
        try:
            film = decode_film(original_film(reading))
        except (FilmMissingError, FilmError):
            return
        reading.film_patient = stated_in(film.header)
