"""Typed environment variables: invalid values raise a clear error."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from xraysite.common import env


def test_sqlite_gets_wal_and_immediate_transactions(monkeypatch):
    monkeypatch.setenv("DB", "sqlite:////tmp/x.sqlite3")
    config = env.database("DB", default="")
    assert config["ENGINE"] == "xraysite.sqlite"
    options = config["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_is_understood(monkeypatch):
    monkeypatch.setenv("DB", "postgres://u:p@h:5433/d")
    config = env.database("DB", default="")
    assert (config["ENGINE"], config["PORT"]) == ("django.db.backends.postgresql", 5433)


def test_another_database_is_refused(monkeypatch):
    monkeypatch.setenv("DB", "mysql://u:p@h/d")
    with pytest.raises(ImproperlyConfigured, match="SQLite or PostgreSQL"):
        env.database("DB", default="")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "there is no default"),
        ("short", "too weak"),
        ("a" * 80, "too weak"),
        ("django-insecure-" + "abcdefgh" * 10, "too weak"),
    ],
)
def test_a_weak_secret_prevents_start_up(monkeypatch, value, said):
    monkeypatch.setenv("KEY", value)
    with pytest.raises(ImproperlyConfigured, match=said):
        env.secret("KEY")


def test_a_good_secret_is_accepted(monkeypatch):
    monkeypatch.setenv("KEY", "0123456789" * 6)
    assert env.secret("KEY") == "0123456789" * 6


def test_a_directory_is_absolute(monkeypatch):
    monkeypatch.setenv("FOLDER", "relative/folder")
    assert env.directory("FOLDER", default=Path("/x")) == Path("relative/folder").resolve()
    assert env.directory("NOT_SET", default=Path("/x")) == Path("/x")


def test_an_origin_needs_its_scheme(monkeypatch):
    monkeypatch.setenv("ORIGINS", "https://a.example.org,b.example.org")
    with pytest.raises(ImproperlyConfigured, match=r"b\.example\.org"):
        env.origins("ORIGINS")
