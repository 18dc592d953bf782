"""Files of the site are private, whatever the umask."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from diagnosis.storage import AtomicFileStorage
from tests.locks import ROOT
from xraysite import checks as site_checks
from xraysite.common import private_files
from xraysite.sqlite.base import DatabaseWrapper

# One worker migrates, for all tests.
pytestmark = pytest.mark.xdist_group("private-files")
UMASKS = (0o000, 0o022)
PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "xraysite.settings.production",
    "SECRET_KEY": "3f1c9a7e5b2d8064" * 5,
    "ALLOWED_HOSTS": "xray.example.org",
}
# Migrates if asked to, writes to the database, and reads the modes while its log exists.
LOOK = """
import sys
from pathlib import Path
import django
django.setup()
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
if "migrate" in sys.argv:
    call_command("migrate", verbosity=0)
ContentType.objects.get_or_create(app_label="a", model="b")
for suffix in ("", "-wal", "-shm"):
    print(oct(Path(connection.settings_dict["NAME"] + suffix).stat().st_mode & 0o777))
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Return the modes of a folder and of its content, by relative path."""
    return {str(path.relative_to(folder)): mode(path) for path in (folder, *folder.rglob("*"))}


def python(*arguments: str, var: Path, umask: int, **environment: str) -> str:
    """Run Python under a umask, with the local settings and a folder of its own."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT, umask=umask, capture_output=True, text=True, check=False, timeout=180,
        env=inherited | {
            "DJANGO_SETTINGS_MODULE": "xraysite.settings.local", "XRAYSITE_VAR": str(var),
        } | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def umask(value: int) -> Iterator[None]:
    previous = os.umask(value)
    try:
        yield
    finally:
        os.umask(previous)


@pytest.fixture(scope="module", params=UMASKS, ids=oct)
def migrated(request, tmp_path_factory) -> Path:
    """The modes of a new installation after `manage.py migrate`, under a umask."""
    var = tmp_path_factory.mktemp("site") / "missing" / "var"
    python("manage.py", "migrate", "-v0", var=var, umask=request.param)
    return var


@pytest.fixture
def var(migrated, tmp_path) -> Path:
    return shutil.copytree(migrated, tmp_path / "var")


def test_migrate_creates_a_private_database(migrated):
    found = modes(migrated)
    assert found.pop("db.sqlite3") == 0o600
    assert found.pop("secret_key") == 0o600
    assert found.pop("audit_anchor") == 0o600
    assert found == {".": 0o700, "private": 0o700, "private/uploads": 0o700}


def test_existing_installation_becomes_private_at_the_next_start(var):
    (var / "db.sqlite3-wal").touch()
    for path in (var, *var.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert python("-c", LOOK, var=var, umask=0o022).split() == ["0o600"] * 3
    found = modes(var)
    assert {found.pop(folder) for folder in (".", "private", "private/uploads")} == {0o700}
    assert set(found) >= {"db.sqlite3", "secret_key"}
    assert set(found.values()) == {0o600}


def test_deliberate_group_permissions_are_kept(var):
    var.chmod(0o2750)
    (var / "db.sqlite3").chmod(0o640)
    assert python("-c", LOOK, var=var, umask=0).split()[0] == "0o640"
    assert mode(var) == 0o2750


@pytest.mark.parametrize(("found", "kept"), [(0o2750, 0o2700), (0o755, 0o700), (0o500, 0o500)])
def test_checkout_grants_no_group_permissions(tmp_path, settings, found, kept):
    settings.BASE_DIR = tmp_path
    (tmp_path / "var").mkdir()
    (tmp_path / "var").chmod(found)
    private_files.close_to_others(tmp_path / "var")
    assert mode(tmp_path / "var") == kept


def test_database_in_another_folder_is_private(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    database = tmp_path / "data" / "site.sqlite3"
    environment = PRODUCTION | {"DATABASE_URL": f"sqlite:///{database}"}
    var = tmp_path / "var"
    assert python("-c", LOOK, "migrate", var=var, umask=0, **environment).split() == ["0o600"] * 3
    assert mode(var) == 0o700
    assert mode(tmp_path / "data") == 0o755, "the site does not own this folder"
    database.chmod(0o644)
    assert python("-c", LOOK, var=var, umask=0, **environment).split() == ["0o600"] * 3


def test_database_behind_a_link_is_private(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "disk.sqlite3")
    with umask(0):
        private_files.prepare_database(tmp_path / "link")
    assert mode(tmp_path / "disk.sqlite3") == 0o600


def test_second_connection_keeps_the_locks_of_the_first(tmp_path):
    """Closing any descriptor of a file releases all locks of the process on it."""
    name = str(tmp_path / "db.sqlite3")
    wrapper = DatabaseWrapper({"NAME": name, "OPTIONS": {}})
    write = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('CREATE TABLE t(x)')"
    )
    first = wrapper.get_new_connection(wrapper.get_connection_params())
    first.execute("BEGIN EXCLUSIVE")
    second = wrapper.get_new_connection(wrapper.get_connection_params())
    other = subprocess.run(
        [sys.executable, "-c", write, name], capture_output=True, text=True, check=False
    )
    assert "database is locked" in other.stderr
    second.close()
    first.close()


def test_films_and_their_folders_are_private(tmp_path):
    storage = AtomicFileStorage(tmp_path / "private" / "films")
    with umask(0):
        storage.save("original/ab/abc", ContentFile(b"a film"))
    found = modes(tmp_path / "private")
    assert found.pop("films/original/ab/abc") == 0o600
    assert set(found.values()) == {0o700}


def refused(path: Path, mode: int) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted", str(path))


def test_folder_that_stays_open_is_reported(tmp_path, settings, monkeypatch):
    """For example on a file system without modes, or in another user's folder."""
    settings.VAR_DIR = tmp_path / "var"
    settings.VAR_DIR.mkdir()
    settings.VAR_DIR.chmod(0o705)
    (warning,) = site_checks.private_files_are_private(None)
    assert warning.id == "xraysite.W003"
    assert f"{settings.VAR_DIR} is open to every user of this machine (mode 0705)" in warning.msg
    settings.VAR_DIR.chmod(0o750)
    assert site_checks.private_files_are_private(None) == []
    database = settings.VAR_DIR / "db.sqlite3"
    database.touch()
    database.chmod(0o604)
    other = {"ENGINE": "xraysite.sqlite", "NAME": str(database)}
    monkeypatch.setitem(settings.DATABASES, "other", other)
    private_files.prepare()
    assert site_checks.private_files_are_private(None) == [], "closed at the start"
    assert modes(settings.VAR_DIR)["db.sqlite3"] == 0o600
    database.chmod(0o604)
    monkeypatch.setattr(Path, "chmod", refused)
    private_files.prepare()
    (warning,) = site_checks.private_files_are_private(None)
    assert f"{database} is open" in warning.msg


def test_folder_that_cannot_be_created_stops_no_command(tmp_path, settings, caplog):
    (tmp_path / "file").touch()
    settings.VAR_DIR = tmp_path / "file" / "var"
    private_files.prepare()
    assert f"{settings.VAR_DIR} cannot be made" in caplog.text
