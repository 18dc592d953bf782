"""The pages on which people make and revoke tokens, and what supervisors see of them."""

import pytest
from django.test import RequestFactory

from accounts import services as account_services
from accounts.tokens import services
from accounts.tokens.models import ApiToken
from accounts.tokens.services import TokenError
from tests.conftest import signed_in
from tests.factories import PASSWORD

pytestmark = pytest.mark.django_db
FORM = {"name": "X-ray van", "scopes": ["readings:read", "readings:write"], "days": "30"}


@pytest.fixture
def confirmed(doctor):
    """The doctor's browser after the password was asked for."""
    client = signed_in(doctor)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def shown_token(page: str) -> str:
    return page.split('translate="no">')[1].split("<")[0]


def works(token: str) -> bool:
    request = RequestFactory().get("/api/v1/readings", headers={"Authorization": f"Bearer {token}"})
    try:
        return services.authenticate(request) is not None
    except TokenError:
        return False


def test_a_token_is_shown_once_and_works(confirmed):
    page = confirmed.post("/accounts/tokens/new/", FORM).content.decode()
    token = shown_token(page)
    assert works(token)
    listed = confirmed.get("/accounts/tokens/").content.decode()
    assert "X-ray van" in listed
    assert token[-4:] in listed
    assert token not in listed


def test_a_form_that_is_sent_again_makes_no_second_token(confirmed):
    confirmed.post("/accounts/tokens/new/", FORM)
    again = confirmed.post("/accounts/tokens/new/", FORM).content.decode()
    assert "You have a token with this name" in again
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize(
    "changes", [{"scopes": []}, {"scopes": ["everything"]}, {"days": "3650"}, {"name": ""}]
)
def test_a_form_without_sense_makes_no_token(confirmed, changes):
    response = confirmed.post("/accounts/tokens/new/", FORM | changes)
    assert "is-invalid" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_the_password_is_asked_for_first(as_doctor):
    response = as_doctor.post("/accounts/tokens/new/", FORM)
    assert response.headers["Location"].startswith("/accounts/reauthenticate/")
    assert not ApiToken.objects.exists()


def test_a_revoked_token_stops_working_after_confirmation(confirmed):
    token = shown_token(confirmed.post("/accounts/tokens/new/", FORM).content.decode())
    address = f"/accounts/tokens/{ApiToken.objects.get().pk}/revoke/"
    assert "Revoke this token?" in confirmed.get(address).content.decode()
    assert works(token)
    page = confirmed.post(address, follow=True).content.decode()
    assert "was revoked" in page
    assert not works(token)


def test_suspending_an_account_ends_its_tokens_for_good(doctor, supervisor):
    _row, token = services.make_token(owner=doctor, name="van", scopes=["readings:read"], days=30)
    account_services.suspend_account(by=supervisor, user=doctor, reason="left")
    assert not works(token)
    doctor.refresh_from_db()
    account_services.reinstate_account(by=supervisor, user=doctor)
    assert not works(token)
    assert ApiToken.objects.get().revoked_by == supervisor


def test_supervisors_see_and_revoke_everybodys_tokens(doctor, as_supervisor):
    row, token = services.make_token(owner=doctor, name="van", scopes=["readings:read"], days=30)
    listed = as_supervisor.get("/admin/tokens/apitoken/").content.decode()
    assert "van" in listed
    assert token not in listed
    data = {"action": "revoke_selected", "_selected_action": [row.pk]}
    as_supervisor.post("/admin/tokens/apitoken/", data)
    assert not works(token)
