"""Move a site's rows from its SQLite database into an empty PostgreSQL database.

All rows are copied and compared in one transaction of the target, while the source is locked
against writing. Films and images stay where they are.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.color import no_style
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model, QuerySet

from xraysite.common import env

SOURCE, TARGET = "default", "move_target"
BATCH = 500
EXAMPLE = "postgres://user:password@host/name"


class MoveError(Exception):
    """Raised when the database cannot be moved; the text is for the operator."""


class Moved(NamedTuple):
    """A table that is the same in both databases.

    Attributes:
        table: its name.
        rows: number of rows.
        sha256: of all values, whatever the order of the rows.
    """

    table: str
    rows: int
    sha256: str


def move(url: str) -> Iterator[Moved]:
    """Create the tables of the target, copy all rows, compare them, and commit.

    Args:
        url: of an empty PostgreSQL database.

    Raises:
        MoveError: the database cannot be moved. The source is unchanged; the target has no row
            but those of its migrations.
    """
    _connect(url)
    _require_ready()
    _manage(url, "migrate", "--no-input", "--verbosity", "0")
    with transaction.atomic(SOURCE), transaction.atomic(TARGET):  # IMMEDIATE: locks writers out
        models = list(_models())
        _empty(models)
        for model in models:
            _copy(model)
        for statement in connections[TARGET].ops.sequence_reset_sql(no_style(), models):
            _execute(statement)
        for model in models:
            yield _compared(model)
        _check_references()
    connections[TARGET].close()
    _manage(url, "index_board")


def _connect(url: str) -> None:
    if connections[SOURCE].vendor != "sqlite":
        raise MoveError(
            "This site's database is not SQLite. To copy a PostgreSQL database, use pg_dump."
        )
    try:
        config = env.env.db_url_config(url)
    except (ValueError, KeyError, ImproperlyConfigured) as error:
        raise MoveError(f"The target must be a URL such as {EXAMPLE}.") from error
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise MoveError(f"The target must be a PostgreSQL database, such as {EXAMPLE}.")
    configured = connections.configure_settings(
        {SOURCE: connections.settings[SOURCE], TARGET: config}
    )
    connections.settings[TARGET] = configured[TARGET]
    try:
        connections[TARGET].ensure_connection()
    except DatabaseError as error:
        raise MoveError(f"The target cannot be reached: {error}") from error


def _require_ready() -> None:
    if connections[TARGET].introspection.table_names():
        raise MoveError(
            "The target is not empty. Nothing was changed. Create a new database and pass its URL."
        )
    executor = MigrationExecutor(connections[SOURCE])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise MoveError("The source has migrations to apply. Run `manage.py migrate` first.")


def _manage(url: str, *arguments: str) -> None:
    """Run a command of this site on the target; migrations use the default database."""
    done = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *arguments],
        env=os.environ | {"DATABASE_URL": url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise MoveError(f"`manage.py {arguments[0]}` failed on the target: {last}")


def _models() -> Iterator[type[Model]]:
    for model in apps.get_models(include_auto_created=True):
        if model._meta.managed and not model._meta.proxy and not model._meta.swapped:
            yield model


def _empty(models: list[type[Model]]) -> None:
    """Remove what migrations inserted into the target: roles, permissions, categories."""
    quote = connections[TARGET].ops.quote_name
    _execute(f"TRUNCATE {', '.join(quote(model._meta.db_table) for model in models)} CASCADE")


def _execute(statement: str) -> None:
    with connections[TARGET].cursor() as cursor:
        cursor.execute(statement)


def _copy(model: type[Model]) -> None:
    """Copy the rows as they are: no signals, no `save`, no values of the moment."""
    # The target computes generated columns itself; `digest` compares them too.
    fields = [field for field in model._meta.local_concrete_fields if not field.generated]
    rows = iter(_rows(model, SOURCE).iterator(chunk_size=BATCH))
    target: Any = QuerySet(model, using=TARGET)
    try:
        while batch := list(islice(rows, BATCH)):
            target._insert(batch, fields=fields, raw=True, using=TARGET)
    except DatabaseError as error:
        raise MoveError(
            f"{model._meta.db_table} cannot be copied: {error} Nothing was moved; the site can go "
            "on with SQLite."
        ) from error


def _rows(model: type[Model], alias: str) -> "QuerySet[Any]":
    return QuerySet(model, using=alias).order_by("pk")


def _compared(model: type[Model]) -> Moved:
    before, after = digest(model, SOURCE), digest(model, TARGET)
    if before != after:
        raise MoveError(
            f"{model._meta.db_table} differs after the move ({before.rows} and {after.rows} rows). "
            "Nothing was moved; the site can go on with SQLite."
        )
    return after


def _check_references() -> None:
    try:
        _execute("SET CONSTRAINTS ALL IMMEDIATE")
    except DatabaseError as error:
        raise MoveError(
            f"A row refers to one that does not exist: {error} Nothing was moved. Run `manage.py "
            "fsck` on the SQLite database."
        ) from error


def digest(model: type[Model], alias: str) -> Moved:
    """Return the number of a table's rows and a hash of their values.

    The values are compared as Python sees them, and the hashes of the rows are added up: neither
    the way in which a database stores values nor its order of texts matters.
    """
    names = [field.attname for field in model._meta.local_concrete_fields]
    count = total = 0
    for values in _rows(model, alias).values_list(*names).iterator(chunk_size=BATCH):
        line = json.dumps(
            [_plain(value) for value in values], cls=DjangoJSONEncoder, sort_keys=True
        )
        total += int.from_bytes(hashlib.sha256(line.encode()).digest(), "big")
        count += 1
    return Moved(model._meta.db_table, count, f"{total % 2**256:064x}")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, date | datetime):  # Django's encoder cuts off microseconds
        return value.isoformat()
    return value
