"""Tokens for programs: who may make them, what they permit, and when they stop working."""

import datetime

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.test import RequestFactory
from django.utils import timezone, translation

from accounts.audit.models import AuditEntry
from accounts.models import User
from accounts.tokens import services
from accounts.tokens.models import ApiToken
from accounts.tokens.services import TokenError

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _english_without_guesses():
    cache.clear()
    with translation.override("en"):
        yield


def made(doctor: User, **changes) -> tuple[ApiToken, str]:
    given = {"name": "van", "scopes": ["readings:read"], "days": 30} | changes
    return services.make_token(owner=doctor, **given)


def asked(token: str = "", **headers):
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return RequestFactory().get("/api/v1/readings", headers=headers)


def refusal(request, scope: str = "readings:read") -> int:
    try:
        services.authenticate(request)
        services.user_of(request, scope=scope)
    except TokenError as error:
        return error.status
    raise AssertionError("The request was permitted.")


def test_a_token_stands_for_its_account_within_its_scopes(doctor):
    row, token = made(doctor)
    request = asked(token)
    services.authenticate(request)
    assert services.user_of(request, scope="readings:read") == doctor
    with pytest.raises(TokenError, match="lacks the scope readings:write") as error:
        services.user_of(request, scope="readings:write")
    assert error.value.status == 403
    row.refresh_from_db()
    assert row.last_used_at is not None
    assert row.last_used_from == "127.0.0.1"


def test_the_token_itself_is_stored_nowhere(doctor):
    row, token = made(doctor)
    stored = str(ApiToken.objects.values().get()) + str(list(AuditEntry.objects.values()))
    assert token.startswith("xrs_")
    assert token not in stored
    assert token[4:-4] not in stored
    assert row.hint == token[-4:]


@pytest.mark.parametrize("sent", ["", "xrs_wrong", "nothing", "xrs_" + "é" * 20])
def test_without_a_valid_token_nothing_is_permitted(doctor, sent):
    made(doctor)
    assert refusal(asked(sent)) == 401


def test_an_expired_or_revoked_token_stops_working(doctor):
    row, token = made(doctor)
    ApiToken.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert refusal(asked(token)) == 401
    ApiToken.objects.update(expires_at=timezone.now() + datetime.timedelta(days=1))
    services.authenticate(asked(token))
    services.revoke_token(by=doctor, token_id=row.pk)
    services.revoke_token(by=doctor, token_id=row.pk)
    assert refusal(asked(token)) == 401
    assert AuditEntry.objects.filter(what="token-revoked").count() == 1
    assert AuditEntry.objects.filter(what="token-refused").count() == 1  # once a minute


@pytest.mark.parametrize(
    "change", [{"approval": User.Approval.SUSPENDED}, {"is_active": False}], ids=str
)
def test_a_token_of_an_account_that_may_not_sign_in_does_not_work(doctor, change):
    _, token = made(doctor)
    User.objects.filter(pk=doctor.pk).update(**change)
    assert refusal(asked(token)) == 401


def test_tokens_survive_a_change_of_the_sites_key(doctor, settings):
    _, token = made(doctor)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    request = asked(token)
    services.authenticate(request)
    assert services.user_of(request, scope="readings:read") == doctor


def test_an_address_that_guesses_has_to_wait(doctor):
    _, token = made(doctor)
    for _ in range(services.MAX_GUESSES):
        assert refusal(asked("xrs_guess")) == 401
    assert refusal(asked(token)) == 429


def test_a_program_with_an_expired_token_locks_nobody_out(doctor):
    """All programs of a hospital may have the same address."""
    _, old = made(doctor)
    ApiToken.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    _, token = made(doctor)
    for _ in range(services.MAX_GUESSES + 1):
        assert refusal(asked(old)) == 401
    services.authenticate(asked(token))
    assert AuditEntry.objects.filter(what="token-refused").count() == 1


def test_only_approved_accounts_make_tokens_and_only_a_few(doctor, other_doctor):
    other_doctor.approval = User.Approval.PENDING
    with pytest.raises(PermissionDenied):
        made(other_doctor)
    for _ in range(services.MAX_TOKENS):
        made(doctor)
    with pytest.raises(ValueError, match="You have 20 tokens"):
        made(doctor)


@pytest.mark.parametrize(
    "wrong", [{"scopes": ["admin"]}, {"scopes": []}, {"days": 366}, {"days": 0}], ids=str
)
def test_unknown_scopes_and_times_are_refused(doctor, wrong):
    with pytest.raises(ValueError, match="A token needs scopes"):
        made(doctor, **wrong)


def test_doctors_revoke_their_own_tokens_and_supervisors_all(doctor, other_doctor, supervisor):
    row, _ = made(doctor)
    with pytest.raises(ApiToken.DoesNotExist):
        services.revoke_token(by=other_doctor, token_id=row.pk)
    assert services.revoke_token(by=supervisor, token_id=row.pk).revoked_by == supervisor


def test_a_session_does_not_replace_a_token_nor_a_token_a_session(client, doctor, settings):
    """On `/readings/` the token counts for nothing; on `/api/` the cookie does."""
    _, token = made(doctor)
    sent = {"Authorization": f"Bearer {token}"}
    assert client.get("/readings/", headers=sent).status_code == 302
    client.force_login(doctor)
    assert client.get("/readings/").status_code == 200
    # A link to an address for programs signs nobody out.
    assert client.get("/api/v1/token").status_code == 401
    assert client.get("/readings/").status_code == 200
    settings.TOKEN_PATHS = ("/readings/",)
    assert client.get("/readings/").status_code == 302
    assert client.get("/readings/", headers=sent).status_code == 200
