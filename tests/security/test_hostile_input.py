"""Hostile input in forms and queries causes no server error and no markup."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import AuditEntry
from diagnosis.models import Reading
from tests.conftest import post_film, signed_in
from tests.factories import PASSWORD, DoctorFactory, SupervisorFactory
from tests.films import encode_dicom, synthetic_film
from tests.security.crawl import Form, addresses, forms_of, page_of, send

MARK = "xss7f3"
MARKUP = f"\"'><{MARK} onmouseover=alert(1)><script>{MARK}()</script>"
HOSTILE = [
    MARKUP,
    "javascript:alert(1)",
    "\x00",
    "a\x00b",
    "'; DROP TABLE accounts_user; --",
    "' OR '1'='1",
    "{{ 7|add:7 }}{% load i18n %}${7*7}",
    "%s%n%(name)s{0}{name}",
    "../../../../etc/passwd",
    "\r\nSet-Cookie: stolen=1\r\n\r\n<b>",
    "‮txt.exe‬",
    "\u200b\u200b",
    "𠮷" * 300,
    "A" * 100_000,
    "9" * 400,
    "-1",
    "1e309",
    "NaN",
    "１２３",
    "0000-00-00",
    "99999-12-31",
    "2026-02-30",
    "1899-01-01",
    "[]",
    '{"$ne": null}',
    "on",
    " ",
]
PERSONS = ["doctor", "supervisor", "root", None]


def problem(response, form: Form, value: str) -> list[str]:
    """Return a line if the response is a server error or contains the markup unescaped."""
    is_page = not response.streaming and response.headers.get("Content-Type", "")[:9] == "text/html"
    if (
        response.status_code < 500
        and "stolen" not in response.cookies
        and not (is_page and f"<{MARK}" in response.content.decode().lower())
    ):
        return []
    return [f"{form.method} {form.action} with {value[:60]!r}: {response.status_code}"]


@pytest.fixture(autouse=True)
def _errors_are_answers(people):
    """Get error pages instead of exceptions, so that the tests can list all failing forms."""
    for _, browser in people.values():
        browser.raise_request_exception = False


# The office has so many forms that these take minutes; the next test has each field of them.
BY_HAND = {"supervisor", "root"}
FORMS_OF = [pytest.param(p, marks=pytest.mark.slow) if p in BY_HAND else p for p in PERSONS]


@pytest.mark.usefixtures("pages_render_quickly")
@pytest.mark.parametrize("person", FORMS_OF)
def test_forms_handle_hostile_input(person, people, reading):
    user, browser = people[person]
    forms = forms_of(browser, list(addresses(reading, user or reading.doctor).values()))
    assert len(forms) >= 3
    found = []
    for form in forms:
        for value in HOSTILE:
            found += problem(send(browser, form, dict.fromkeys(form.written, value)), form, value)
        # The form may have ended the session or changed the password.
        if user is not None:
            user.refresh_from_db()
            browser = signed_in(user)
            browser.raise_request_exception = False
    assert found == []


@pytest.mark.usefixtures("pages_render_quickly")
@pytest.mark.parametrize("person", PERSONS)
def test_forms_handle_hostile_input_in_each_field(person, people, reading):
    """The other fields keep their values, so that they cannot hide an error."""
    user, browser = people[person]
    forms = forms_of(browser, list(addresses(reading, user or reading.doctor).values()))
    assert len(forms) >= 3
    found = []
    for form in forms:
        if "logout" in form.action:
            continue
        for name in form.written:
            for value in (MARKUP, "a\x00b", "9" * 400, "𠮷" * 300):
                response = send(browser, form, form.values | {name: value})
                found += problem(response, form, f"{name}={value}")
    assert found == []


@pytest.mark.usefixtures("pages_render_quickly")
@pytest.mark.parametrize("person", ["doctor", "supervisor", "root"])
def test_pages_handle_hostile_queries(person, people, reading):
    user, browser = people[person]
    keys = ["q", "page", "p", "o", "next", "label", "result", "date_from", "size", "format", "e"]
    found = []
    for name, address in addresses(reading, user).items():
        for value in (MARKUP, "a\x00b", "9" * 400, "-1", "NaN"):
            response = browser.get(address, dict.fromkeys(keys, value))
            found += problem(response, Form(name, address, "get"), value)
    assert found == []


def test_sign_in_does_not_redirect_to_other_sites(client, doctor):
    for there in ("https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:x"):
        response = client.post(
            "/accounts/login/", {"login": doctor.email, "password": PASSWORD, "next": there}
        )
        assert response.status_code == 302
        assert response.headers["Location"] == "/"
        client.logout()


def stored_markup(reading: Reading) -> list[str]:
    """Return the names of the fields that contain the markup."""
    return [
        field.name
        for field in Reading._meta.concrete_fields
        if MARK in str(getattr(reading, field.name))
    ]


@pytest.mark.usefixtures("pages_render_quickly")
def test_stored_markup_is_escaped_everywhere(active_model, people, film_bytes):
    """Enter markup in every text field, then check every page of every user."""
    doctor, browser = people["doctor"]
    short = MARKUP[:70]
    header = f"<{MARK}>"
    made = post_film(
        browser, film_bytes, name=f"{short}.png", patient_name=MARKUP, patient_number=short[:60]
    )
    assert made.status_code == 302
    dicom = encode_dicom(
        synthetic_film("NORMAL", seed=2, size=300),
        patient_name=header, patient_id=header, age="003Y", study_date="20260102",
    )  # fmt: skip
    assert post_film(browser, dicom, name="x.dcm", patient_name=MARKUP).status_code == 302
    reading = Reading.objects.order_by("created_at").first()
    assert {"patient_name", "patient_number"} <= set(stored_markup(reading))

    # All other forms that accept the markup.
    where = list(addresses(reading, doctor).values())
    taken = []
    for form in forms_of(browser, where):
        if form.method != "post" or "logout" in form.action or "password" in form.action:
            continue
        values = {
            name: short if form.kinds[name] in {"text", "textarea", "search"} else value
            for name, value in form.values.items()
        }
        if send(browser, form, values).status_code in {201, 302}:
            taken.append(form.action)
    assert len(taken) >= 3, taken
    # Names take no symbols today; earlier ones may contain markup.
    doctor.refresh_from_db()
    assert MARK not in doctor.display_name
    doctor.display_name = doctor.hospital = short
    doctor.save()

    browser.get("/readings/", headers={"user-agent": MARKUP, "x-forwarded-for": MARKUP})
    browser.post("/accounts/login/", {"login": MARKUP, "password": MARKUP})
    looked_at = 0
    for user, other in people.values():
        for address in addresses(reading, user or doctor).values():
            page = page_of(other, address)
            if page is not None:
                looked_at += MARK in page
                assert f"<{MARK}" not in page.lower(), f"{address} for {user}"
    assert looked_at >= 8, "too few pages show the markup"
    assert AuditEntry.objects.filter(object_repr__contains=MARK).exists()


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200) | st.from_regex(
    r"[<>\"'&;/\\%{}$]{1,30}", fullmatch=True
)


class TestAnyText(TestCase):
    """Random text in the most used forms."""

    def setUp(self) -> None:
        self.doctor = DoctorFactory()
        self.supervisor = SupervisorFactory()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(name=TEXT, hospital=TEXT, department=TEXT)
    def test_profile(self, name, hospital, department):
        browser = signed_in(self.doctor)
        response = browser.post(
            "/accounts/profile/",
            {"display_name": name, "hospital": hospital, "department": department},
        )
        if response.status_code == 302:
            self.doctor.refresh_from_db()
            stored = (self.doctor.display_name, self.doctor.hospital, self.doctor.department)
            sent = (text.replace("\x00", "").strip() for text in (name, hospital, department))
            assert stored == tuple(sent)
        else:
            assert response.status_code == 200
            assert response.context["form"].errors

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(words=TEXT)
    def test_searches(self, words):
        for user, address in (
            (self.doctor, "/readings/"),
            (self.supervisor, "/admin/diagnosis/reading/"),
            (self.supervisor, "/admin/accounts/auditentry/"),
            (self.supervisor, "/admin/who-saw/"),
        ):
            assert signed_in(user).get(address, {"q": words}, follow=True).status_code == 200

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(email=TEXT, password=TEXT)
    def test_sign_in(self, email, password):
        response = self.client.post("/accounts/login/", {"login": email, "password": password})
        assert response.status_code == 200
        assert response.context["form"].errors
        assert "_auth_user_id" not in self.client.session
