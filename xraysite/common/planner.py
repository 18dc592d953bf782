"""What SQLite's query planner is told about large tables.

Without statistics SQLite supposes that every index is equally selective. To find the rows about one
patient, it then walks through all rows about patients, for instance. `ANALYZE` would count, but a
new site has nothing to count, and nobody runs it again later. So fixed figures, those of a large
site, are stored in SQLite's own table of statistics: the plans are the same on every site and in
the tests. PostgreSQL keeps its own statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import AppConfig
from django.db import connections, models
from django.db.models.signals import post_migrate


@dataclass(frozen=True)
class Figures:
    """The size of a model's table on a large site.

    Attributes:
        model: the model.
        rows: rows of the table.
        distinct: distinct values by column, of the columns that indexes begin with. In every other
            column, each row has its own value.
        partial: rows in partial indexes, by the index's name.
        unique: fields of the index that SQLite makes for the first unique column or constraint.
    """

    model: type[models.Model]
    rows: int
    distinct: Mapping[str, int]
    partial: Mapping[str, int] = field(default_factory=dict)
    unique: tuple[str, ...] = ()

    def entries(self) -> list[tuple[str, str]]:
        """Return the entries of the model's indexes in `sqlite_stat1`: names and figures."""
        indexes = [
            (index.name, [name for name, _order in index.fields_orders])
            for index in self.model._meta.indexes
        ]
        if self.unique:
            table = self.model._meta.db_table
            indexes.append((f"sqlite_autoindex_{table}_1", list(self.unique)))
        return [(name, self._counts(name, fields)) for name, fields in indexes]

    def _counts(self, index: str, fields: list[str]) -> str:
        """Return the figures of an index as SQLite writes them.

        The number of rows, then for each column the average number of rows that are equal in it and
        in the columns before it. An index is not to be used for a query on its later columns only:
        SQLite would search it once for each value of the first one, and prefer that to an index
        that covers the query.
        """
        rows = left = self.partial.get(index, self.rows)
        counts = [rows]
        for name in fields:
            left = max(1, left // self.distinct.get(name, rows))
            counts.append(left)
        return " ".join([*map(str, counts), "noskipscan"])


def store(figures: Figures, using: str) -> None:
    """Store the figures in a database of SQLite; nothing is done in others."""
    connection = connections[using]
    table = figures.model._meta.db_table
    if connection.vendor != "sqlite" or table not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE sqlite_schema")  # creates the table of statistics
        cursor.execute("DELETE FROM sqlite_stat1 WHERE tbl = %s", [table])
        cursor.executemany(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (%s, %s, %s)",
            [(table, *entry) for entry in figures.entries()],
        )
        cursor.execute("ANALYZE sqlite_schema")  # loads it


def store_after_migrations(app: AppConfig, *figures: Figures) -> None:
    """Store the figures whenever the migrations of an app have run."""

    def receive(using: str, **_: Any) -> None:
        for each in figures:
            store(each, using)

    post_migrate.connect(receive, sender=app, weak=False, dispatch_uid=f"{app.label}.planner")
