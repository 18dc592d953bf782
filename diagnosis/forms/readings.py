"""Forms for uploading a film, and for correcting, reviewing and deleting a reading."""

import datetime
import unicodedata
import uuid
from collections.abc import Mapping
from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from diagnosis.forms.teams import FIELD as TEAM
from diagnosis.forms.teams import TeamField
from diagnosis.models import MAX_AGE_YEARS, HidingReason, Reading, Sex, Team
from diagnosis.retention import UNDO_WINDOW
from diagnosis.services.patients import (
    FIELDS,
    PatientDetails,
    StatedPatient,
    stated_in,
    text_of,
)
from diagnosis.services.teams import teams_of
from diagnosis.validators import UploadedFilm, not_stored, too_large, validate_film
from mlcore.engine.films.header import completed_years
from xraysite.common.forms import DayField
from xraysite.common.uploads import TOO_LARGE_KEY, upload_fault

ACCEPT = "image/jpeg,image/png,image/bmp,image/tiff,image/webp,application/dicom,.dcm,.dicom"


class OnlyFileInput(forms.FileInput):
    """A file input that gives every file of the request, whatever its field is called.

    Of several files with the same name, Django's own widget would take the last without a word.
    """

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        received = [file for field in files for file in files.getlist(field)]
        return received if len(received) > 1 or name not in files else received[0]


class FilmField(forms.FileField):
    """A file field whose cleaned value is an `UploadedFilm`; refuses more than one file."""

    widget = OnlyFileInput

    def clean(self, data: Any, initial: Any = None) -> UploadedFilm | None:
        if isinstance(data, list) and len(data) > 1:
            message = _(
                "%(count)s files were sent. A reading is of one X-ray: choose the one of this "
                "patient."
            )
            raise ValidationError(message, code="several", params={"count": len(data)})
        if isinstance(data, list) and data:
            raise ValidationError(_("The file was sent in an unknown field."), code="unexpected")
        data = data or None
        upload = super().clean(data, initial)
        return validate_film(upload) if upload else None


