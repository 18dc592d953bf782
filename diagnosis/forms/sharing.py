"""The form for sharing a case on the discussion board."""

import uuid
from typing import TYPE_CHECKING, Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from diagnosis import board
from diagnosis.services.sharing import MAX_BOXES, Box

if TYPE_CHECKING:
    from accounts.models import User

MAX_TITLE = 120
MAX_BODY = 10_000


class BoxesField(forms.CharField):
    """Rectangles, one per line: left, top, width and height in percent of the film.

    The cleaned value is a tuple of `Box`.
    """

    widget = forms.Textarea

    def clean(self, value: Any) -> tuple[Box, ...]:
        lines = super().clean(value).splitlines()
        boxes = tuple(_box(line, number) for number, line in enumerate(lines, 1) if line.strip())
        if len(boxes) > MAX_BOXES:
            raise ValidationError(
                _("At most %(limit)s boxes are allowed."),
                code="many",
                params={"limit": MAX_BOXES},
            )
        return boxes


def _box(line: str, number: int) -> Box:
    try:
        left, top, width, height = (float(part) / 100 for part in line.split())
        return Box(left, top, width, height)
    except ValueError:
        raise ValidationError(
            _(
                "Line %(line)s is not a box on the image. Enter left, top, width and height in"
                " percent, for example: 70 0 30 8"
            ),
            code="box",
            params={"line": number},
        ) from None


class ShareForm(forms.Form):
    """Text and black boxes of a shared case, and the doctor's confirmation."""

    category = forms.TypedChoiceField(label=_("Category"), coerce=int)
    title = forms.CharField(
        label=_("Title"),
        max_length=MAX_TITLE,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    body = forms.CharField(
        label=_("Text"),
        max_length=MAX_BODY,
        widget=forms.Textarea(attrs={"rows": 9}),
        help_text=_(
            "You can use Markdown: **bold**, *italic*, lists, links. What is between “:::spoiler” "
            "and “:::” stays hidden until the reader opens it."
        ),
    )
    boxes = BoxesField(
        label=_("Black boxes"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_(
            "One box per line: left, top, width and height in percent of the image, for example:"
            " 70 0 30 8"
        ),
    )
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    confirmed = forms.BooleanField(
        label=_("I have checked image and text: nothing in them identifies the patient."),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, *args: Any, doctor: "User", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.doctor = doctor
        category = self.fields["category"]
        assert isinstance(category, forms.TypedChoiceField)  # noqa: S101 - for the type checker
        category.choices = [("", _("Choose a category")), *board.current().categories(doctor)]

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def clean_body(self) -> str:
        return self.cleaned_data["body"].replace("\r\n", "\n")

    @property
    def category_name(self) -> str:
        """The name of the chosen category; the form must be valid."""
        return dict(board.current().categories(self.doctor))[self.cleaned_data["category"]]

    def is_confirmed(self) -> bool:
        """Return whether the doctor confirmed image and text; add an error if not."""
        if self.cleaned_data["confirmed"]:
            return True
        self.add_error("confirmed", _("Check image and text, then tick this box."))
        return False

    def reopened(self) -> Self:
        """Return an unbound form with the same content, except for the confirmation."""
        content = {name: self.data.get(name, "") for name in self.fields if name != "confirmed"}
        return type(self)(initial=content, doctor=self.doctor)
