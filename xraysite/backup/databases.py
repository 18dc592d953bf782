"""Dumps of the database: consistent while the site runs, and checked before they replace it."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection, connections
from django.utils import timezone

from xraysite.backup.errors import BackupError, DamagedError
from xraysite.common import private_files

Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Contents:
    """What a dump contains.

    Attributes:
        rows: number of rows by table.
        migrations: the applied migrations, as "app.name".
        audit_head: number and seal of the newest audit row.
        films: SHA-256 of the film of every reading.
    """

    rows: dict[str, int]
    migrations: list[str]
    audit_head: str
    films: list[str]


def engine() -> str:
    """Return "sqlite" or "postgresql"."""
    return str(connection.vendor)


def dump(path: Path) -> Contents:
    """Dump the database to a new file while the site runs.

    Raises:
        BackupError: `pg_dump` is missing or fails.
    """
    return _dump_sqlite(path) if engine() == "sqlite" else _dump_postgresql(path)


def _contents(query: Query, tables: list[str]) -> Contents:
    heads = query("SELECT sequence, seal FROM accounts_audithead WHERE id = 1")
    return Contents(
        rows={table: query(f'SELECT count(*) FROM "{table}"')[0][0] for table in tables},  # noqa: S608
        migrations=sorted(
            f"{app}.{name}" for app, name in query("SELECT app, name FROM django_migrations")
        ),
        audit_head=f"{heads[0][0]}:{heads[0][1]}" if heads else "",
        films=[
            row[0] for row in query("SELECT DISTINCT film_sha256 FROM diagnosis_reading ORDER BY 1")
        ],
    )


# SQLite


def _dump_sqlite(path: Path) -> Contents:
    source = sqlite3.connect(str(connection.settings_dict["NAME"]), timeout=60)
    with closing(source), closing(sqlite3.connect(path)) as target:
        source.backup(target)  # in one step, so that writers cannot restart it
        target.execute("PRAGMA journal_mode = DELETE")
    return read_sqlite(path)


def read_sqlite(path: Path) -> Contents:
    """Check a copy of an SQLite database and return what it contains.

    Raises:
        DamagedError: it is no intact database.
    """
    try:
        with closing(sqlite3.connect(path)) as copy:
            faults = [row[0] for row in copy.execute("PRAGMA integrity_check(10)")]
            if faults != ["ok"]:
                raise DamagedError(f"The database is damaged: {'; '.join(faults)}.")
            names = copy.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            tables = sorted(row[0] for row in names)
            return _contents(lambda sql: copy.execute(sql).fetchall(), tables)
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"The database is damaged: {error}.") from error


# PostgreSQL


def _dump_postgresql(path: Path) -> Contents:
    reader = connections.create_connection("default")
    try:
        with reader.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            (snapshot,) = cursor.fetchone()
            _run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={path}")
            return _read_postgresql(cursor)
    finally:
        reader.close()


def _read_postgresql(cursor: Any) -> Contents:
    def query(sql: str) -> list[tuple[Any, ...]]:
        cursor.execute(sql)
        return list(cursor.fetchall())

    names = query("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1")
    return _contents(query, [row[0] for row in names])


def _run(program: str, *arguments: str, database: bool = True) -> str:
    """Run a program of PostgreSQL on the site's database."""
    found = shutil.which(program)
    if found is None:
        raise BackupError(
            f"The program {program} is not installed. Install PostgreSQL's client programs, of the "
            "server's version or newer (Debian: apt install postgresql-client)."
        )
    config = connection.settings_dict
    environment = os.environ | {
        name: str(config[key])
        for name, key in (
            ("PGHOST", "HOST"), ("PGPORT", "PORT"), ("PGUSER", "USER"), ("PGPASSWORD", "PASSWORD"),
        )
        if config[key]
    }  # fmt: skip
    target = [f"--dbname={config['NAME']}"] if database else []
    owner = ["--no-owner", "--no-privileges"] if database else []
    done = subprocess.run(
        [found, *arguments, *owner, *target],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise BackupError(f"{program} failed: {done.stderr.strip()}")
    return done.stdout


# Restoring


def is_empty() -> bool:
    """Return whether the site's database has no account and no reading."""
    tables = set(connection.introspection.table_names()) if _exists() else set()
    with connection.cursor() as cursor:
        for table in {"accounts_user", "diagnosis_reading"} & tables:
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608
            if cursor.fetchone():
                return False
    return True


def _exists() -> bool:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise BackupError(f"The database cannot be reached: {error}") from error
    return True


def check(dump_path: Path) -> Contents | None:
    """Check a dump without restoring it.

    Returns:
        What it contains; None for PostgreSQL, whose dump only lists its tables.

    Raises:
        BackupError: it cannot be restored.
    """
    if engine() == "sqlite":
        return read_sqlite(dump_path)
    _run("pg_restore", "--list", str(dump_path), database=False)
    return None


def restore(dump_path: Path) -> Path | None:
    """Replace the site's database with a dump.

    Returns:
        Where the earlier SQLite database was moved; None if there was none, or on PostgreSQL,
        where the earlier tables are replaced in one transaction.

    Raises:
        BackupError: the dump cannot be restored; the database is unchanged.
    """
    if engine() != "sqlite":
        connections.close_all()
        _run(
            "pg_restore", "--clean", "--if-exists", "--single-transaction", "--exit-on-error",
            str(dump_path),
        )  # fmt: skip
        return None
    target = Path(connection.settings_dict["NAME"])
    aside = _set_aside(target)
    private_files.make_folder(target.parent)
    part = target.with_name(f".part-{target.name}")
    shutil.copyfile(dump_path, part)
    part.chmod(0o600)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    return aside


def _set_aside(target: Path) -> Path | None:
    """Rename the SQLite database with everything that its log still holds."""
    if not target.exists() or target.stat().st_size == 0:
        connections.close_all()
        _remove_log(target)
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy = cursor.fetchone()[0]
    connections.close_all()
    if busy:
        raise BackupError("The database is in use. Stop the server, then restore.")
    aside = target.with_name(f"{target.name}.before-restore-{timezone.now():%Y%m%dT%H%M%SZ}")
    target.replace(aside)
    _remove_log(target)
    return aside


def _remove_log(target: Path) -> None:
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)


@contextmanager
def _cursor() -> Iterator[Any]:
    with connection.cursor() as cursor:
        yield cursor


def contents() -> Contents:
    """Return what the site's database contains now."""
    if engine() == "sqlite":
        return read_sqlite(Path(connection.settings_dict["NAME"]))
    with _cursor() as cursor:
        return _read_postgresql(cursor)
