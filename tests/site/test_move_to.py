"""SQLite to PostgreSQL: every row is moved, and proved to be the same."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.site.sites import Site

pytestmark = [
    pytest.mark.xdist_group("move-to"),
    pytest.mark.skipif(
        not postgres.is_available(), reason="NOT TESTED: PostgreSQL's server is not installed"
    ),
]
BOARD = """
from accounts.models import User
from tests import board
board.open_topic(User.objects.get(), title="肺炎 pneumonia", body="問題")
"""
LOSSY = """
import sys, django; django.setup()
from django.core.management import call_command
from xraysite import moving
copy = moving._copy
def lossy(model):
    copy(model)
    if model._meta.db_table == "diagnosis_reading":
        moving._execute("UPDATE diagnosis_reading SET scope_score = scope_score + 1e-9")
moving._copy = lossy
call_command("move_to", sys.argv[1])
"""
LOOK = """
from django.db import connection
from forum import search
from forum.models import Post
assert connection.vendor == "postgresql"
assert search.matching("肺炎") == [Post.objects.get().pk]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.set_up()
    site.worked(1, 4)
    site.script(BOARD)
    return site


@pytest.fixture
def site(original, tmp_path) -> Site:
    shutil.copytree(original.var, tmp_path / "var")
    return Site(tmp_path)


@pytest.fixture
def url(server, tmp_path) -> str:
    return postgres.create_database(server, f"moved_{tmp_path.name}"[:60])


def test_every_row_is_moved(site, url, tmp_path):
    rows = site.rows()
    said = site.manage("move_to", url)
    assert "diagnosis_reading: 3 rows, SHA-256" in said
    total = sum(len(table) for table in rows.values())
    assert f"{total:,} rows of {len(rows)} tables were moved" in said
    moved = Site(tmp_path, url)
    assert {table: sorted(found) for table, found in moved.rows().items()} == {
        table: sorted(found) for table, found in rows.items()
    }
    assert "intact" in moved.manage("verify_audit")
    assert "0 finding(s)" in moved.manage("fsck")
    moved.script(LOOK)
    assert len(moved.worked(7, 8)) == 1, "sequences go on"
    assert site.rows() == rows, "the SQLite file is not changed"


def test_a_target_with_tables_is_refused(site, url):
    site.manage("move_to", url)
    assert "The target is not empty. Nothing was changed." in site.manage(
        "move_to", url, fails=True
    )


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE diagnosis_reading SET label = 'NORMAL ', film_view = ?", "cannot be copied"),
        ("UPDATE diagnosis_reading SET doctor_id = 4711", "refers to one that does not exist"),
    ],
)
def test_rows_that_postgresql_refuses_move_nothing(statement, words, site, url, tmp_path):
    database = sqlite3.connect(site.var / "db.sqlite3")
    database.execute("PRAGMA ignore_check_constraints = ON")
    database.execute(statement, ["x" * 17] * statement.count("?"))
    database.commit()
    database.close()
    assert words in " ".join(site.manage("move_to", url, fails=True).split())
    assert Site(tmp_path, url).rows()["accounts_user"] == []


def test_a_difference_is_noticed(site, url, tmp_path):
    """A copy that loses a value must not be committed."""
    said = site.run("-c", LOSSY, url, fails=True)
    assert "diagnosis_reading differs after the move" in said
    assert Site(tmp_path, url).rows()["diagnosis_reading"] == []


def test_other_targets_are_explained(site, url, tmp_path):
    for wrong in ("sqlite:///x", "nonsense"):
        assert "such as postgres://user:password@host/name" in site.manage(
            "move_to", wrong, fails=True
        )
    assert "cannot be reached" in site.manage("move_to", "postgres://a@127.0.0.1:1/b", fails=True)
    postgresql = Site(tmp_path, url)
    assert "is not SQLite" in postgresql.manage("move_to", url, fails=True)
    assert Path(site.var / "db.sqlite3").exists()
