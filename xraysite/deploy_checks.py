"""System checks for a site in production: `manage.py check --deploy`."""

import contextlib
import ipaddress
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.files.storage import storages

from diagnosis.film_storage import folder_of
from diagnosis.readiness import check_films
from xraysite.common import private_files
from xraysite.common.readiness import NotReadyError

# Broader networks than the largest private ones are nobody's proxies.
LEAST_PREFIX = {4: 8, 6: 7}
# Resident memory of a web process and of a decoder at rest, and what a decoder may take for a file.
WORKER_MB, DECODER_MB, DECODER_MOST_MB = 150, 60, 512
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
MOUNTS = Path("/proc/mounts")
NETWORK_FILE_SYSTEMS = {"9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "nfs", "nfs4",
                        "smb3", "smbfs"}  # fmt: skip


@register(Tags.security, deploy=True)
def hosts_are_named(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that the site answers under its own names only, and knows its origins."""
    found: list[CheckMessage] = []
    if any(host in {"*", "."} for host in settings.ALLOWED_HOSTS):
        found.append(
            Warning(
                "ALLOWED_HOSTS accepts every host name: an attacker can have links to another "
                "site emailed to users.",
                hint="List the site's host names, such as xray.example.org.",
                id="xraysite.W005",
            )
        )
    if not settings.CSRF_TRUSTED_ORIGINS:
        found.append(
            Warning(
                "CSRF_TRUSTED_ORIGINS is empty: behind a proxy that terminates TLS, forms may be "
                "refused.",
                hint="Set it to the site's origins, such as https://xray.example.org.",
                id="xraysite.W006",
            )
        )
    return found


@register(Tags.security, deploy=True)
def proxies_are_named(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that clients' addresses are known and cannot be forged."""
    found: list[CheckMessage] = []
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None) and not settings.TRUSTED_PROXIES:
        found.append(
            Warning(
                "BEHIND_TLS_PROXY is set without TRUSTED_PROXIES: everybody has the proxy's "
                "address, in the audit log and in rate limits.",
                hint="Set TRUSTED_PROXIES to the proxy's address, such as 127.0.0.1, or to unix.",
                id="xraysite.W007",
            )
        )
    broad = [text for text in settings.TRUSTED_PROXIES if text != "unix" and _is_broad(text)]
    if broad:
        found.append(
            Warning(
                f"TRUSTED_PROXIES contains {', '.join(broad)}: clients can forge their address "
                "and evade rate limits.",
                hint="List the addresses of your proxies, or the networks that only they are in.",
                id="xraysite.W008",
            )
        )
    return found


def _is_broad(text: str) -> bool:
    network = ipaddress.ip_network(text)
    return network.prefixlen < LEAST_PREFIX[network.version]


@register(Tags.files, deploy=True)
def media_can_be_written(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that films can be stored, by writing a file and removing it."""
    found: list[CheckMessage] = []
    for folder in (settings.PRIVATE_MEDIA_ROOT, settings.FILE_UPLOAD_TEMP_DIR):
        try:
            private_files.make_folder(Path(folder))
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"x")
        except OSError as error:
            found.append(
                Error(
                    f"Nothing can be stored in {folder} ({error.strerror}).",
                    hint="Set PRIVATE_MEDIA_ROOT to a folder that the site's user may write to.",
                    id="xraysite.E003",
                )
            )
    if folder_of(storages["films"]) is None:
        found += _bucket_can_be_written()
    return found


def _bucket_can_be_written() -> list[CheckMessage]:
    try:
        check_films()
    except NotReadyError as error:
        return [
            Error(
                f"Nothing can be stored in the bucket ({error.detail}).",
                hint="Check S3_BUCKET, S3_ENDPOINT_URL, and the rights of the access key.",
                id="xraysite.E003",
            )
        ]
    return []


@register(deploy=True)
def shipped_bundle_exists(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that the shipped model is installed; its content is checked when it is loaded."""
    folders = [Path(settings.BUNDLE_DIR), Path(settings.SHIPPED_BUNDLE_DIR)]
    if any((folder / settings.SHIPPED_MODEL / "card.json").is_file() for folder in folders):
        return []
    return [
        Error(
            f"The model {settings.SHIPPED_MODEL} is neither in {folders[0]} nor in {folders[1]}.",
            hint="Install xraysite completely, with mlcore/bundles.",
            id="xraysite.E004",
        )
    ]


@register(deploy=True)
def memory_is_enough(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Check that all web processes and their decoders fit into memory at their worst."""
    available = memory_mb()
    each = WORKER_MB + settings.DECODERS * (DECODER_MB + DECODER_MOST_MB)
    needed = settings.WEB_CONCURRENCY * each
    if available is None or needed <= available:
        return []
    return [
        Warning(
            f"{settings.WEB_CONCURRENCY} web processes with {settings.DECODERS} decoders each can "
            f"take {needed:,} MB; {available:,.0f} MB are available.",
            hint="Lower WEB_CONCURRENCY or DECODERS, or add memory.",
            id="xraysite.W009",
        )
    ]


def memory_mb() -> float | None:
    """Return the memory of this machine or container in MB (2^20 bytes); None if unknown."""
    found = [size for path in CGROUP_LIMITS if (size := _limit_in(path)) is not None]
    with contextlib.suppress(OSError, ValueError):  # a system that does not tell
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found) / 2**20 if found else None


def _limit_in(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


@register(Tags.database, deploy=True)
def sqlite_is_local(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that no SQLite database lies on a file system that several hosts share."""
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        return []
    path = Path(str(database["NAME"])).resolve()
    kind = file_system_of(path)
    if kind not in NETWORK_FILE_SYSTEMS:
        return []
    return [
        Warning(
            f"The SQLite database {path} lies on a network file system ({kind}): several hosts, "
            "or one whose locks are lost, would damage it.",
            hint="Use PostgreSQL if several hosts serve the site, otherwise a local disk.",
            id="xraysite.W010",
        )
    ]


def file_system_of(path: Path) -> str:
    """Return the type of the file system that a path is on; "" if unknown."""
    found = [(folder, kind) for folder, kind in _mounts() if path.is_relative_to(folder)]
    return max(found, key=lambda entry: len(entry[0].parts))[1] if found else ""


def _mounts() -> Iterator[tuple[Path, str]]:
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, folder, kind, *_ = line.split(" ")
        yield Path(folder.replace("\\040", " ")), kind
