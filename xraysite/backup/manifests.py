"""The list of everything in a backup, with checksums and a seal under the site's key."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from xraysite.backup.errors import BackupError, DamagedError

FORMAT = 1
SALT = "xraysite.backup"


class Entry(NamedTuple):
    """A file of a backup.

    Attributes:
        root: "films", "files" or "bundles".
        path: the file's path below its root.
        sha256: of its content.
        size: in bytes.
    """

    root: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class DatabaseFacts:
    """What a dump of the database contains.

    Attributes:
        engine: "sqlite" or "postgresql".
        sha256: of the dump.
        size: of the dump, in bytes.
        rows: number of rows by table.
        migrations: the applied migrations, as "app.name".
        audit_head: number and seal of the newest audit row, as `verify_audit` prints it.
    """

    engine: str
    sha256: str
    size: int
    rows: dict[str, int]
    migrations: list[str]
    audit_head: str


@dataclass(frozen=True)
class Manifest:
    """What a backup contains.

    Attributes:
        created_at: UTC, in ISO 8601.
        version: the version of xraysite that made the backup.
        database: the dump of the database.
        files: all other files.
        missing: films of readings that the storage did not have, or had damaged.
    """

    created_at: str
    version: str
    database: DatabaseFacts
    files: list[Entry]
    missing: list[str] = field(default_factory=list)

    @property
    def objects(self) -> dict[str, int]:
        """The sizes of all objects by SHA-256."""
        return {entry.sha256: entry.size for entry in self.files} | {
            self.database.sha256: self.database.size
        }

    def to_bytes(self) -> bytes:
        """Return the manifest as lines of JSON, the last of which is the seal."""
        head = asdict(self) | {"format": FORMAT}
        head.pop("files")
        lines = [json.dumps(head), *(json.dumps(entry) for entry in self.files)]
        body = "".join(f"{line}\n" for line in lines).encode()
        return body + json.dumps({"seal": _seal(body, settings.SECRET_KEY)}).encode() + b"\n"


def parse(content: bytes, *, any_key: bool = False) -> Manifest:
    """Read a manifest.

    Args:
        content: as `Manifest.to_bytes` returned it.
        any_key: whether to accept the seal of a key that this site does not have.

    Raises:
        DamagedError: it was altered.
        BackupError: it is of another format, or of a site with another secret key.
    """
    body, _, last = content.rstrip(b"\n").rpartition(b"\n")
    body += b"\n"
    try:
        seal = str(json.loads(last)["seal"])
        head, *files = (json.loads(line) for line in body.splitlines())
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("The manifest is damaged. Use another backup.") from error
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if not any_key and not any(constant_time_compare(seal, _seal(body, key)) for key in keys):
        raise BackupError(
            "The manifest was altered, or this site has another SECRET_KEY than the one that made "
            "the backup. Set that key: without it, second factors cannot be decrypted and the "
            "audit log cannot be verified. To restore all the same, pass --any-key."
        )
    if head.pop("format", None) != FORMAT:
        raise BackupError("The backup is of another version of xraysite. Restore it with that one.")
    database = DatabaseFacts(**head.pop("database"))
    return Manifest(database=database, files=[Entry(*entry) for entry in files], **head)


def checksum_line(content: bytes, name: str) -> str:
    """Return the line of a checksum file, as `sha256sum --check` reads it."""
    return f"{hashlib.sha256(content).hexdigest()}  {name}\n"


def _seal(body: bytes, key: Any) -> str:
    # The body may be large; its digest is sealed.
    digest = hashlib.sha256(body).hexdigest()
    return salted_hmac(SALT, digest, secret=key, algorithm="sha256").hexdigest()
