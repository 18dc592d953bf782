from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from accounts import avatars, time_zones
from accounts.models import User


class ProfileForm(forms.ModelForm):
    """What the owner of an account may change of it."""

    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    class Meta:
        model = User
        fields = ["display_name", "hospital", "department", "language", "time_zone"]
        labels = {"display_name": _("Name")}
        help_texts = {"language": _("The language of the pages after your next sign-in.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        site = _("The site's own (%(zone)s)") % {"zone": settings.TIME_ZONE}
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - for the type checker
        field.choices = [("", site), *time_zones.choices()]
        field.help_text = _("Times on the pages are shown in it.")


class AvatarForm(forms.Form):
    """A picture to show instead of the initials."""

    picture = forms.FileField(
        label=_("Choose a picture"),
        help_text=_("JPEG, PNG or WebP, at most 5 MB. Its middle square is shown."),
        widget=forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
    )

    def clean_picture(self) -> bytes:
        """Returns the file's bytes, if a picture can be made of them."""
        upload: UploadedFile = self.cleaned_data["picture"]
        if (upload.size or 0) > avatars.MAX_BYTES:
            raise forms.ValidationError(_("The picture is larger than 5 MB. Choose a smaller one."))
        data = upload.read()
        try:
            avatars.reencode(data)
        except avatars.AvatarError as error:
            raise forms.ValidationError(str(error.message)) from None
        return data
