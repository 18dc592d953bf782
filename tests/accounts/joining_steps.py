"""Steps of an applicant's sign-up, as a browser performs them."""

import re
from typing import Any

from django.core import mail
from django.test import Client

from accounts.models import User
from tests.factories import PASSWORD

APPLICANT = {
    "display_name": "陳美玲",
    "email": "mei-ling@example.org",
    "password1": PASSWORD,
    "password2": PASSWORD,
    "hospital": "臺北市立聯合醫院",
    "department": "小兒科",
    "licence_number": "醫字第012345號",
}


def stranger(language: str = "en") -> Client:
    return Client(headers={"accept-language": language})


def sign_up(browser: Client, **changes: Any):
    return browser.post("/accounts/signup/", APPLICANT | changes)


def link_in(message: Any) -> str:
    """Return the path of the first link with a key in the mail."""
    found = re.search(r"https?://[^/\s]+(/accounts/(?:confirm-email|password/reset/key)/\S+)",
                      message.body)  # fmt: skip
    assert found, message.body
    return found.group(1)


def verify(browser: Client, message: Any = None):
    """Open the emailed link and press the button on its page."""
    address = link_in(message or mail.outbox[-1])
    assert browser.get(address).status_code == 200
    return browser.post(address)


def applicant(browser: Client | None = None, **changes: Any) -> User:
    """Return a pending account: signed up, with a verified address."""
    browser = browser or stranger()
    sign_up(browser, **changes)
    verify(browser)
    return User.objects.get(email=changes.get("email", APPLICANT["email"]))


def sign_in(browser: Client, email: str, password: str = PASSWORD, **more: Any):
    return browser.post("/accounts/login/", {"login": email, "password": password} | more)
