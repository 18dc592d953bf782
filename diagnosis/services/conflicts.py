"""What must be decided before a reading is stored.

File against form, the same X-ray again, a number that the doctor knows under another name, and a
number with a wrong check digit.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone

from diagnosis.models import FILM, NUMBER, Reading, Source
from diagnosis.services.films import FilmHashes
from diagnosis.services.patients import (
    AGE,
    FIELDS,
    Difference,
    PatientDetails,
    StatedPatient,
    differences,
    is_same_patient,
    names_of,
    value_of,
)
from diagnosis.services.same_number import known_otherwise, readings_with_number
from mlcore import inference
from mlcore.engine.films.header import completed_years
from xraysite.common.identity_numbers import is_doubtful

if TYPE_CHECKING:
    from accounts.models import User

MAX_EARLIER = 20


@dataclass(frozen=True)
class Conflicts:
    """What the doctor has to decide.

    Attributes:
        differences: the fields in which file and form disagree.
        validated_ages: the first and the last age, if the file's age is outside them and differs
            from the form's: then only disowning the header gives a result.
        earlier: the doctor's own readings of the same X-ray, newest first.
        same_number: readings that the doctor may see, the newest of each name under the number of
            form or file; empty unless one of the two is known under other names only.
        doubtful: the numbers of form and file whose check digit is wrong.
        stated: what the file states.
    """

    differences: tuple[Difference, ...] = ()
    validated_ages: tuple[int, int] | None = None
    earlier: tuple[Reading, ...] = ()
    same_number: tuple[Reading, ...] = ()
    doubtful: tuple[str, ...] = ()
    stated: StatedPatient = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.differences or self.earlier or self.same_number or self.doubtful)

    def of_other_patients(self, patient: PatientDetails) -> list[Reading]:
        """Return the earlier readings of patients other than `patient`."""
        return [reading for reading in self.earlier if not is_of(reading, patient)]

    def known_otherwise(self, patient: PatientDetails) -> list[Reading]:
        """Return the readings with the number of `patient` if all are under other names."""
        names = names_of(patient.name, self.stated)
        return known_otherwise(self.same_number, names, patient.number)


@dataclass(frozen=True)
class Choice:
    """Which side is right about one field, and why; the file needs no reason."""

    source: Source
    reason: str = ""


@dataclass(frozen=True)
class Decisions:
    """What a doctor decided about `Conflicts`.

    Attributes:
        fields: by field, the choice.
        seen: ids of the earlier readings of the X-ray that the doctor was shown.
        film_reason: why the X-ray is stored under another patient too.
        same_as: id of a reading with the same number whose patient this is too.
        number_reason: why this is another patient than those known with the same number.
        confirmed_number: the number with a wrong check digit that is right all the same.
    """

    fields: Mapping[str, Choice] = field(default_factory=dict)
    seen: frozenset[uuid.UUID] = frozenset()
    film_reason: str = ""
    same_as: uuid.UUID | None = None
    number_reason: str = ""
    confirmed_number: str = ""

    def same_patient(self, known: Iterable[Reading]) -> Reading | None:
        """Return the chosen one of the readings with the same number."""
        return next((reading for reading in known if reading.pk == self.same_as), None)


NOTHING_DECIDED = Decisions()


class UndecidedError(Exception):
    """Raised when a reading would be stored although something has to be decided first.

    Attributes:
        conflicts: what has to be decided.
    """

    def __init__(self, conflicts: Conflicts) -> None:
        super().__init__("File, form and earlier readings disagree.")
        self.conflicts = conflicts


def is_of(reading: Reading, patient: PatientDetails) -> bool:
    """Return whether a reading is about `patient`."""
    return is_same_patient(
        reading.patient_name, reading.patient_number, patient.name, patient.number
    )


def same_film(
    doctor: "User", film: FilmHashes, *, but: uuid.UUID | None = None
) -> tuple[Reading, ...]:
    """Return the doctor's own readings of the same file or the same pixels, newest first.

    Readings of other doctors are never looked at, so neither the result nor the time it takes
    depends on them.

    Args:
        film: the hashes of the film; without a hash of the pixels, only the file is compared.
        but: id of a reading to leave out.
    """
    keys = same_film_keys(doctor, film, but=but)
    if not keys:
        return ()
    readings = Reading.objects.own_of(doctor).with_withheld(doctor).filter(pk__in=keys)
    return tuple(readings.defer("activation_map").order_by("-created_at", "-id"))


def same_film_keys(
    doctor: "User", film: FilmHashes, *, but: uuid.UUID | None = None
) -> list[uuid.UUID]:
    """Return the primary keys of what `same_film` returns, in a fifth of its time."""
    same = Q(film_sha256=film.file)
    if film.pixels:
        same |= Q(film_pixels_sha256=film.pixels)
    readings = Reading.objects.own_of(doctor).filter(same)
    if but is not None:
        readings = readings.exclude(pk=but)
    newest = readings.order_by("-created_at", "-id").values_list("pk", flat=True)
    return list(newest[:MAX_EARLIER])


def conflicts_of(
    stated: StatedPatient,
    patient: PatientDetails,
    card: Mapping[str, Any],
    *,
    earlier: tuple[Reading, ...] = (),
    same_number: tuple[Reading, ...] = (),
    decided: Iterable[Mapping[str, Any]] = (),
) -> Conflicts:
    """Return what has to be decided before `patient` is stored with a film.

    Args:
        stated: what the file states.
        patient: what the form states.
        card: the card of the model that reads the film.
        earlier: the doctor's other readings of the film.
        same_number: what `same_number` returned.
        decided: entries of `Reading.discrepancies`, which are not asked for again.
    """
    settled = {
        (each["field"], each["file"], each["form"])
        for each in decided
        if each["chosen"] != Source.FILE
    }
    found = tuple(
        each
        for each in differences(stated, patient)
        if (each.field, each.file, each.form) not in settled
    )
    is_outside = any(each.field == AGE for each in found) and not inference.is_validated_age(
        card, stated[AGE]
    )
    ages = card["population"]["age_years"]
    validated = (ages[0], ages[1]) if is_outside and ages else None
    numbers = {number for _name, number in _identities(stated, patient)}
    doubtful = tuple(sorted(number for number in numbers if is_doubtful(number)))
    return Conflicts(found, validated, earlier, same_number, doubtful, stated)


def same_number(
    doctor: "User",
    stated: StatedPatient,
    patient: PatientDetails,
    *,
    but: uuid.UUID | None = None,
) -> tuple[Reading, ...]:
    """Return `Conflicts.same_number`.

    Args:
        doctor: who stores the reading.
        stated: what the file states; the doctor may decide that it is right.
        patient: what the form states.
        but: id of a reading to leave out.
    """
    identities = _identities(stated, patient)
    found = readings_with_number(doctor, {number for _name, number in identities}, but=but)
    is_open = any(
        known_otherwise(found, names_of(name, stated), number) for name, number in identities
    )
    return found if is_open else ()


def conflicts_of_edit(reading: Reading, patient: PatientDetails) -> Conflicts:
    """Return what an edit has to decide, leaving out what has been decided before.

    Other readings of the X-ray matter if the edit makes it another patient's.
    """
    stated = reading.film_patient or {}
    others: tuple[Reading, ...] = ()
    known: tuple[Reading, ...] = ()
    is_changed = (reading.patient_name, reading.patient_number) != (patient.name, patient.number)
    if is_changed:
        known = same_number(reading.doctor, stated, patient, but=reading.pk)
    if not is_of(reading, patient):
        hashes = FilmHashes(reading.film_sha256, reading.film_pixels_sha256)
        found = same_film(reading.doctor, hashes, but=reading.pk)
        others = tuple(other for other in found if not is_of(other, patient))
    conflicts = conflicts_of(
        stated,
        patient,
        reading.model_version.card,
        earlier=others,
        same_number=known,
        decided=reading.discrepancies,
    )
    return conflicts if is_changed else replace(conflicts, doubtful=())


def _identities(stated: StatedPatient, patient: PatientDetails) -> list[tuple[str, str]]:
    """Return the names and numbers that the doctor may choose of form and file."""
    names = [patient.name, *filter(None, [stated.get("patient_name")])]
    numbers = [patient.number, *filter(None, [stated.get("patient_number")])]
    return [(name, number) for name in names for number in numbers]


def decided_patient(
    conflicts: Conflicts, patient: PatientDetails, decisions: Decisions
) -> PatientDetails:
    """Return the patient's details with the file's values where the file is right.

    Raises:
        UndecidedError: a choice or a reason is missing, or the chosen age contradicts the chosen
            date of birth.
    """
    for difference in conflicts.differences:
        choice = decisions.fields.get(difference.field)
        if choice is None or (choice.source != Source.FILE and not choice.reason):
            raise UndecidedError(conflicts)
        if choice.source == Source.DISOWNED and difference.field != AGE:
            raise UndecidedError(conflicts)
        if choice.source == Source.FILE:
            value = value_of(difference.field, difference.file)
            patient = replace(patient, **{FIELDS[difference.field]: value})
    if not {reading.pk for reading in conflicts.earlier} <= decisions.seen:
        raise UndecidedError(conflicts)
    if conflicts.of_other_patients(patient) and not decisions.film_reason:
        raise UndecidedError(conflicts)
    known = conflicts.known_otherwise(patient)
    if known and not (decisions.same_patient(known) or decisions.number_reason):
        raise UndecidedError(conflicts)
    if patient.number in conflicts.doubtful and decisions.confirmed_number != patient.number:
        raise UndecidedError(conflicts)
    birth = patient.birth_date
    if birth is not None and completed_years(birth, patient.exam_date) != patient.age_years:
        raise UndecidedError(conflicts)
    return patient


def entries_of(
    conflicts: Conflicts, patient: PatientDetails, decisions: Decisions
) -> list[dict[str, Any]]:
    """Return the entries for `Reading.discrepancies`.

    Args:
        conflicts: what had to be decided.
        patient: the patient's details as decided.
        decisions: what the doctor decided.
    """
    now = timezone.now().isoformat(timespec="seconds")
    form = _identity(patient.name, patient.number)
    entries = [_entry(each, decisions.fields[each.field], now) for each in conflicts.differences]
    why = Choice(Source.FORM, decisions.film_reason)
    for other in conflicts.of_other_patients(patient):
        stored = _identity(other.patient_name, other.patient_number)
        entry = _entry(Difference(FILM, stored, form), why, now) | {"reading": str(other.pk)}
        entries.append(entry)
    if known := conflicts.known_otherwise(patient):
        entries.append(_entry_of_number(known, form, decisions, now))
    return entries


def _entry_of_number(
    known: list[Reading], form: str, decisions: Decisions, now: str
) -> dict[str, Any]:
    same = decisions.same_patient(known)
    other = same or known[0]
    choice = Choice(Source.SAME if same else Source.OTHER, "" if same else decisions.number_reason)
    stored = _identity(other.patient_name, other.patient_number)
    return _entry(Difference(NUMBER, stored, form), choice, now) | {"reading": str(other.pk)}


def _entry(difference: Difference, choice: Choice, now: str) -> dict[str, Any]:
    return {
        "field": difference.field,
        "file": difference.file,
        "form": difference.form,
        "chosen": choice.source.value,
        "reason": choice.reason,
        "at": now,
    }


def _identity(name: str, number: str) -> str:
    return " · ".join(filter(None, [name, number]))


def is_disowned(entries: Iterable[Mapping[str, Any]], *, before: bool = False) -> bool:
    """Return whether the header is disowned after `entries`: the last choice of an age decides.

    Args:
        entries: new entries of `Reading.discrepancies`.
        before: whether it was disowned before them.
    """
    for entry in entries:
        if entry["field"] == AGE:
            before = entry["chosen"] == Source.DISOWNED
    return before
