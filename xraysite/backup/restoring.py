"""Restore a backup. Everything is verified before anything is changed."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db.migrations.loader import MigrationLoader

from accounts.audit import anchor
from xraysite.backup import databases, sources
from xraysite.backup.databases import Contents
from xraysite.backup.errors import BackupError, DamagedError
from xraysite.backup.making import scratch_folder
from xraysite.backup.manifests import Entry, Manifest
from xraysite.backup.repository import Repository
from xraysite.backup.sources import Root
from xraysite.common import private_files

SPARE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Restored:
    """What a restore did.

    Attributes:
        files: number of files written.
        kept: number of files that were there already.
        aside: where the earlier SQLite database was moved; None if there was none.
    """

    files: int
    kept: int
    aside: Path | None


def verify(repository: Repository, manifest: Manifest) -> None:
    """Read every file of a backup.

    Raises:
        DamagedError: files are missing or damaged; the message lists them.
        BackupError: the backup cannot be restored into this site.
    """
    if manifest.database.engine != databases.engine():
        raise BackupError(
            f"The backup is of a {manifest.database.engine} database, and DATABASE_URL is one of "
            f"{databases.engine()}. Restore it with a DATABASE_URL of its kind; `manage.py "
            "move_to` then moves an SQLite database to PostgreSQL."
        )
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    ours = {name.partition(".")[0] for name in known}
    newer = [
        name
        for name in manifest.database.migrations
        if name not in known and name.partition(".")[0] in ours
        and not _is_replaced(name)
    ]  # fmt: skip
    if newer:
        raise BackupError(
            f"The backup is of a newer version ({manifest.version}): this one has no migration "
            f"{newer[0]}. Install that version, then restore."
        )
    faults = []
    for sha256 in manifest.objects:
        try:
            repository.verify(sha256)
        except DamagedError as error:
            faults.append(str(error))
    if faults:
        raise DamagedError(
            "\n".join(["The backup is damaged; nothing was restored. Use another one.", *faults])
        )


def _is_replaced(name: str) -> bool:
    """Return whether a squashed migration replaces it."""
    replaced = {
        (app, old)
        for migration in MigrationLoader(None).disk_migrations.values()
        for app, old in migration.replaces
    }
    app, _, old = name.partition(".")
    return (app, old) in replaced


def is_empty_site() -> bool:
    """Return whether the site has no account, no reading and no X-ray."""
    films = sources.roots()[sources.FILMS].paths()
    return databases.is_empty() and not any(path.startswith("original/") for path in films)


def restore(repository: Repository, manifest: Manifest) -> Restored:
    """Write all files of a verified backup, and then replace the database.

    An anchor of the audit log that is there stays, because it may know of newer rows; if there is
    none, it is written from the manifest, whose seal has been verified.

    Files that exist with the same content stay; others of the same name are replaced. X-rays that
    the backup does not contain stay too: `sweep_films` finds them.

    Raises:
        BackupError: there is too little space, or the dump is not what the manifest says. The
            database is unchanged.
    """
    roots = sources.roots()
    todo = [entry for entry in manifest.files if not _is_there(roots[entry.root], entry)]
    _require_space(manifest, todo)
    with scratch_folder() as scratch:
        dump = scratch / "database"
        repository.extract(manifest.database.sha256, dump)
        _compare(manifest, databases.check(dump))
        for entry in todo:
            repository.extract(entry.sha256, scratch / "file")
            roots[entry.root].put(entry.path, scratch / "file")
        aside = databases.restore(dump)
    _compare(manifest, databases.contents())
    if manifest.database.audit_head and anchor.path() and anchor.read() is None:
        anchor.write(*anchor.parse_head(manifest.database.audit_head))
    return Restored(len(todo), len(manifest.files) - len(todo), aside)


def _is_there(root: Root, entry: Entry) -> bool:
    if not sources.is_inside(entry.path):
        raise DamagedError(f"The backup contains a file outside its folder: {entry.path}.")
    return root.holds(entry.path, sha256=entry.sha256, size=entry.size)


def _require_space(manifest: Manifest, todo: list[Entry]) -> None:
    """Refuse if the files do not fit; the dump is needed twice for a moment."""
    needed = sum(entry.size for entry in todo) + 2 * manifest.database.size + SPARE_BYTES
    private_files.make_folder(Path(settings.VAR_DIR))
    films = sources.roots()[sources.FILMS].folder
    folders = [Path(settings.VAR_DIR), *([] if films is None else [_existing(films)])]
    free = min(shutil.disk_usage(folder).free for folder in folders)
    if free < needed:
        raise BackupError(
            f"The backup needs {needed / 2**20:,.0f} MB, and {free / 2**20:,.0f} MB are free. Free "
            "space, or set XRAYSITE_VAR and PRIVATE_MEDIA_ROOT to a larger disk."
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _compare(manifest: Manifest, found: Contents | None) -> None:
    if found is None:
        return
    expected = manifest.database
    if (found.rows, found.audit_head) != (expected.rows, expected.audit_head):
        differing = sorted(
            table
            for table in {*found.rows, *expected.rows}
            if found.rows.get(table) != expected.rows.get(table)
        )
        raise DamagedError(
            "The database is not the one that was backed up: "
            f"{', '.join(differing) or 'the head of the audit log differs'}."
        )
