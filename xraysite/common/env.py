"""Typed readings of the environment, on top of django-environ."""

import ipaddress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL;"
    "PRAGMA busy_timeout=20000;"
    "PRAGMA foreign_keys=ON;"
)


def database(name: str, *, default: str) -> dict[str, Any]:
    """Return Django's settings of the database that the variable `name` addresses.

    SQLite gets write-ahead logging and IMMEDIATE transactions, so that readers never wait for a
    writer and a writer fails at its first statement, not its last. PostgreSQL keeps connections
    for a minute and checks them before use.

    Raises:
        ImproperlyConfigured: if the address is neither of SQLite nor of PostgreSQL.
    """
    config: dict[str, Any] = env.db_url(name, default=default)
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": SQLITE_PRAGMAS,
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config.update({"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True})
    else:
        raise ImproperlyConfigured(
            f"{name} addresses {config['ENGINE']!r}; xraysite runs on SQLite or PostgreSQL."
        )
    return config


def directory(name: str, *, default: Path) -> Path:
    """Return the absolute directory that the variable `name` holds; does not create it."""
    return Path(env.str(name, default=str(default))).expanduser().resolve()


def secret(name: str, *, min_length: int = 50) -> str:
    """Return a secret that must be set and long enough to be one.

    Raises:
        ImproperlyConfigured: if it is missing, shorter than `min_length` characters, of fewer
            than five different characters, or carries Django's mark of an insecure key.
    """
    value: str = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"Set {name} in the environment; there is no default.")
    if len(value) < min_length or len(set(value)) < 5 or value.startswith("django-insecure"):
        raise ImproperlyConfigured(
            f"{name} is too weak: at least {min_length} random characters are needed, "
            f"got {len(value)}."
        )
    return value


def whole_number(name: str, *, default: int, least: int = 1) -> int:
    """Return the whole number that the variable holds.

    Raises:
        ImproperlyConfigured: if it holds no whole number, or one less than `least`.
    """
    text: str = env.str(name, default=str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ImproperlyConfigured(
            f"{name} holds {text!r}; it takes a whole number, at least {least}."
        )
    return int(text)


def origins(name: str) -> list[str]:
    """Return the comma-separated origins (scheme and host) that the variable holds.

    Raises:
        ImproperlyConfigured: if one of them is no origin.
    """
    values: list[str] = env.list(name, default=[])
    for value in values:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; an origin looks like https://xray.example.org"
            )
    return values


def networks(name: str) -> list[str]:
    """Return the comma-separated networks (or "unix") that the variable holds.

    Raises:
        ImproperlyConfigured: if one of them is neither an address, a network nor "unix".
    """
    values: list[str] = env.list(name, default=[])
    for value in values:
        if value == "unix":
            continue
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; a network looks like 10.0.0.0/8, an address like "
                "192.0.2.7, and the proxy at a Unix socket is called unix."
            ) from None
    return values
