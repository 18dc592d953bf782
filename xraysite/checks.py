"""System checks for an unsafe installation or an unusable model."""

import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from xraysite.common import private_files

PRIVATE_CACHES = ("locmem", "dummy")
# Shared, but not atomic: concurrent processes lose each other's counts.
RACING_CACHES = ("filebased",)


@register(Tags.security)
def private_media_is_not_served(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that X-rays are not stored in a folder that the web server serves."""
    private = Path(settings.PRIVATE_MEDIA_ROOT).resolve()
    folders = [*settings.STATICFILES_DIRS, settings.STATIC_ROOT]
    served = [Path(str(folder)).resolve() for folder in folders]
    return [
        Error(
            f"X-rays are stored in {private}, inside {folder}, which is served to everyone.",
            hint="Set PRIVATE_MEDIA_ROOT to a folder outside the static files.",
            id="xraysite.E001",
        )
        for folder in served
        if private.is_relative_to(folder)
    ]


@register(Tags.security)
def private_files_are_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that only the site's user, and a group granted on purpose, can read patient data."""
    return [
        Warning(
            f"{path} is open to every user of this machine "
            f"(mode {stat.S_IMODE(path.stat().st_mode):04o}), and its mode could not be changed.",
            hint="Make the site's user its owner, on a file system that supports permissions.",
            id="xraysite.W003",
        )
        for path in private_files.private_paths()
        if path.stat().st_mode & private_files.OTHERS
    ]


@register()
def bundle_names_are_unique(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that no locally trained bundle hides a shipped one of the same name."""
    trained, shipped = Path(settings.BUNDLE_DIR), Path(settings.SHIPPED_BUNDLE_DIR)
    return [
        Warning(
            f"{trained / card.parent.name} hides the shipped bundle of the same name.",
            hint="To use the shipped bundle, move the other one to a different folder.",
            id="xraysite.W004",
        )
        for card in sorted(shipped.glob("*/card.json"))
        if (own := trained / card.parent.name / card.name).exists()
        and own.read_bytes() != card.read_bytes()
    ]


@register(Tags.security, deploy=True)
def cache_is_shared(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that all processes share a cache; otherwise each counts failed sign-ins alone."""
    backend = str(settings.CACHES["default"]["BACKEND"])
    if any(name in backend for name in PRIVATE_CACHES):
        return [
            Warning(
                f"The cache {backend} is not shared between processes: rate limits apply to each "
                "process separately.",
                hint="Use the database, Redis or Memcached cache.",
                id="xraysite.W001",
            )
        ]
    if any(name in backend for name in RACING_CACHES):
        return [
            Warning(
                f"The cache {backend} loses counts under concurrent writes: more "
                f"attempts pass than "
                "the rate limits allow.",
                hint="Use the database, Redis or Memcached cache.",
                id="xraysite.W002",
            )
        ]
    return []


@register(Tags.database)
def active_model_is_whole(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that the active model's bundle exists and is the one that was registered.

    Runs with `manage.py check --database default` and during `migrate`. Skipped without an active
    model or before the first migration.
    """
    if not databases:
        return []
    from mlcore import registry

    try:
        version = registry.active_version()
        if version is not None:
            registry.load(version.folder, sha256=version.bundle_sha256)
    except DatabaseError:
        return []
    except registry.ModelUnavailable as error:
        return [
            Error(
                f"The active model cannot be used: {error}",
                hint="Activate another model: manage.py activate_model NAME",
                id="xraysite.E002",
            )
        ]
    return []
