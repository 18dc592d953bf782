"""The form on which a doctor decides where file, form and earlier readings disagree."""

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.forms.readings import PatientDetailsForm
from diagnosis.models import FILM, NUMBER, Source
from diagnosis.models.discrepancies import LABELS, shown_value
from diagnosis.services.conflicts import Choice, Conflicts, Decisions
from diagnosis.services.patients import AGE, FIELDS, PatientDetails
from xraysite.common.dates import short_date

MAX_REASON = 300
FILM_REASON = f"reason_{FILM}"
SAME_NUMBER, NUMBER_REASON = f"choose_{NUMBER}", f"reason_{NUMBER}"
NUMBER_RIGHT = "number_right"
IDENTITY = {"patient_name", "patient_number"}


class ConflictForm(forms.Form):
    """A choice and a reason for each field that differs; a reason for the same X-ray again.

    Nothing is preselected: the doctor has to look at both values.

    Args:
        conflicts: what has to be decided.
        entered: the patient's details as typed, as text by field.
    """

    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(
        self, *args: Any, conflicts: Conflicts, entered: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.conflicts, self.entered = conflicts, dict(entered)
        for difference in conflicts.differences:
            field = difference.field
            self.fields[f"choose_{field}"] = forms.ChoiceField(
                label=str(LABELS[field]),
                choices=self._choices(field),
                widget=forms.RadioSelect,
                error_messages={"required": gettext_lazy("Choose one.")},
            )
            self.fields[f"reason_{field}"] = _reason(_("because"))
        if self._may_be_another_patient():
            self.fields[FILM_REASON] = _reason(_("Reason"))
        if conflicts.same_number:
            self._ask_whose_number()
        if conflicts.doubtful:
            self.fields[NUMBER_RIGHT] = forms.BooleanField(
                label=_("The number is right as it is"), required=False
            )
        if conflicts.earlier:
            self.fields["seen"].initial = " ".join(str(each.pk) for each in conflicts.earlier)

    def _may_be_another_patient(self) -> bool:
        """Return whether the X-ray could be saved under another patient than before."""
        is_open = any(each.field in IDENTITY for each in self.conflicts.differences)
        others = self.conflicts.of_other_patients(self.patient_details())
        return bool(others or (is_open and self.conflicts.earlier))

    def _ask_whose_number(self) -> None:
        choices: list[tuple[str, Any]] = [
            (
                str(reading.pk),
                _("The same patient as “%(name)s” (exam of %(day)s), written differently")
                % {"name": reading.patient_name, "day": short_date(reading.exam_date)},
            )
            for reading in self.conflicts.same_number
        ]
        self.fields[SAME_NUMBER] = forms.ChoiceField(
            label=str(LABELS[NUMBER]),
            choices=[*choices, (Source.OTHER.value, Source.OTHER.label)],
            widget=forms.RadioSelect,
            required=False,
        )
        self.fields[NUMBER_REASON] = _reason(_("Why two patients have the same number"))

    def _choices(self, field: str) -> list[tuple[str, Any]]:
        offered = [Source.FILE, Source.FORM]
        if field == AGE and self.conflicts.validated_ages:
            offered.append(Source.DISOWNED)
        return [(each.value, each.label) for each in offered]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What the template shows of each field that differs."""
        return [
            {
                "field": each.field,
                "label": LABELS[each.field],
                "file": shown_value(each.field, each.file),
                "form": shown_value(each.field, each.form),
                "choice": self[f"choose_{each.field}"],
                "reason": self[f"reason_{each.field}"],
                "ages": self.conflicts.validated_ages if each.field == AGE else None,
            }
            for each in self.conflicts.differences
        ]

    @cached_property
    def film_reason(self) -> forms.BoundField | None:
        """The reason for the same X-ray under another patient, None if there is no such X-ray."""
        return self[FILM_REASON] if FILM_REASON in self.fields else None

    @cached_property
    def same_number(self) -> forms.BoundField | None:
        """Whose number it is, None if the number is not known under another name."""
        return self[SAME_NUMBER] if SAME_NUMBER in self.fields else None

    @cached_property
    def number_reason(self) -> forms.BoundField | None:
        return self[NUMBER_REASON] if NUMBER_REASON in self.fields else None

    @cached_property
    def number_right(self) -> forms.BoundField | None:
        """The confirmation of a number with a wrong check digit, or None."""
        return self[NUMBER_RIGHT] if NUMBER_RIGHT in self.fields else None

    @property
    def number_fields(self) -> list[forms.BoundField]:
        """The fields about the patient number."""
        return [
            field for field in (self.same_number, self.number_reason, self.number_right) if field
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for difference in self.conflicts.differences:
            chosen = cleaned.get(f"choose_{difference.field}")
            reason = f"reason_{difference.field}"
            if (
                chosen
                and chosen != Source.FILE
                and not cleaned.get(reason)
                and reason not in self.errors
            ):
                self.add_error(reason, ValidationError(_("Enter the reason."), code="required"))
        if not self.errors:
            self._check_patient()
        return cleaned

    def _check_patient(self) -> None:
        """Check the patient's details as decided, and against those of earlier readings."""
        data = dict(self.entered)
        for difference in self.conflicts.differences:
            if self.cleaned_data[f"choose_{difference.field}"] == Source.FILE:
                data[difference.field] = difference.file
        details = PatientDetailsForm(data)
        if not details.is_valid():
            for field, errors in details.errors.items():
                shown = f"choose_{field}" if f"choose_{field}" in self.fields else None
                self.add_error(shown, [self._naming(field, str(error), shown) for error in errors])
            return
        self.decided = details.patient_details()
        self._check_film(self.decided)
        self._check_number(self.decided)

    @staticmethod
    def _naming(field: str, error: str, shown: str | None) -> str:
        label = LABELS.get(field, field)
        return error if shown else _("%(field)s: %(error)s") % {"field": label, "error": error}

    def _check_film(self, patient: PatientDetails) -> None:
        others = self.conflicts.of_other_patients(patient)
        if others and not self.cleaned_data.get(FILM_REASON):
            message = _(
                "This X-ray is stored under another patient. Enter why it is saved under "
                "“%(name)s” too."
            )
            params = {"name": patient.name}
            error = ValidationError(message, code="required", params=params)
            self.add_error(FILM_REASON, error)

    def _check_number(self, patient: PatientDetails) -> None:
        chosen = self.cleaned_data.get(SAME_NUMBER)
        known = {str(reading.pk) for reading in self.conflicts.known_otherwise(patient)}
        if known and chosen not in known | {Source.OTHER.value}:
            self.add_error(SAME_NUMBER, ValidationError(_("Choose one."), code="required"))
        elif known and chosen == Source.OTHER and not self.cleaned_data.get(NUMBER_REASON):
            self.add_error(NUMBER_REASON, ValidationError(_("Enter the reason."), code="required"))
        if patient.number in self.conflicts.doubtful and not self.cleaned_data[NUMBER_RIGHT]:
            message = _("Correct the number, or confirm that it is right.")
            self.add_error(NUMBER_RIGHT, ValidationError(message, code="required"))

    def decisions(self) -> Decisions:
        """Return what a valid form decides."""
        data = self.cleaned_data
        return Decisions(
            fields={
                each.field: Choice(
                    Source(data[f"choose_{each.field}"]),
                    ""
                    if data[f"choose_{each.field}"] == Source.FILE
                    else data[f"reason_{each.field}"],
                )
                for each in self.conflicts.differences
            },
            seen=frozenset(_ids(data["seen"])),
            film_reason=data.get(FILM_REASON, ""),
            same_as=next(iter(_ids(data.get(SAME_NUMBER, ""))), None),
            number_reason=self._number_reason(),
            confirmed_number=self.decided.number if data.get(NUMBER_RIGHT) else "",
        )

    def _number_reason(self) -> str:
        is_other = self.cleaned_data.get(SAME_NUMBER) == Source.OTHER
        reason: str = self.cleaned_data.get(NUMBER_REASON, "") if is_other else ""
        return reason

    def patient_details(self) -> PatientDetails:
        """Return the patient's details as they were typed."""
        details = PatientDetailsForm(self.entered)
        if not details.is_valid():
            raise ValueError(f"Invalid patient details: {details.errors.as_json()}")
        return details.patient_details()

    @property
    def entered_fields(self) -> list[tuple[str, str]]:
        """The typed details, for hidden fields of the page that edits a reading."""
        return [(field, self.entered.get(field, "")) for field in FIELDS]


def _reason(label: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        required=False,
        max_length=MAX_REASON,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )


def _ids(text: str) -> list[uuid.UUID]:
    """Return the ids in a text; others than ids are left out."""
    found = []
    for word in text.split()[:100]:
        try:
            found.append(uuid.UUID(word))
        except ValueError:
            continue
    return found
