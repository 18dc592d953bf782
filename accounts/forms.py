from typing import Any

from django import forms
from django.conf import settings
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts import avatars, time_zones
from accounts.models import User
from accounts.tokens.models import SCOPES, ApiToken
from accounts.tokens.services import MAX_DAYS
from xraysite.common.images import PictureError


class ProfileForm(forms.ModelForm):
    """The profile fields that users may edit themselves."""

    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    class Meta:
        model = User
        fields = [
            "display_name", "hospital", "department", "language", "time_zone", "roc_years",
            "show_heatmap", "blind_first",
        ]  # fmt: skip
        labels = {"display_name": _("Name")}
        help_texts = {
            "language": _("Language of the interface from your next sign-in."),
            "roc_years": _("Dates are shown as 115/11/27. Both kinds can be typed everywhere."),
            "show_heatmap": _(
                "Otherwise you see the X-ray first, and the areas that support pneumonia when you "
                "ask for them. For accounts that read X-rays."
            ),
            "blind_first": _(
                "You record what you see before the model's result is sent to you. It applies to "
                "the X-rays that you upload from now on. For accounts that read X-rays."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = self.fields["language"]
        assert isinstance(language, forms.ChoiceField)  # noqa: S101 - for the type checker
        language.choices = [("", _("Browser default")), *settings.LANGUAGES]
        site = _("Site default (%(zone)s)") % {"zone": settings.TIME_ZONE}
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = [("", site), *time_zones.choices()]
        field.help_text = _("Times are shown in this time zone.")


class PictureField(forms.FileField):
    """A profile picture; the cleaned value is the file's bytes, or None."""

    widget = forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"})

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "help_text", _("JPEG, PNG or WebP, at most 5 MB. It is cropped to a square.")
        )
        super().__init__(**kwargs)

    def to_python(self, data: Any) -> Any:
        if data is None:
            return None
        if (data.size or 0) > avatars.MAX_BYTES:
            raise forms.ValidationError(_("The image is larger than 5 MB. Upload a smaller one."))
        content = data.read()
        try:
            avatars.reencode(content)
        except PictureError as error:
            raise forms.ValidationError(str(error.message)) from None
        return content


class AvatarForm(forms.Form):
    """A profile picture to show instead of the initials."""

    picture = PictureField(label=_("Choose an image"))


def _scope_label(code: str, text: Any) -> Any:
    return format_lazy("{text} ({code})", text=text, code=code)


class TokenForm(forms.Form):
    """What a new token is for.

    Two usable tokens of an account never have the same name, so that a form which is sent again
    makes no second one.

    Args:
        owner: the account that the token acts for.
    """

    name = forms.CharField(
        label=_("Program or device"),
        max_length=80,
        help_text=_("Such as “X-ray van 2” or “ward list”. You recognise the token by it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[(code, _scope_label(code, text)) for code, text in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose at least one.")},
    )
    days = forms.TypedChoiceField(
        label=_("Expires after"),
        coerce=int,
        choices=[(7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (MAX_DAYS, _("1 year"))],
        initial=90,
    )

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.owner = owner

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if ApiToken.objects.usable().filter(owner=self.owner, name=name).exists():
            raise forms.ValidationError(_("You have a token with this name. Choose another name."))
        return name
