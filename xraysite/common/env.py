"""Typed environment variables, based on django-environ."""

import hashlib
import ipaddress
import os
import re
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
    """Return Django's database settings for the URL in the variable `name`.

    SQLite uses a file that only its owner can read, write-ahead logging and IMMEDIATE
    transactions, so that readers never wait for a writer, and a writer fails at its first
    statement rather than its last. PostgreSQL connections are kept for a minute and checked before
    use.

    Raises:
        ImproperlyConfigured: the URL is neither of SQLite nor of PostgreSQL.
    """
    config: dict[str, Any] = env.db_url(name, default=default)
    if config["ENGINE"] == "django.db.backends.sqlite3":
        config["ENGINE"] = "xraysite.sqlite"
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": SQLITE_PRAGMAS,
        }
    elif config["ENGINE"] == "django.db.backends.postgresql":
        config.update({"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True})
    else:
        raise ImproperlyConfigured(
            f"{name} must be the URL of an SQLite or PostgreSQL database. "
            f"Received engine: {config['ENGINE']!r}."
        )
    return config


def directory(name: str, *, default: Path) -> Path:
    """Return the absolute path in the variable `name`; does not create it."""
    return Path(env.str(name, default=str(default))).expanduser().resolve()


def memory_folder(var: Path) -> Path:
    """Return a folder in memory for the installation whose files are in `var`, else one in `var`.

    Does not create it.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the folder inside is made for this user alone
    if not memory.is_dir():
        return var / "metrics"
    return memory / f"xraysite-{os.getuid()}-{hashlib.sha256(str(var).encode()).hexdigest()[:12]}"


def choice(name: str, *, choices: list[str], default: str) -> str:
    """Return the value of the variable `name`, one of `choices`.

    Raises:
        ImproperlyConfigured: the value is not one of `choices`.
    """
    value: str = env.str(name, default=default)
    if value not in choices:
        raise ImproperlyConfigured(
            f"{name} must be one of {', '.join(choices)}. Received: {value!r}."
        )
    return value


def secret(name: str, *, min_length: int = 50, default: str | None = None) -> str:
    """Return a secret, which must be set unless there is a `default`, and strong enough.

    Raises:
        ImproperlyConfigured: the secret is missing, shorter than `min_length` characters, has fewer
            than five different characters, or starts with Django's insecure prefix.
    """
    value: str = env.str(name, default="")
    if not value and default is not None:
        return default
    if not value:
        raise ImproperlyConfigured(f"Set {name} in the environment; there is no default.")
    if len(value) < min_length or len(set(value)) < 5 or value.startswith("django-insecure"):
        raise ImproperlyConfigured(
            f"{name} is too weak. Use at least {min_length} random characters. "
            f"Received: {len(value)} characters."
        )
    return value


def whole_number(name: str, *, default: int, least: int = 1) -> int:
    """Return the integer in the variable `name`.

    Raises:
        ImproperlyConfigured: the value is not an integer or less than `least`.
    """
    text: str = env.str(name, default=str(default))
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ImproperlyConfigured(
            f"{name} must be an integer of at least {least}. Received: {text!r}."
        )
    return int(text)


def bucket_storages() -> dict[str, dict[str, Any]]:
    """Return the storages of X-rays and images in the bucket that the variables `S3_…` name.

    Without `S3_ACCESS_KEY_ID`, boto3 looks for credentials where the AWS tools do.

    Raises:
        ImproperlyConfigured: `S3_BUCKET` is missing, or only one half of the credentials is set.
    """
    bucket: str = env.str("S3_BUCKET", default="")
    if not bucket:
        raise ImproperlyConfigured("Set S3_BUCKET in the environment, or STORAGE=disk.")
    key, secret_key = (
        env.str(name, default="") or None for name in ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
    )
    if (key is None) != (secret_key is None):
        raise ImproperlyConfigured("Set both S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or none.")
    prefix: str = env.str("S3_PREFIX", default="").strip("/")
    shared = {
        "bucket_name": bucket,
        "endpoint_url": env.str("S3_ENDPOINT_URL", default="") or None,
        "region_name": env.str("S3_REGION", default="") or None,
        "access_key": key,
        "secret_key": secret_key,
    }
    backends = {
        "default": ("xraysite.common.object_storage.PrivateObjectStorage", "files"),
        "films": ("diagnosis.bucket_storage.BucketFilmStorage", "films"),
    }
    return {
        name: {
            "BACKEND": backend,
            "OPTIONS": shared | {"location": f"{prefix}/{folder}".strip("/")},
        }
        for name, (backend, folder) in backends.items()
    }


def rates(name: str, *, default: str) -> list[str]:
    """Return the comma-separated rates in the variable `name`, such as 10/h or 30/15m.

    An empty variable means no limit.

    Raises:
        ImproperlyConfigured: a value is not a rate.
    """
    values: list[str] = env.list(name, default=default.split(","))
    values = [value.strip() for value in values if value.strip()]
    for value in values:
        if not re.fullmatch(r"[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?[smhd]", value):
            raise ImproperlyConfigured(
                f"{name} takes rates such as 10/h (ten an hour) or 30/15m. Received: {value!r}."
            )
    return values


def origins(name: str) -> list[str]:
    """Return the comma-separated origins (scheme and host) in the variable `name`.

    Raises:
        ImproperlyConfigured: a value is not an origin.
    """
    values: list[str] = env.list(name, default=[])
    for value in values:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path:
            raise ImproperlyConfigured(
                f"{name} takes origins such as https://xray.example.org. Received: {value!r}."
            )
    return values


def networks(name: str) -> list[str]:
    """Return the comma-separated networks (or "unix") in the variable `name`.

    Raises:
        ImproperlyConfigured: a value is neither an address, a network nor "unix".
    """
    values: list[str] = env.list(name, default=[])
    for value in values:
        if value == "unix":
            continue
        try:
            ipaddress.ip_network(value)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} takes networks such as 10.0.0.0/8, addresses such as "
                f"192.0.2.7, or unix for a "
                f"proxy at a Unix socket. Received: {value!r}."
            ) from None
    return values
