"""allauth's sign-up, sign-in and password forms with this site's labels and texts."""

from typing import Any

from allauth.account import forms as account_forms
from django import forms
from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import avatars
from accounts.audit_events import record_about_address
from accounts.forms import PictureField
from accounts.models import User
from accounts.names import validate_display_name
from accounts.sso import config as sso_config
from accounts.sso import linking

DAY = 24 * 3600
PASSWORD_RULES = _(
    "At least 12 characters. Not a common password, not only digits, and not similar to your name "
    "or email address."
)


def name_fields(form: forms.Form, **labels: Any) -> None:
    """Set the labels of fields and remove allauth's placeholders."""
    for field in form.fields.values():
        field.widget.attrs.pop("placeholder", None)
    for name, label in labels.items():
        form.fields[name].label = label


class SignInForm(account_forms.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, login=_("Email"), password=_("Password"))
        self.fields["login"].widget.attrs |= {"autocomplete": "username", "autofocus": True}
        self.fields["password"].help_text = ""  # the page links to the password reset
        remember = self.fields["remember"]
        remember.label = _("Stay signed in after closing the browser")
        remember.help_text = _(
            "For at most %(days)d days. Sessions expire after %(minutes)d minutes without activity."
        ) % {
            "days": settings.SESSION_COOKIE_AGE // DAY,
            "minutes": settings.SESSION_IDLE_SECONDS // 60,
        }
        provider = sso_config.current()
        if provider is not None and self.request and linking.is_pending(self.request):
            name = sso_config.name_of(provider)
            self.fields[linking.CONSENT] = forms.BooleanField(
                label=_("Connect this account to my account at %(hospital)s") % {"hospital": name},
                required=False,
                initial=True,
            )


class SignUpForm(account_forms.SignupForm):
    """The sign-up form.

    The response for an address that already has an account is the same and takes as long, so that
    nobody can find out which addresses have one; the owner is told by email.
    """

    account_already_exists: bool
    field_order = [
        "display_name", "email", "password1", "password2",
        "hospital", "department", "licence_number", "picture",
    ]  # fmt: skip

    display_name = forms.CharField(
        label=_("Name"),
        max_length=80,
        validators=[validate_display_name],
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        help_text=_("The name that your colleagues know you by."),
    )
    hospital = forms.CharField(
        label=_("Hospital"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    department = forms.CharField(
        label=_("Department"),
        max_length=120,
        # There is no autocomplete token for a department.
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    licence_number = forms.CharField(
        label=_("Licence number"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Medical licence number. Leave blank if you are not a doctor."),
    )
    picture = PictureField(label=_("Profile picture"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(
            self, email=_("Email"), password1=_("Password"), password2=_("Confirm password")
        )
        self.fields["password1"].help_text = PASSWORD_RULES
        self.fields["email"].help_text = _("We will send a verification link to this address.")

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            # Takes as long as creating an account, so that the time reveals nothing.
            User().set_password(self.cleaned_data["password1"])
            if self.cleaned_data.get("picture"):
                avatars.reencode(self.cleaned_data["picture"])
            return super().try_save(request)
        try:
            with transaction.atomic():
                return super().try_save(request)
        except IntegrityError:
            # Another request created an account with this address at the same time.
            self.account_already_exists = True
            return super().try_save(request)


class ForgotPasswordForm(account_forms.ResetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, email=_("Email"))

    def save(self, request: HttpRequest, **kwargs: Any) -> str:
        """Send the email and record the request, whether or not the address has an account."""
        record_about_address(self.cleaned_data["email"], "password-reset-asked")
        return str(super().save(request, **kwargs))


class NewPasswordForm(account_forms.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(self, password1=_("New password"), password2=_("Confirm new password"))
        self.fields["password1"].help_text = PASSWORD_RULES


class ChangePasswordForm(account_forms.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        name_fields(
            self,
            oldpassword=_("Current password"),
            password1=_("New password"),
            password2=_("Confirm new password"),
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
        name_fields(self, email=_("New email address"))
        self.fields["email"].help_text = _(
            "We will send a verification link to this address. Your current address "
            "stays in use until you open it."
        )
