"""Headers and content that every page must have or must not have."""

import re

import pytest
from django.conf import settings

from tests.security.crawl import addresses

pytestmark = pytest.mark.usefixtures("pages_render_quickly")

INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+\s*=\s*[\"']")
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>")
ELSEWHERE = re.compile(
    r"""<(?:script|link|img|iframe|source)[^>]*(?:src|href)=["'](?:https?:)?//"""
)


def problems_of(name: str, response, signed_in: bool) -> list[str]:
    wrong = []
    headers = response.headers
    policy = headers.get("Content-Security-Policy", "")
    if "default-src 'none'" not in policy or "unsafe" in policy:
        wrong.append(f"has the policy {policy!r}")
    if headers.get("X-Content-Type-Options") != "nosniff":
        wrong.append("lets a browser guess the type")
    if headers.get("Referrer-Policy") != "same-origin":
        wrong.append("tells other sites where its readers come from")
    if headers.get("X-Frame-Options") != "DENY":
        wrong.append("can be framed")
    if "camera=()" not in headers.get("Permissions-Policy", ""):
        wrong.append("has no permissions policy")
    if signed_in and "no-store" not in headers.get("Cache-Control", ""):
        wrong.append("may stay in a cache")
    if not response.streaming and headers.get("Content-Type", "").startswith("text/html"):
        wrong += problems_of_text(name, response.content.decode())
    return [f"{name} {fault}" for fault in wrong]


def problems_of_text(name: str, page: str) -> list[str]:
    wrong = []
    # Django's own admin pages have some inline styles, which the policy blocks.
    own = not name.startswith("admin:")
    if own and (found := INLINE.search(page)):
        wrong.append(f"holds {found.group()!r}")
    for script in SCRIPT.finditer(page):
        attributes = script["attributes"]
        if "src=" not in attributes and "application/json" not in attributes:
            wrong.append("holds an inline script")
    if ELSEWHERE.search(page):
        wrong.append("fetches from elsewhere")
    return wrong


@pytest.mark.parametrize("person", ["doctor", "supervisor", "ml_engineer", "root", None])
def test_pages_have_security_headers_and_no_inline_code(person, people, reading):
    user, browser = people[person]
    found, looked_at = [], 0
    for name, address in addresses(reading, user or reading.doctor).items():
        response = browser.get(address)
        looked_at += response.status_code == 200
        if address.startswith(settings.TOKEN_PATHS):  # no pages; a session counts for nothing there
            continue
        found += problems_of(name, response, signed_in=user is not None)
    assert looked_at > (10 if user is None else 30)
    assert found == []


@pytest.mark.parametrize("person", ["doctor", "supervisor", "root"])
def test_pages_contain_no_key_or_password_hash(person, people, reading, settings):
    user, browser = people[person]
    looked_at = 0
    for name, address in addresses(reading, user).items():
        response = browser.get(address)
        if response.streaming:
            continue
        looked_at += response.status_code == 200
        text = response.content.decode(errors="replace")
        assert settings.SECRET_KEY not in text, name
        assert user.password not in text, name
        assert reading.doctor.password not in text, name
    assert looked_at > 30