class PatientDetailsForm(forms.ModelForm):
    """Patient and exam details of a new or an existing reading.

    A date of birth gives the age on the exam date; an age that contradicts it is refused.
    """

    class Meta:
        model = Reading
        fields = [
            "patient_name",
            "patient_number",
            "patient_sex",
            "patient_birth_date",
            "patient_age_years",
            "exam_date",
        ]
        widgets = {
            "patient_name": forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}),
            "patient_number": forms.TextInput(attrs={"autocomplete": "off"}),
            # Typed, because the browser's own input takes no years of the Republic.
            "patient_birth_date": forms.DateInput(
                format="%Y-%m-%d", attrs={"autocomplete": "off", "data-birth-date": ""}
            ),
            "patient_age_years": forms.NumberInput(
                attrs={"min": 0, "max": MAX_AGE_YEARS, "inputmode": "numeric"}
            ),
            "exam_date": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        }
        field_classes = {"patient_birth_date": DayField, "exam_date": DayField}
        help_texts = {
            "patient_birth_date": _("Such as 2023-05-01, 112/5/1 or 1120501."),
        }
        error_messages = {
            "patient_birth_date": {
                "invalid": _(
                    "Enter a date such as 2023-05-01, or 112/5/1 in years of the Republic."
                ),
            },
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helper = FormHelper()
        self.helper.form_tag = False
        today = timezone.localdate().isoformat()
        self.fields["exam_date"].widget.attrs["max"] = today
        # Otherwise it follows from the date of birth.
        born = self.data.get(self.add_prefix("patient_birth_date"))
        self.fields["patient_age_years"].required = not born
        sex: Any = self.fields["patient_sex"]
        sex.choices = [("", _("Not stated")), *Sex.choices]

    def clean_patient_number(self) -> str:
        """Return the number in ASCII where full-width characters were typed."""
        return unicodedata.normalize("NFKC", self.cleaned_data["patient_number"]).strip()

    def clean_exam_date(self) -> Any:
        exam_date = self.cleaned_data["exam_date"]
        if exam_date > timezone.localdate():
            raise ValidationError(_("The exam date is in the future."), code="future")
        if exam_date.year < 1900:
            raise ValidationError(_("The exam date is before the year 1900."), code="past")
        return exam_date

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.complete()
        birth, exam = cleaned.get("patient_birth_date"), cleaned.get("exam_date")
        if birth and exam:
            self._settle_age(birth, exam)
        return cleaned

    def complete(self) -> None:
        """Fill fields that were left empty, before they are checked against each other."""

    def _settle_age(self, birth: datetime.date, exam: datetime.date) -> None:
        years = completed_years(birth, exam)
        if years is None:
            self.add_error("patient_birth_date", _("The date of birth is after the exam date."))
            return
        if years > MAX_AGE_YEARS:
            self.add_error("patient_birth_date", _("Enter the year of birth with four digits."))
            return
        stated = self.cleaned_data.get("patient_age_years")
        if stated is None and not self._has_invalid_age():
            self.cleaned_data["patient_age_years"] = years
            self.errors.pop("patient_age_years", None)
        elif stated is not None and stated != years:
            message = _(
                "The date of birth gives an age of %(years)s on the exam date. Correct the age or "
                "the dates, or leave the age empty."
            )
            error = ValidationError(message, code="contradiction", params={"years": years})
            self.add_error("patient_age_years", error)

    def _has_invalid_age(self) -> bool:
        errors = self.errors.as_data().get("patient_age_years", [])
        return any(error.code != "required" for error in errors)

    def patient_details(self) -> PatientDetails:
        """Return the details of a valid form."""
        return PatientDetails(
            **{attribute: self.cleaned_data[field] for field, attribute in FIELDS.items()}
        )

    def entered(self) -> dict[str, str]:
        """Return the details of a valid form as text, by field."""
        return {
            field: "" if self.cleaned_data[field] is None else str(self.cleaned_data[field])
            for field in FIELDS
        }


class DeletionForm(forms.Form):
    """Why a reading is deleted.

    Without an answer, the reading counts as properly made and is kept for the retention period.
    """

    reason = forms.ChoiceField(
        label=_("Reason for deletion"),
        choices=HidingReason.choices,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
        initial=HidingReason.NOT_NEEDED,
        required=False,
    )

    @property
    def undo_minutes(self) -> int:
        return int(UNDO_WINDOW.total_seconds() // 60)

    @property
    def retention_years(self) -> int:
        return int(settings.RETENTION_YEARS)

    def clean_reason(self) -> HidingReason:
        return HidingReason(self.cleaned_data["reason"] or HidingReason.NOT_NEEDED)


REFUSED = "account_limit"


class FilmForm(forms.Form):
    """A film alone, to inspect a file that the browser cannot display itself.

    A script states the SHA-256 of the bytes that it previewed as `film_sha256`.

    Args:
        meta: the request's META, in which the upload handler notes that it cut the upload off.
        refused: why this account may not upload now; the file is then not looked at.
    """

    film = FilmField(label=_("X-ray"), allow_empty_file=True)

    def __init__(
        self, *args: Any, meta: dict[str, Any] | None = None, refused: str = "", **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.was_cut_off = TOO_LARGE_KEY in (meta or {})
        self.refused = refused
        if refused:
            self.files = MultiValueDict()
        film = self.fields["film"]
        film.widget.attrs["accept"] = ACCEPT
        self.fault = upload_fault(meta)
        film.required = not self.was_cut_off and not refused and self.fault is None

    def clean_film(self) -> UploadedFilm | None:
        if self.refused:
            raise ValidationError(self.refused, code=REFUSED)
        if self.was_cut_off:
            raise too_large()
        if self.fault is not None:
            raise not_stored(self.fault)
        upload: UploadedFilm | None = self.cleaned_data["film"]
        previewed = self.data.get(self.add_prefix("film_sha256"))
        if upload is not None and previewed and previewed != upload.film.sha256:
            message = _("The file that arrived is not the one that was shown. Choose it again.")
            raise ValidationError(message, code="not_previewed")
        return upload


class FilledByFileForm(PatientDetailsForm):
    """Patient and exam details; values that the file states fill fields left empty."""

    class Meta(PatientDetailsForm.Meta):
        pass

    def fields_in_file(self) -> dict[str, str]:
        """Return what the file states, as text by field; see `stated_fields`."""
        raise NotImplementedError

    def complete(self) -> None:
        """Fill fields that were left empty with the header's values, where those are valid."""
        for name, value in self.fields_in_file().items():
            if self.data.get(self.add_prefix(name)):
                continue
            try:
                filled = self.fields[name].clean(value)
            except ValidationError:
                continue
            if name != "patient_birth_date" or self._fits(filled):
                self.cleaned_data[name] = filled
                self.errors.pop(name, None)

    def _fits(self, birth: datetime.date) -> bool:
        """Return whether the header's date of birth fits the age and exam date typed.

        If it does not, the page that compares file and form shows the ages.
        """
        age, exam = (self.cleaned_data.get(name) for name in ("patient_age_years", "exam_date"))
        years = None if exam is None else completed_years(birth, exam)
        return years is not None and age in (None, years)


class ReadingForm(FilmForm, FilledByFileForm):
    """A film with its patient's details. Values from a DICOM header fill fields left empty."""

    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    field_order = ["film", *FIELDS]

    class Meta(PatientDetailsForm.Meta):
        pass

    def __init__(self, *args: Any, doctor: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["exam_date"].initial = timezone.localdate
        if doctor is not None and teams_of(doctor).exists():
            self.fields[TEAM] = field = TeamField(doctor)
            field.initial = field.sole_team()

    def fields_in_file(self) -> dict[str, str]:
        upload = self.cleaned_data.get("film")
        return header_fields(upload) if upload else {}

    def chosen_team(self) -> Team | None:
        """Return the team that a valid form shares the reading with."""
        chosen: Team | None = self.cleaned_data.get(TEAM)
        return chosen

    def kept(self) -> dict[str, str]:
        """Return what a valid form says as text, to be kept until its doctor has decided."""
        team = self.chosen_team()
        return self.entered() | {TEAM: str(team.pk) if team else ""}

    def renew_submission(self) -> None:
        """Give the form a new id before it is shown again."""
        data = QueryDict(mutable=True)
        for name, value in self.data.items():
            data[name] = value
        data[self.add_prefix("submission")] = str(uuid.uuid4())
        self.data = data


class BatchItemForm(FilledByFileForm):
    """Patient and exam details of a file of a batch.

    Args:
        data: what was entered, as text by field.
        stated: what the file states about the patient.
    """

    class Meta(PatientDetailsForm.Meta):
        pass

    def __init__(self, data: Mapping[str, str], *, stated: StatedPatient) -> None:
        self.stated = stated
        super().__init__(dict(data))

    def fields_in_file(self) -> dict[str, str]:
        return stated_fields(self.stated)

    def _post_clean(self) -> None:
        """Leave out the checks of a whole reading, which query the database for each file."""


def header_fields(upload: UploadedFilm) -> dict[str, str]:
    """Return the patient's details from the DICOM header; see `stated_fields`."""
    return stated_fields(stated_in(upload.film.header))


def stated_fields(stated: StatedPatient) -> dict[str, str]:
    """Return what a file states about the patient as text for the form.

    Returns:
        Text by field of `PatientDetailsForm`; empty for other formats than DICOM. The date of birth
        comes last, and is left out if it contradicts the header's own age.
    """
    fields = {field: text_of(field, stated) for field in FIELDS}
    birth = fields.pop("patient_birth_date")
    if birth and _fits_header(birth, fields):
        fields["patient_birth_date"] = birth
    return {field: text for field, text in fields.items() if text}


def _fits_header(birth: str, fields: dict[str, str]) -> bool:
    age, exam = fields["patient_age_years"], fields["exam_date"]
    if not age or not exam:
        return True
    born, examined = datetime.date.fromisoformat(birth), datetime.date.fromisoformat(exam)
    return completed_years(born, examined) == int(age)
