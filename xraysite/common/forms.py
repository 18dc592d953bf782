"""Forms that several apps use."""

import datetime
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from xraysite.common.dates import parsed_date


class ReasonForm(forms.Form):
    """Ask for the reason of an action, which is kept on record.

    The cleaned `reason` is a non-empty text.

    Args:
        max_length: most characters; no more than the place where the reason is stored can hold.
        help_text: who will read the reason.
        widget: the input; by default a text area of three lines.
    """

    def __init__(
        self,
        *args: Any,
        max_length: int = 500,
        help_text: str | Promise = "",
        widget: forms.Widget | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"] = forms.CharField(
            label=_("Reason"),
            max_length=max_length,
            help_text=help_text,  # type: ignore[arg-type]
            widget=widget or forms.Textarea(attrs={"rows": 3, "class": "form-control"}),
        )


class DayField(forms.DateField):
    """A date in years AD or of the Republic of China, typed or chosen; see `parsed_date`."""

    def to_python(self, value: Any) -> datetime.date | None:
        day = parsed_date(value) if isinstance(value, str) else None
        return day or super().to_python(value)
