"""The form that shares a case on the discussion board."""

import uuid
from typing import Any, Self

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from diagnosis import board
from diagnosis.services.sharing import MAX_BOXES, Box

MAX_TITLE = 120
MAX_BODY = 10_000


class BoxesField(forms.CharField):
    """Rectangles, one a line: left, top, width, height in per cent of the film.

    The cleaned value is a tuple of `Box`.
    """

    widget = forms.Textarea

    def clean(self, value: Any) -> tuple[Box, ...]:
        lines = super().clean(value).splitlines()
        boxes = tuple(_box(line, number) for number, line in enumerate(lines, 1) if line.strip())
        if len(boxes) > MAX_BOXES:
            raise ValidationError(
                _("No more than %(limit)s boxes."), code="many", params={"limit": MAX_BOXES}
            )
        return boxes


def _box(line: str, number: int) -> Box:
    try:
        left, top, width, height = (float(part) / 100 for part in line.split())
        return Box(left, top, width, height)
    except ValueError:
        raise ValidationError(
            _(
                "Line %(line)s is no box on the film. Write left, top, width and height in per"
                " cent, such as: 70 0 30 8"
            ),
            code="box",
            params={"line": number},
        ) from None


class ShareForm(forms.Form):
    """What is posted with the picture, and which parts of the picture are black."""

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
        help_text=_("Markdown works: **bold**, *italic*, lists, links."),
    )
    boxes = BoxesField(
        label=_("Black boxes"),
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=_(
            "One a line: left, top, width and height in per cent of the film, such as: 70 0 30 8"
        ),
    )
    submission = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    confirmed = forms.BooleanField(
        label=_(
            "I have looked at the picture and text: nobody can tell from them who the patient is."
        ),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        category = self.fields["category"]
        assert isinstance(category, forms.TypedChoiceField)  # noqa: S101 - for the type checker
        category.choices = [("", _("Choose a category")), *board.current().categories()]

    def clean_title(self) -> str:
        return " ".join(self.cleaned_data["title"].split())

    def clean_body(self) -> str:
        return self.cleaned_data["body"].replace("\r\n", "\n")

    @property
    def category_name(self) -> str:
        """Of a valid form."""
        return dict(board.current().categories())[self.cleaned_data["category"]]

    def is_confirmed(self) -> bool:
        """Returns whether the doctor vouches for picture and text; says so in the form if not."""
        if self.cleaned_data["confirmed"]:
            return True
        self.add_error("confirmed", _("Look at picture and text, then tick this box."))
        return False

    def reopened(self) -> Self:
        """Returns a form with what is written in this one, which nobody has judged yet."""
        written = {name: self.data.get(name, "") for name in self.fields if name != "confirmed"}
        return type(self)(initial=written)
