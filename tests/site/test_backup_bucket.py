"""Backup, restore and fsck of a site whose films are in a bucket; moving a site into one."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import film_stores
from tests.site.sites import Site

pytestmark = pytest.mark.xdist_group("backup-bucket")


@pytest.fixture(scope="module")
def object_store() -> Iterator[tuple[str, Any]]:
    with film_stores.server() as found:
        yield found


@pytest.fixture
def objects(object_store) -> Iterator[Any]:
    _url, objects = object_store
    yield objects
    objects.clear()


@pytest.fixture
def site(object_store, objects, tmp_path) -> Site:
    url, _objects = object_store
    site = Site(tmp_path, **film_stores.environment(url))
    site.set_up()
    return site


def contents(objects: Any) -> dict[str, bytes]:
    """Return every film and image of the bucket; renderings are made again."""
    return {
        key: entry.value
        for key, entry in objects.items()
        if key.startswith(("films/original/", "films/confirmed/", "files/"))
    }


def lose(site: Site) -> None:
    """Lose everything on the machine but the secret key."""
    key = (site.var / "secret_key").read_text()
    shutil.rmtree(site.var)
    site.var.mkdir(mode=0o700)
    (site.var / "secret_key").write_text(key)


def test_a_site_with_a_bucket_is_restored_completely(site, objects, tmp_path):
    backups = tmp_path / "backups"
    assert len(site.worked(0, 6)) == 6
    before, rows = contents(objects), site.rows()
    assert len(before) == 6 + 6 + 1, "films, their marks, and a profile picture"
    assert not list((site.var / "private" / "films").rglob("*"))
    site.manage("backup", backups, "--verify")
    lose(site)
    objects.clear()
    site.manage("restore", backups)
    assert contents(objects) == before
    assert site.rows()["diagnosis_reading"] == rows["diagnosis_reading"]
    report = json.loads(site.manage("fsck", "--json"))
    assert report["findings"] == []
    assert report["checked"]["films"] == 6


def test_a_damaged_and_a_missing_film_are_found(site, objects, tmp_path):
    site.worked(0, 3)
    originals = sorted(key for key in objects if key.startswith("films/original/"))
    bucket_of(site, f"bucket.put_object(Key={originals[0]!r}, Body=b'half')")
    bucket_of(site, f"bucket.Object({originals[1]!r}).delete()")
    printed = site.manage("fsck", "--json", fails=True)
    report, _end = json.JSONDecoder().raw_decode(printed)
    found = sorted((each["code"], each["subject"]) for each in report["findings"])
    names = [key.rpartition("/")[2] for key in originals]
    assert found == [("film-damaged", names[0]), ("film-missing", names[1])]


def bucket_of(site: Site, statement: str) -> None:
    site.script(
        "from django.core.files.storage import storages\nbucket = storages['films'].bucket\n"
        + statement
    )


def test_a_site_is_moved_from_a_disk_into_a_bucket(object_store, objects, tmp_path: Path):
    """By backup and restore."""
    url, _objects = object_store
    disk = Site(tmp_path)
    disk.set_up()
    disk.worked(0, 6)
    films = disk.films()
    disk.manage("backup", tmp_path / "backups")
    lose(disk)
    bucket = Site(tmp_path, **film_stores.environment(url))
    bucket.manage("restore", tmp_path / "backups")
    moved = {key: value for key, value in contents(objects).items() if "/confirmed/" not in key}
    assert moved == films
    assert json.loads(bucket.manage("fsck", "--json"))["findings"] == []
