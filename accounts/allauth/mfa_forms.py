"""allauth's two-factor forms with this site's labels and texts."""

from typing import Any

from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.audit.recording import record_access
from accounts.models import User


class CodeMixin:
    """Shows a numeric keyboard for the code on phones."""

    fields: dict[str, forms.Field]
    cleaned_data: dict[str, Any]
    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["code"]
        field.label = _("Code")
        field.widget.attrs.pop("placeholder", None)
        field.widget.attrs |= {"inputmode": "numeric", "autofocus": True, "maxlength": 20}

    def clean_code(self) -> str:
        """Check the code; record a try that is refused because too many have failed."""
        check = getattr(super(), "clean_code", None)
        try:
            return str(check()) if check else str(self.cleaned_data["code"])
        except ValidationError as error:
            if error.code == "too_many_login_attempts":
                record_access(self.user, what="sign-in-locked")
            raise


class CodeForm(CodeMixin, AuthenticateForm):
    pass


class ConfirmCodeForm(CodeMixin, ReauthenticateForm):
    pass


class SetUpAppForm(CodeMixin, ActivateTOTPForm):
    pass


class AddKeyForm(AddWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Key name")
        self.fields["name"].max_length = 100
        self.fields["passwordless"].label = _("Sign in without a password")
        self.fields["passwordless"].help_text = _(
            "You can then sign in with this key alone. It asks for your fingerprint, face or PIN."
        )


class RenameKeyForm(EditWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].label = _("Key name")
