"""Figures of a large site for SQLite's query planner."""

import pytest
from django.db import connection

from accounts.audit.planner import ENTRIES, MENTIONS
from diagnosis.models import Reading
from diagnosis.planner import READINGS
from xraysite.common import planner

pytestmark = pytest.mark.django_db
needs_sqlite = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="NOT TESTED: figures of another database"
)


def stored(table: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = %s", [table])
        return dict(cursor.fetchall())


def test_figures_of_an_index():
    figures = dict(READINGS.entries())
    assert figures["reading_label_model"] == "1000000 250000 83333 1 1 noskipscan"
    assert figures["reading_agreement"].startswith("50000 25000 1 ")
    assert set(figures) == {
        *(index.name for index in Reading._meta.indexes),
        "sqlite_autoindex_diagnosis_reading_1",
    }


@needs_sqlite
@pytest.mark.parametrize("figures", [READINGS, ENTRIES, MENTIONS])
def test_figures_are_stored_by_migrations_for_existing_indexes(figures):
    table = figures.model._meta.db_table
    assert stored(table) == dict(figures.entries())
    existing = connection.introspection.get_constraints(connection.cursor(), table)
    assert set(stored(table)) - {f"sqlite_autoindex_{table}_1"} <= set(existing)


@needs_sqlite
def test_figures_replace_those_of_an_earlier_version():
    table = Reading._meta.db_table
    # Not by ANALYZE: the connection would remember its figures in the tests after this one.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sqlite_stat1 SET stat = '1 1' WHERE tbl = %s", [table])
    assert stored(table) != dict(READINGS.entries())
    planner.store(READINGS, connection.alias)
    assert stored(table) == dict(READINGS.entries())


def test_another_database_is_left_alone(monkeypatch):
    monkeypatch.setattr(connection, "vendor", "another")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "cursor", lambda: pytest.fail("a query was made"))
        planner.store(READINGS, connection.alias)


def test_a_site_without_the_table_is_left_alone(monkeypatch):
    """Migrations of one app may run before those of another."""
    monkeypatch.setattr(connection.introspection, "table_names", lambda: [])
    planner.store(READINGS, connection.alias)
