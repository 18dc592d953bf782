"""Forms for uploading a film, and for correcting, reviewing and deleting a reading."""

import uuid
from typing import Any

from crispy_forms.helper import FormHelper
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import MAX_AGE_YEARS, HidingReason, Reading, Review, Verdict
from diagnosis.retention import UNDO_WINDOW
from diagnosis.services.readings import PatientDetails
from diagnosis.validators import UploadedFilm, too_large, validate_film
from xraysite.common.uploads import TOO_LARGE_KEY

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
    """Patient and exam details of a new or an existing reading."""

    class Meta:
        model = Reading
        fields = ["patient_name", "patient_number", "patient_age_years", "exam_date"]
        widgets = {
            "patient_name": forms.TextInput(attrs={"autocomplete": "off", "dir": "auto"}),
            "patient_number": forms.TextInput(attrs={"autocomplete": "off"}),
            "patient_age_years": forms.NumberInput(
                attrs={"min": 0, "max": MAX_AGE_YEARS, "inputmode": "numeric"}
            ),
            "exam_date": forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.fields["exam_date"].widget.attrs["max"] = timezone.localdate().isoformat()

    def clean_exam_date(self) -> Any:
        exam_date = self.cleaned_data["exam_date"]
        if exam_date > timezone.localdate():
            raise ValidationError(_("The exam date is in the future."), code="future")
        if exam_date.year < 1900:
            raise ValidationError(_("The exam date is before the year 1900."), code="past")
        return exam_date

    def patient_details(self) -> PatientDetails:
        """Return the details of a valid form."""
        data = self.cleaned_data
        return PatientDetails(
            name=data["patient_name"],
            number=data["patient_number"],
            age_years=data["patient_age_years"],
            exam_date=data["exam_date"],
        )


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


class ReviewForm(forms.ModelForm):
    """The doctor's own assessment.

    No verdict is preselected, so that the form does not suggest the model's.
    """

    verdict = forms.ChoiceField(
        label=_("What do you see?"), choices=Verdict.choices, widget=forms.RadioSelect
    )

    class Meta:
        model = Review
        fields = ["verdict", "note"]
        widgets = {"note": forms.Textarea(attrs={"rows": 2, "class": "form-control"})}


class FilmForm(forms.Form):
    """A film alone, to inspect a file that the browser cannot display itself.

    A script states the SHA-256 of the bytes that it previewed as `film_sha256`.

    Args:
        meta: the request's META, in which the upload handler notes that it cut the upload off.
    """

    film = FilmField(label=_("X-ray"), allow_empty_file=True)

    def __init__(self, *args: Any, meta: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.was_cut_off = TOO_LARGE_KEY in (meta or {})
        film = self.fields["film"]
        film.widget.attrs["accept"] = ACCEPT
        film.required = not self.was_cut_off

    def clean_film(self) -> UploadedFilm | None:
        if self.was_cut_off:
            raise too_large()
        upload: UploadedFilm | None = self.cleaned_data["film"]
        previewed = self.data.get(self.add_prefix("film_sha256"))
        if upload is not None and previewed and previewed != upload.film.sha256:
            message = _("The file that arrived is not the one that was shown. Choose it again.")
            raise ValidationError(message, code="not_previewed")
        return upload


class ReadingForm(FilmForm, PatientDetailsForm):
    """A film with its patient's details. Values from a DICOM header fill fields left empty."""

    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    field_order = ["film", "patient_name", "patient_number", "patient_age_years", "exam_date"]

    class Meta(PatientDetailsForm.Meta):
        pass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["exam_date"].initial = timezone.localdate

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        upload = cleaned.get("film")
        if upload:
            self._fill_from_header(upload)
        return cleaned

    def _fill_from_header(self, upload: UploadedFilm) -> None:
        """Fill fields that were left empty with the header's values, where those are valid."""
        for name, value in header_fields(upload).items():
            if self.data.get(self.add_prefix(name)):
                continue
            try:
                self.cleaned_data[name] = self.fields[name].clean(value)
            except ValidationError:
                continue
            self.errors.pop(name, None)

    def renew_submission(self) -> None:
        """Give the form a new id before it is shown again."""
        data = QueryDict(mutable=True)
        for name, value in self.data.items():
            data[name] = value
        data[self.add_prefix("submission")] = str(uuid.uuid4())
        self.data = data

    def header_warnings(self) -> list[str]:
        """Return a warning for each field whose value differs from the DICOM header's.

        A film stored under another patient's name is the most dangerous mistake here.
        """
        return [
            gettext("The file gives “%(stated)s” for “%(field)s”. Is this the right X-ray?")
            % {"field": self.fields[name].label, "stated": stated}
            for name, stated in header_fields(self.cleaned_data["film"]).items()
            if str(self.cleaned_data[name]).casefold() != stated.casefold()
        ]


def header_fields(upload: UploadedFilm) -> dict[str, str]:
    """Return the patient's details from the DICOM header.

    Returns:
        Text for the form, by field of `PatientDetailsForm`; empty for other file formats.
    """
    header = upload.film.header
    if header is None:
        return {}
    stated = {
        "patient_name": header.patient_name,
        "patient_number": header.patient_id,
        "patient_age_years": None if header.age_years is None else int(header.age_years),
        "exam_date": header.study_date and header.study_date.isoformat(),
    }
    return {field: str(value) for field, value in stated.items() if value not in (None, "")}
