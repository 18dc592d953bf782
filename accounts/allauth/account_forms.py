"""The forms of joining and signing in: allauth's, in this site's words."""

from typing import Any

from allauth.account import forms as account_forms
from django import forms
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import avatars
from accounts.forms import PictureField
from accounts.models import User

DAY = 24 * 3600
PASSWORD_RULES = _(
    "At least 12 characters; no common password, not digits alone, nothing like your name or "
    "e-mail address."
)


def name_fields(form: forms.Form, **labels: Any) -> None:
    """Give the fields their labels, and takes away what allauth writes into them instead."""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)
    for name, label in labels.items():
        form.fields[name].label = label


class SignInForm(account_forms.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, login=_("E-mail"), password=_("Password"))
        self.fields["login"].widget.attrs |= {"autocomplete": "username", "autofocus": True}
        self.fields["password"].help_text = ""  # the page has the link
        remember = self.fields["remember"]
        remember.label = _("Stay signed in after the browser closes")
        remember.help_text = _(
            "For %(days)d days at most. Without use every session ends after %(minutes)d minutes."
        ) % {
            "days": settings.SESSION_COOKIE_AGE // DAY,
            "minutes": settings.SESSION_IDLE_SECONDS // 60,
        }


class SignUpForm(account_forms.SignupForm):
    """Asks for an account.

    An address that has one gets the same answer in the same time; its owner gets another mail.
    """

    account_already_exists: bool
    field_order = [
        "display_name", "email", "password1", "password2",
        "hospital", "department", "licence_number", "picture",
    ]  # fmt: skip

    display_name = forms.CharField(
        label=_("Name"),
        max_length=80,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text=_("As your colleagues know you."),
    )
    hospital = forms.CharField(
        label=_("Hospital"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    department = forms.CharField(
        label=_("Department"),
        max_length=120,
        # No token says "department"; a browser that guesses writes something else.
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    licence_number = forms.CharField(
        label=_("Licence number"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Of your licence as a doctor; whoever is none leaves it empty."),
    )
    picture = PictureField(label=_("Picture"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, email=_("E-mail"), password1=_("Password"), password2=_("Password again"))
        self.fields["password1"].help_text = PASSWORD_RULES
        self.fields["email"].help_text = _("A link to verify it is mailed there.")

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            # What takes time for a new account; without it the answer would come sooner.
            User().set_password(self.cleaned_data["password1"])
            if self.cleaned_data.get("picture"):
                avatars.reencode(self.cleaned_data["picture"])
            return super().try_save(request)
        try:
            with transaction.atomic():
                return super().try_save(request)
        except IntegrityError:
            # The same address at the same moment: the other one has the account.
            self.account_already_exists = True
            return super().try_save(request)


class ForgotPasswordForm(account_forms.ResetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, email=_("E-mail"))


class NewPasswordForm(account_forms.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, password1=_("New password"), password2=_("New password again"))
        self.fields["password1"].help_text = PASSWORD_RULES


class ChangePasswordForm(account_forms.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(
            self,
            oldpassword=_("Current password"),
            password1=_("New password"),
            password2=_("New password again"),
        )
        self.fields["oldpassword"].help_text = ""
        self.fields["password1"].help_text = PASSWORD_RULES


class ConfirmPasswordForm(account_forms.ReauthenticateForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, password=_("Password"))
        self.fields["password"].help_text = ""


class ChangeEmailForm(account_forms.AddEmailForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, email=_("New e-mail address"))
        self.fields["email"].help_text = _(
            "A link is mailed there. Until you open it, your present address stays."
        )
