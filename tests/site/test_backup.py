"""Backup under load, destruction, restore: every row and film, on both databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.models import User
from diagnosis.models import Reading
from tests import postgres
from tests.site.sites import Site, until

pytestmark = pytest.mark.xdist_group("backup")


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if not postgres.is_available():
        pytest.skip("NOT TESTED on PostgreSQL: its server is not installed")
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request, tmp_path) -> Site:
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_url")
        url = postgres.create_database(server, f"site_{tmp_path.name}")
    site = Site(tmp_path, url)
    site.set_up()
    return site


def destroy(site: Site) -> None:
    """Lose everything but the secret key, which is kept elsewhere."""
    key = (site.var / "secret_key").read_text()
    if "DATABASE_URL" in site.environment:
        site.script(
            "from django.db import connection\n"
            "connection.cursor().execute('DROP SCHEMA public CASCADE; CREATE SCHEMA public')"
        )
    shutil.rmtree(site.var)
    site.var.mkdir(mode=0o700)
    (site.var / "secret_key").write_text(key)


def test_a_backup_under_load_is_restored_completely(site, tmp_path):
    backups, stop = tmp_path / "backups", tmp_path / "stop"
    worker = site.work(0, 1000, stop)
    made = [worker.stdout.readline().strip() for _ in range(3)]
    said = site.manage("backup", backups, "--verify")
    until(lambda: not stop.touch() and worker.poll() is not None)
    rest, errors = worker.communicate()
    assert worker.returncode == 0, errors
    everything = site.rows()
    assert "Missing or damaged" not in said
    columns = [field.column for field in Reading._meta.concrete_fields]
    key = columns.index("id")
    readings = {row[key]: row for row in everything["diagnosis_reading"]}
    assert set(rest.split()) | set(made) == set(readings)
    films = site.films()

    destroy(site)
    restored = site.manage("restore", backups)
    assert "Every file is intact" in restored
    now = site.rows()
    kept = {row[key]: row for row in now["diagnosis_reading"]}
    assert set(made) <= set(kept) < set(readings), "the backup was not made under load"
    assert all(readings[pk] == row for pk, row in kept.items())
    # The films of all restored readings, and no altered file.
    hashes = {row[columns.index("film_sha256")] for row in kept.values()}
    found = {name: content for name, content in site.films().items() if "original" in name}
    assert {Path(name).name for name in found} == hashes
    assert all(films[name] == content for name, content in found.items())
    names = [field.column for field in User._meta.concrete_fields]
    (avatar,) = {row[names.index("avatar")] for row in now["accounts_user"]}
    assert (site.var / "private" / "files" / avatar).is_file()
    head = restored.partition("verify_audit --head ")[2].split()[0]
    assert "intact" in site.manage("verify_audit", "--head", head)


def test_an_incremental_backup_restores_every_row_and_film(site, tmp_path):
    backups = tmp_path / "backups"
    site.worked(0, 4)
    site.manage("backup", backups)
    objects = {path: path.stat().st_mtime_ns for path in backups.glob("objects/*/*")}
    site.worked(4, 7)
    said = site.manage("backup", backups)
    assert "4 new" in said, said  # the dump and three films; the profile picture is the same
    assert all(path.stat().st_mtime_ns == before for path, before in objects.items())
    rows, films = site.rows(), site.films()

    destroy(site)
    site.manage("restore", backups)
    assert site.rows() == rows
    assert site.films() == films
    assert (site.var / "private" / "films" / "original").stat().st_mode & 0o777 == 0o700
    site.worked(7, 8)  # sequences go on
    first = site.manage("restore", backups, "--list").split()[0]
    site.manage("restore", backups, "--at", first, "--force")
    assert len(site.rows()["diagnosis_reading"]) == 4
