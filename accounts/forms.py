from typing import Any

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Submit
from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class ProfileForm(forms.ModelForm):
    """What the owner of an account may change of it."""

    class Meta:
        model = User
        fields = ["display_name", "hospital", "department", "language"]
        labels = {"display_name": _("Name")}
        help_texts = {"language": _("The language of the pages after your next sign-in.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.helper = FormHelper()
        self.helper.add_input(Submit("save", _("Save")))
