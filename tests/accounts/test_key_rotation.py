"""The site's key can be replaced entirely: seals and second factors stay valid without it."""

from io import StringIO

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.management import CommandError, call_command

from accounts.audit.verify import verify_log

pytestmark = pytest.mark.django_db


def test_an_earlier_key_is_not_needed_any_more(doctor, settings):
    secret = generate_totp_secret()
    app = TOTP.activate(doctor, secret).instance
    codes = RecoveryCodes.activate(doctor)
    before = codes.get_unused_codes()
    old = settings.SECRET_KEY
    settings.AUDIT_KEY, settings.AUDIT_KEY_FALLBACKS = "the log's own key", [old]
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the next key of the site", [old]
    out = StringIO()
    call_command("reencrypt_second_factors", stdout=out)
    assert "encrypted again: 2." in out.getvalue()
    settings.SECRET_KEY_FALLBACKS = []
    app.refresh_from_db()
    assert get_adapter().decrypt(app.data["secret"]) == secret
    stored = Authenticator.objects.get(pk=codes.instance.pk)
    assert RecoveryCodes(stored).get_unused_codes() == before
    assert list(verify_log()) == []


def test_a_secret_of_an_unknown_key_stops_everything(doctor, settings):
    first = TOTP.activate(doctor, generate_totp_secret()).instance
    settings.SECRET_KEY = "a key that nothing was encrypted with"
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("reencrypt_second_factors")
    data = Authenticator.objects.get(pk=first.pk).data
    assert data == first.data
