"""The client's address, which headers from untrusted clients cannot forge."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory

from xraysite.common import env
from xraysite.common.client_address import client_address


def address(connection: str, forwarded: str | None = None) -> str | None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return client_address(RequestFactory().get("/", headers=headers, REMOTE_ADDR=connection))


def test_without_trusted_proxies_headers_are_ignored(settings):
    settings.TRUSTED_PROXIES = []
    assert address("192.0.2.1", "6.6.6.6") == "192.0.2.1"
    assert address("", "6.6.6.6") is None


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (None, "10.0.0.1"),
        ("203.0.113.5", "203.0.113.5"),
        ("6.6.6.6, 203.0.113.5", "203.0.113.5"),
        ("6.6.6.6, 203.0.113.5, 10.0.0.9", "203.0.113.5"),
        ("10.0.0.3, 10.0.0.9", "10.0.0.3"),
        ("203.0.113.5, nonsense", "10.0.0.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("", "10.0.0.1"),
    ],
)
def test_the_last_untrusted_address_counts_behind_a_trusted_proxy(settings, forwarded, expected):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert address("10.0.0.1", forwarded) == expected


def test_a_connection_from_elsewhere_does_not_pass_for_the_proxy(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert address("198.51.100.9", "203.0.113.5") == "198.51.100.9"


def test_a_proxy_at_a_unix_socket(settings):
    settings.TRUSTED_PROXIES = ["unix"]
    assert address("", "6.6.6.6, 203.0.113.5") == "203.0.113.5"


def test_an_invalid_network_is_refused(monkeypatch):
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,unix,192.0.2.1")
    assert env.networks("TRUSTED_PROXIES") == ["10.0.0.0/8", "unix", "192.0.2.1"]
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,everybody")
    with pytest.raises(ImproperlyConfigured, match="everybody"):
        env.networks("TRUSTED_PROXIES")
