"""Every address × every kind of person. An address without a row here fails the test."""

from typing import NamedTuple

import pytest
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from diagnosis.models import Reading
from tests.conftest import particulars, signed_in
from tests.fake_board import FakeBoard
from xraysite import hooks

PEOPLE = ["anonymous", "doctor", "other_doctor", "supervisor", "ml_engineer"]
LOGIN = "login"  # sent to the sign-in page


class Row(NamedTuple):
    """What each of PEOPLE gets for a GET, and for a POST where the address takes one."""

    get: tuple[object, ...]
    post: tuple[object, ...] | None = None


EVERYBODY = Row((200, 200, 200, 200, 200))
STAFF = Row((LOGIN, 200, 200, 200, 200))
OWN_OR_OVERSEEN = Row((LOGIN, 200, 404, 200, 404))
DOCTORS = Row((LOGIN, 200, 200, 403, 403))
OWN = Row((LOGIN, 200, 404, 404, 404))
GUESTS = Row((200, 302, 302, 302, 302))  # pages for people who are not signed in

CONFIRMED = Row((LOGIN, 302, 302, 302, 302), (LOGIN, 302, 302, 302, 302))

MATRIX: dict[str, Row] = {
    "home": EVERYBODY,
    "about": EVERYBODY,
    "favicon": Row((302,) * 5),
    "healthz": EVERYBODY,
    "set_language": Row((302,) * 5, (302,) * 5),
    "accounts:profile": STAFF,
    "accounts:status": Row((LOGIN, 302, 302, 302, 302)),  # of an approved account: nothing to see
    "readings:list": DOCTORS,
    "readings:new": DOCTORS,
    "readings:inspect": Row((LOGIN, 405, 405, 403, 403), (LOGIN, 422, 422, 403, 403)),
    "readings:detail": OWN_OR_OVERSEEN,
    "readings:report": OWN_OR_OVERSEEN,
    "readings:film": OWN_OR_OVERSEEN,
    "readings:heatmap": OWN_OR_OVERSEEN,
    "readings:share": Row(OWN.get, (LOGIN, 200, 404, 404, 404)),
    # Of a picture that is not there; `test_sharing` looks at one that is.
    "readings:withdraw": Row((LOGIN, 404, 404, 404, 404), (LOGIN, 404, 404, 404, 404)),
    "readings:edit": Row(OWN.get, (LOGIN, 302, 404, 404, 404)),
    "readings:delete": Row(OWN.get, (LOGIN, 302, 404, 404, 404)),
    "readings:undelete": Row((LOGIN, 405, 405, 404, 404), (LOGIN, 404, 404, 404, 404)),
    "readings:review": Row((LOGIN, 405, 405, 404, 404), (LOGIN, 302, 404, 404, 404)),
    "models:list": STAFF,
    "models:detail": STAFF,
    "models:plot": STAFF,
    "accounts:picture": Row((LOGIN, 405, 405, 405, 405), (LOGIN, 422, 422, 422, 422)),
    "accounts:avatar": Row((LOGIN, 404, 404, 404, 404)),
    "accounts:end_session": Row((LOGIN, 405, 405, 405, 405), (LOGIN, 404, 404, 404, 404)),
    "usersessions_list": Row(STAFF.get, (LOGIN, 302, 302, 302, 302)),
    "accounts:second_factor": Row((LOGIN, 302, 302, 302, 302)),
    "accounts:session": EVERYBODY,
    "accounts:stay": Row((LOGIN, 405, 405, 405, 405), (LOGIN, 200, 200, 200, 200)),
    "mfa_index": STAFF,
    "mfa_authenticate": Row((302,) * 5),
    "mfa_reauthenticate": Row((LOGIN, 302, 302, 200, 200)),
    "mfa_reauthenticate_webauthn": Row((LOGIN, 302, 302, 302, 302)),
    "mfa_login_webauthn": Row((302,) * 5),
    # What changes a factor asks for the password once more.
    "mfa_activate_totp": CONFIRMED,
    "mfa_deactivate_totp": Row((LOGIN, 404, 404, 302, 302), (LOGIN, 404, 404, 302, 302)),
    "mfa_view_recovery_codes": Row((LOGIN, 404, 404, 404, 404)),
    "mfa_generate_recovery_codes": CONFIRMED,
    "mfa_download_recovery_codes": Row((LOGIN, 404, 404, 404, 404)),
    "mfa_list_webauthn": STAFF,
    "mfa_add_webauthn": CONFIRMED,
    "mfa_edit_webauthn": CONFIRMED,
    "mfa_remove_webauthn": CONFIRMED,
    "who_saw": Row((LOGIN, "admin", "admin", 200, 403)),
    "account_login": GUESTS,
    "account_logout": Row((302, 200, 200, 200, 200)),
    "account_signup": GUESTS,
    "account_confirm_login_code": Row((302,) * 5),
    "account_inactive": EVERYBODY,
    "account_reauthenticate": STAFF,
    "account_email": STAFF,
    "account_change_password": STAFF,
    "account_set_password": Row((LOGIN, 302, 302, 302, 302)),
    "account_email_verification_sent": EVERYBODY,
    "account_confirm_email": EVERYBODY,
    "account_reset_password": EVERYBODY,
    "account_reset_password_done": EVERYBODY,
    "account_reset_password_from_key": EVERYBODY,
    "account_reset_password_from_key_done": EVERYBODY,
}

