"""Checks of `manage.py check --deploy` that depend on the machine."""

from pathlib import Path

import pytest

from xraysite import deploy_checks


def test_missing_bundle_is_an_error(settings, tmp_path):
    assert deploy_checks.shipped_bundle_exists(None) == []
    settings.BUNDLE_DIR = settings.SHIPPED_BUNDLE_DIR = tmp_path
    assert [error.id for error in deploy_checks.shipped_bundle_exists(None)] == ["xraysite.E004"]


@pytest.mark.parametrize(("kind", "found"), [("ext4", []), ("nfs4", ["xraysite.W010"])])
def test_sqlite_on_a_network_file_system_gives_a_warning(
    settings, monkeypatch, tmp_path, kind, found
):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path}/my\\040share {kind} rw 0 0\n")
    monkeypatch.setattr(deploy_checks, "MOUNTS", mounts)
    name = tmp_path / "my share" / "db.sqlite3"
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": name}
    monkeypatch.setitem(settings.DATABASES, "default", database)
    assert [w.id for w in deploy_checks.sqlite_is_local(None)] == found
    database["ENGINE"] = "django.db.backends.postgresql"
    assert deploy_checks.sqlite_is_local(None) == []


@pytest.mark.parametrize(("text", "expected"), [("1073741824\n", 1024), ("max\n", None)])
def test_limit_of_the_container_counts(monkeypatch, tmp_path, text, expected):
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    monkeypatch.setattr(deploy_checks, "CGROUP_LIMITS", (limit, Path(tmp_path / "none")))
    known = deploy_checks.memory_mb()
    assert known == expected or (expected is None and known > 0)


def test_too_little_memory_gives_a_warning(settings, monkeypatch):
    settings.WEB_CONCURRENCY, settings.DECODERS = 2, 2
    monkeypatch.setattr(deploy_checks, "memory_mb", lambda: 4096.0)
    assert deploy_checks.memory_is_enough(None) == []
    monkeypatch.setattr(deploy_checks, "memory_mb", lambda: 2048.0)
    (warning,) = deploy_checks.memory_is_enough(None)
    assert warning.id == "xraysite.W009"
    assert "2,588 MB" in warning.msg


def test_media_folder_that_cannot_be_written_is_an_error(settings, tmp_path):
    settings.PRIVATE_MEDIA_ROOT = tmp_path / "private"
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "private" / "uploads"
    assert deploy_checks.media_can_be_written(None) == []
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    settings.PRIVATE_MEDIA_ROOT = tmp_path / "file" / "private"
    assert [error.id for error in deploy_checks.media_can_be_written(None)] == ["xraysite.E003"]
