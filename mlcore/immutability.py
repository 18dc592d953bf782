"""Database triggers that keep registered models as they are, and a check that they are."""

import json
from collections.abc import Iterator
from hashlib import sha256

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from mlcore.models import Evaluation, ImmutableModel, ModelVersion

GUARDED: tuple[type[ImmutableModel], ...] = (ModelVersion, Evaluation)
# Empty in rows of earlier versions, and filled once; see `registry.complete`.
FILLED_ONCE = {"card_text"}
MESSAGE = "a registered model version never changes"


def install_triggers(using: str) -> None:
    """Create the triggers that are missing.

    Called after every migration: SQLite drops a table's triggers when a migration rebuilds it.
    """
    connection = connections[using]
    existing = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        for model in GUARDED:
            if model._meta.db_table in existing:
                for statement in _statements(connection, model):
                    cursor.execute(statement)


def missing_triggers(using: str = "default") -> list[str]:
    """Return the names of the triggers that the database lacks."""
    connection = connections[using]
    table = "sqlite_master" if connection.vendor == "sqlite" else "pg_trigger"
    column = "name" if connection.vendor == "sqlite" else "tgname"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {table}")  # noqa: S608 - constants alone
        found = {row[0] for row in cursor.fetchall()}
    return [_name(model) for model in GUARDED if _name(model) not in found]


def _name(model: type[ImmutableModel]) -> str:
    return f"{model._meta.db_table}_immutable"


def _columns(connection: BaseDatabaseWrapper, model: type[ImmutableModel]) -> list[str]:
    """Return the guarded columns that the table has; a migration backwards removes some."""
    with connection.cursor() as cursor:
        found = connection.introspection.get_table_description(cursor, model._meta.db_table)
    there = {column.name for column in found}
    columns = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return [columns[name] for name in model.IMMUTABLE if columns[name] in there]


def _statements(connection: BaseDatabaseWrapper, model: type[ImmutableModel]) -> Iterator[str]:
    differs = "IS NOT" if connection.vendor == "sqlite" else "IS DISTINCT FROM"
    changed = " OR ".join(
        f"(OLD.{column} <> '' AND NEW.{column} {differs} OLD.{column})"
        if column in FILLED_ONCE
        else f"NEW.{column} {differs} OLD.{column}"
        for column in _columns(connection, model)
    )
    table, name = model._meta.db_table, _name(model)
    if connection.vendor == "sqlite":
        yield f"DROP TRIGGER IF EXISTS {name}"
        yield (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} WHEN {changed} "
            f"BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END"
        )
    elif connection.vendor == "postgresql":
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = '{MESSAGE}'; END $$"
        )
        yield f"DROP TRIGGER IF EXISTS {name} ON {table}"
        yield (
            f"CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) "
            f"EXECUTE FUNCTION {name}()"
        )


def faults_of(version: ModelVersion) -> list[str]:
    """Return what shows that a row is not the one that was registered.

    The bundle's SHA-256 is that of the card's text, which the row keeps, so no file is needed.
    """
    if not version.card_text:
        # Registered by an earlier version of the site, and the bundle has been gone since.
        return ["the text of its card was never kept, so the card cannot be verified"]
    faults = []
    if sha256(version.card_text.encode()).hexdigest() != version.bundle_sha256:
        faults.append("the text of its card does not have the bundle's SHA-256")
    elif json.loads(version.card_text) != version.card:
        faults.append("its card differs from the card's text")
    elif version.card.get("name") != version.name:
        faults.append(f"its card names the model {version.card.get('name')!r}")
    return faults