ADMIN_OPEN_TO_SUPERVISOR = {
    "index",
    "jsi18n",
    "app_list",
    "password_change",
    "password_change_done",
    "login",
    "logout",
    "diagnosis_reading_changelist",
    "diagnosis_reading_change",
    "diagnosis_reading_history",
    "diagnosis_reading_export",
    "diagnosis_reading_restore",
    "diagnosis_reading_purge",
    "accounts_user_changelist",
    "accounts_user_change",
    "accounts_user_history",
    "accounts_user_approve",
    "accounts_user_reject",
    "accounts_user_suspend",
    "accounts_user_reinstate",
    "accounts_user_role",
    "mlcore_modelversion_changelist",
    "mlcore_modelversion_change",
    "mlcore_modelversion_history",
    "mlcore_modelversion_compare",
    "accounts_auditentry_changelist",
    "accounts_auditentry_change",
    "accounts_auditentry_history",
}

ADMIN_OPEN_TO_ML_STAFF = {
    "index",
    "jsi18n",
    "password_change",
    "password_change_done",
    "login",
    "logout",
    "mlcore_modelversion_changelist",
    "mlcore_modelversion_change",
    "mlcore_modelversion_history",
    "mlcore_modelversion_compare",
    "mlcore_modelversion_activate",
    "mlcore_modelversion_rollback",
}
ADMIN_OPEN_TO = {"supervisor": ADMIN_OPEN_TO_SUPERVISOR, "ml_engineer": ADMIN_OPEN_TO_ML_STAFF}


@pytest.fixture(autouse=True)
def _board_to_share_on(monkeypatch):
    """A site has a board; where none is installed, one in memory."""
    if not hooks.boards:
        monkeypatch.setattr(hooks, "boards", [FakeBoard()])


