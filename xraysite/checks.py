"""System checks: what would make this installation unsafe or unable to read films."""

import stat
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError

from xraysite import private_files

PRIVATE_CACHES = ("locmem", "dummy")
# Shared, but two processes can both believe to have added a key, and lose each other's counts.
RACING_CACHES = ("filebased",)


@register(Tags.security)
def private_media_is_not_served(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Films must lie in no folder that the web server hands out."""
    private = Path(settings.PRIVATE_MEDIA_ROOT).resolve()
    folders = [*settings.STATICFILES_DIRS, settings.STATIC_ROOT]
    served = [Path(str(folder)).resolve() for folder in folders]
    return [
        Error(
            f"Films are kept in {private}, inside {folder}, which anybody can fetch from.",
            hint="Set PRIVATE_MEDIA_ROOT to a folder outside the static files.",
            id="xraysite.E001",
        )
        for folder in served
        if private.is_relative_to(folder)
    ]


@register(Tags.security)
def private_files_are_private(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nobody but the site's own user, and a group that was granted it, reads patient data."""
    paths = private_files.private_folders()
    for database in settings.DATABASES.values():
        if database["ENGINE"] == "xraysite.sqlite":
            paths += private_files.database_files(Path(database["NAME"]))
    return [
        Warning(
            f"{path} is open to every user of this machine "
            f"(mode {stat.S_IMODE(path.stat().st_mode):04o}), and its mode could not be changed.",
            hint="Let the site's user own it, on a file system that keeps modes.",
            id="xraysite.W003",
        )
        for path in paths
        if path.exists() and path.stat().st_mode & private_files.OTHERS
    ]


@register()
def bundle_names_are_unique(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A bundle that was trained here hides a shipped one of the same name."""
    trained, shipped = Path(settings.BUNDLE_DIR), Path(settings.SHIPPED_BUNDLE_DIR)
    return [
        Warning(
            f"{trained / card.parent.name} hides the shipped bundle of the same name.",
            hint="To use the shipped one, move the other to another folder.",
            id="xraysite.W004",
        )
        for card in sorted(shipped.glob("*/card.json"))
        if (own := trained / card.parent.name / card.name).exists()
        and own.read_bytes() != card.read_bytes()
    ]


@register(Tags.security, deploy=True)
def cache_is_shared(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """With a cache of its own, each process counts failed sign-ins for itself."""
    backend = str(settings.CACHES["default"]["BACKEND"])
    if any(name in backend for name in PRIVATE_CACHES):
        return [
            Warning(
                f"The cache {backend} is not shared by the site's processes, so that rate limits "
                "hold for each of them alone.",
                hint="Use the database, Redis or Memcached cache.",
                id="xraysite.W001",
            )
        ]
    if any(name in backend for name in RACING_CACHES):
        return [
            Warning(
                f"The cache {backend} loses counts when processes write at once, so that more "
                "tries pass than a rate limit allows.",
                hint="Use the database, Redis or Memcached cache.",
                id="xraysite.W002",
            )
        ]
    return []


@register(Tags.database)
def active_model_is_whole(
    app_configs: Any, databases: Any = None, **kwargs: Any
) -> list[CheckMessage]:
    """The active model's bundle must be there and be the one that was registered.

    Runs with `manage.py check --database default`, as `migrate` does; a site without a model, or
    not migrated yet, has nothing to check.
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
                f"The active model cannot read films: {error}",
                hint="Activate another: manage.py activate_model NAME",
                id="xraysite.E002",
            )
        ]
    return []
