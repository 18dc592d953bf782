"""What backup and restore refuse, and that a damaged backup changes nothing."""

import os
import shutil
from pathlib import Path

import pytest

from tests.site.sites import Site

pytestmark = pytest.mark.xdist_group("backup-refusals")
AGE = shutil.which("age")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Site, Path]:
    """A site with three readings, and a backup of it."""
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder)
    site.set_up()
    site.worked(1, 4)
    site.manage("backup", folder / "backups")
    return site, folder / "backups"


@pytest.fixture
def backups(made, tmp_path) -> Path:
    shutil.copytree(made[1], tmp_path / "backups")
    return tmp_path / "backups"


@pytest.fixture
def empty(made, tmp_path) -> Site:
    """Another machine with the same secret key."""
    other = Site(tmp_path / "other")
    other.var.mkdir(parents=True)
    shutil.copy(made[0].var / "secret_key", other.var / "secret_key")
    return other


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_backup_is_private_and_can_be_checked_without_the_site(made):
    _, backups = made
    for path in (backups, *backups.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    (checksum,) = backups.glob("backups/*.sha256")
    assert os.system(f"cd {backups}/backups && sha256sum --check --quiet {checksum.name}") == 0  # noqa: S605


def test_a_site_that_is_not_empty_is_refused(made, backups):
    site, _ = made
    before = tree(site.var)
    said = site.manage("restore", backups, fails=True)
    assert "This site has accounts, readings or X-rays. Nothing was changed." in said
    assert {path: content for path, content in tree(site.var).items() if "-shm" not in path} == {
        path: content for path, content in before.items() if "-shm" not in path
    }


def test_forcing_keeps_the_earlier_database(made, backups, tmp_path):
    site = Site(tmp_path / "copy")
    shutil.copytree(made[0].var, site.var)
    site.worked(5, 6)
    assert "The earlier database was moved to" in site.manage("restore", backups, "--force")
    assert len(site.rows()["diagnosis_reading"]) == 3
    (aside,) = site.var.glob("db.sqlite3.before-restore-*")
    aside.replace(site.var / "db.sqlite3")
    assert len(site.rows()["diagnosis_reading"]) == 4


@pytest.mark.parametrize("which", ["film", "database", "gone", "manifest", "seal"])
def test_a_damaged_backup_changes_nothing(which, backups, empty):
    objects = sorted(backups.glob("objects/*/*"), key=lambda path: path.stat().st_size)
    (manifest,) = backups.glob("backups/*.jsonl")
    target = {"film": objects[0], "database": objects[-1], "gone": objects[0]}.get(which, manifest)
    content = bytearray(target.read_bytes())
    if which == "gone":
        target.unlink()
    elif which == "seal":  # by somebody who adjusts the checksum too
        from xraysite.backup.manifests import checksum_line

        altered = bytes(content).replace(b"original/", b"original//", 1)
        target.write_bytes(altered)
        manifest.with_name(manifest.name + ".sha256").write_text(
            checksum_line(altered, manifest.name)
        )
    else:
        content[len(content) // 2] ^= 1
        target.write_bytes(content)
    said = empty.manage("restore", backups, fails=True)
    expected = {"gone": "is missing", "seal": "The manifest was altered"}.get(which, "damaged")
    assert expected in said
    assert not (empty.var / "private" / "films" / "original").exists()
    assert not (empty.var / "db.sqlite3").exists() or "accounts_user" not in str(
        (empty.var / "db.sqlite3").read_bytes()
    )


def test_another_key_is_refused_unless_wanted(backups, empty):
    (empty.var / "secret_key").write_text("another key " * 5)
    assert "another SECRET_KEY" in empty.manage("restore", backups, fails=True)
    empty.manage("restore", backups, "--any-key")


def test_a_missing_film_is_reported_and_the_rest_backed_up(made, tmp_path):
    site = Site(tmp_path / "copy")
    shutil.copytree(made[0].var, site.var)
    films = sorted(site.var.glob("private/films/original/*/*"))
    films[0].unlink()
    films[1].chmod(0o600)
    films[1].write_bytes(b"damaged")
    said = site.manage("backup", tmp_path / "backups", fails=True)
    assert "2 X-ray(s) of readings are missing or damaged" in said
    assert films[0].name in said
    assert films[1].name in said
    restored = Site(tmp_path / "other")
    restored.var.mkdir(parents=True)
    shutil.copy(site.var / "secret_key", restored.var / "secret_key")
    assert f"Not in the backup: original/{films[0].name[:2]}" in restored.manage(
        "restore", tmp_path / "backups"
    )
    assert len(restored.rows()["diagnosis_reading"]) == 3


def test_a_full_disk_leaves_no_backup(made, tmp_path, monkeypatch):
    site, _ = made
    target = tmp_path / "backups"
    said = site.run(
        "-c",
        "import os, sys, django; django.setup()\n"
        "def full(descriptor): raise OSError(28, 'No space left on device')\n"
        "os.fsync = full\n"
        "from django.core.management import call_command\n"
        f"call_command('backup', {str(target)!r})",
        fails=True,
    )
    assert "The backup was not completed. [Errno 28]" in said
    assert list(target.glob("backups/*")) == []
    assert list(target.rglob(".part-*")) == []
    assert list(site.var.glob("backup-*")) == []
    site.manage("backup", target)


def test_a_folder_inside_the_data_is_refused(made):
    site, _ = made
    inside = site.var / "private" / "films" / "backups"
    assert "lies inside" in site.manage("backup", inside, fails=True)
    assert not inside.exists()


def test_old_backups_are_deleted_with_what_only_they_had(made, backups, tmp_path):
    site = Site(tmp_path / "copy")
    shutil.copytree(made[0].var, site.var)
    site.worked(6, 7)
    assert "1 old backup(s) and 1 file(s) deleted" in site.manage("backup", backups, "--keep", "1")
    assert len(list(backups.glob("backups/*.jsonl"))) == 1
    assert "Every file is intact" in site.manage("restore", backups, "--verify-only")


def test_a_backup_of_another_database_or_of_nothing_is_explained(made, backups, tmp_path):
    site, _ = made
    assert "contains no backup" in site.manage("restore", tmp_path, fails=True)
    assert "There is no backup x" in site.manage("restore", backups, "--at", "x", fails=True)
    other = Site(tmp_path / "pg", "postgres://nobody@127.0.0.1:1/none")
    other.var.mkdir(parents=True)
    shutil.copy(site.var / "secret_key", other.var / "secret_key")
    assert "`manage.py move_to` then moves" in " ".join(
        other.manage("restore", backups, fails=True).split()
    )


def test_encryption_without_age_is_refused(made, tmp_path):
    site, _ = made
    without = Site(tmp_path)
    without.environment = site.environment | {"PATH": str(tmp_path)}
    said = without.manage("backup", tmp_path / "b", "--recipient", "age1x", fails=True)
    assert "needs the program age, which is not installed" in said
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(AGE is None, reason="NOT TESTED: the program age is not installed")
def test_an_encrypted_backup_needs_its_private_key(made, empty, tmp_path):
    site, _ = made
    backups, key = tmp_path / "encrypted", tmp_path / "key.txt"
    os.system(f"age-keygen -o {key} 2>/dev/null")  # noqa: S605
    public = key.read_text().partition("public key: ")[2].split()[0]
    for _ in range(2):
        site.manage("backup", backups, "--recipient", public)
    assert not any(b"SQLite" in content or b"PNG" in content for content in tree(backups).values())
    assert "Pass the private key" in empty.manage("restore", backups, fails=True)
    assert "Every file is intact" in empty.manage("restore", backups, "--identity", key)
    assert empty.rows()["diagnosis_reading"] == site.rows()["diagnosis_reading"]
    assert empty.films() == site.films()
    objects = sorted(backups.glob("objects/*/*"))
    objects[0].write_bytes(objects[1].read_bytes())
    said = empty.manage("restore", backups, "--identity", key, "--verify-only", fails=True)
    assert "is damaged" in said
    site.manage("backup", backups, "--recipient", public, "--identity", key, "--keep", "1")
    assert len(list(backups.glob("backups/*.jsonl.age"))) == 1