def named_patterns(resolver: URLResolver | None = None, space: str = ""):
    """Yields (name, pattern) of every address that the site answers."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from named_patterns(pattern, inner)
        elif isinstance(pattern, URLPattern):
            yield f"{space}{pattern.name}", pattern


def test_every_address_has_a_row():
    names = {name for name, _ in named_patterns() if not name.startswith("admin:")}
    assert names == set(MATRIX), "addresses without a row, or rows without an address"


@pytest.fixture
def people(doctor, other_doctor, supervisor, ml_engineer, client):
    return {
        "anonymous": client,
        "doctor": signed_in(doctor),
        "other_doctor": signed_in(other_doctor),
        "supervisor": signed_in(supervisor),
        "ml_engineer": signed_in(ml_engineer),
    }


def address_of(name: str, reading: Reading) -> str:
    if name in {"readings:list", "readings:new", "readings:inspect"}:
        return reverse(name)
    if name == "readings:withdraw":
        return reverse(name, args=[reading.pk, reading.pk])
    if name.startswith("readings:"):
        return reverse(name, args=[reading.pk])
    if name == "models:detail":
        return reverse(name, args=[reading.model_name])
    if name == "models:plot":
        return reverse(name, args=[reading.model_name, "roc.png"])
    if name == "account_confirm_email":
        return reverse(name, args=["not-a-key"])
    if name in {"mfa_edit_webauthn", "mfa_remove_webauthn", "accounts:end_session"}:
        return reverse(name, args=[9999])
    if name == "accounts:avatar":
        return reverse(name, args=[reading.doctor_id])
    if name == "account_reset_password_from_key":
        return reverse(name, kwargs={"uidb36": "1", "key": "not-a-key"})
    return reverse(name)


def assert_answers(response, expected: object) -> None:
    if expected == "admin":
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/admin/login/?next=")
    elif expected == LOGIN:
        assert response.status_code == 302
        assert response.headers["Location"].startswith("/accounts/login/?next=")
    else:
        assert response.status_code == expected


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("name", sorted(MATRIX))
def test_get(name, person, people, reading):
    response = people[person].get(address_of(name, reading))
    assert_answers(response, MATRIX[name].get[PEOPLE.index(person)])


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("name", sorted(name for name, row in MATRIX.items() if row.post))
def test_post(name, person, people, reading):
    response = people[person].post(address_of(name, reading), particulars(verdict="NORMAL"))
    row = MATRIX[name].post
    assert row is not None
    assert_answers(response, row[PEOPLE.index(person)])


ADMIN_NAMES = sorted(
    {name.removeprefix("admin:") for name, _ in named_patterns() if name.startswith("admin:")}
)


def admin_address(name: str, pattern: URLPattern, reading: Reading, person) -> str | None:
    objects = {"reading": reading.pk, "user": person.pk, "modelversion": reading.model_version_id}
    content_type = ContentType.objects.get_for_model(Reading)
    model = name.split("_")[1] if name.count("_") == 2 else ""
    wanted = {"object_id": objects.get(model, 1), "app_label": "diagnosis"}
    wanted |= {"content_type_id": content_type.pk, "url": "nothing/", "id": 1, "pk": reading.pk}
    if name == "view_on_site":
        wanted["object_id"] = reading.pk
    keys = list(pattern.pattern.converters) or list(pattern.pattern.regex.groupindex)
    return reverse(f"admin:{name}", kwargs={key: wanted.get(key, reading.pk) for key in keys})


@pytest.mark.parametrize("name", [name for name in ADMIN_NAMES if name != "None"])
def test_admin_lets_each_role_see_its_own_pages_and_nobody_else_in(
    name, people, reading, supervisor
):
    pattern = dict(named_patterns())[f"admin:{name}"]
    address = admin_address(name, pattern, reading, supervisor)
    for person, browser in people.items():
        status = browser.get(address).status_code
        if person in ADMIN_OPEN_TO:
            if name in ADMIN_OPEN_TO[person]:
                assert status in {200, 302, 404, 405}, f"{address}: {status}"
            else:
                assert status in {302, 403, 404}, f"{address} is open to {person}: {status}"
        elif name == "login" and person == "anonymous":
            assert status == 302
        else:
            assert status in {302, 403, 404, 405}, f"{address} answers {status} to {person}"


@pytest.mark.parametrize("name", ["activate", "rollback"])
def test_only_ml_staff_may_choose_the_model(name, people, reading):
    arguments = [reading.model_version_id] if name == "activate" else []
    address = reverse(f"admin:mlcore_modelversion_{name}", args=arguments)
    for person, browser in people.items():
        response = browser.post(address)
        if person in {"supervisor", "ml_engineer"}:
            assert response.status_code == {"supervisor": 403, "ml_engineer": 302}[person]
        else:
            assert "/login/" in response.headers["Location"]
