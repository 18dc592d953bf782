"""Stored files without a reading: set aside, put back, and never because of an old database."""

import hashlib
import os
import stat
from pathlib import Path

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import retention, storage, sweeping
from diagnosis.models import Reading
from diagnosis.services.films import has_film, original_film
from tests.factories import ReadingFactory

pytestmark = pytest.mark.usefixtures("active_model")


@pytest.fixture
def files(store):
    return store.names


@pytest.fixture
def aged(store):
    """Make all files older than an hour, but no older than the database's rows."""
    return lambda seconds=3700: store.age(seconds)


@pytest.fixture
def orphaned(store):
    """Store a film whose reading was never committed."""

    def keep(content: bytes = b"left by a killed worker") -> str:
        digest = hashlib.sha256(content).hexdigest()
        storage.keep(storage.original_name(digest), content)
        store.age(3700)
        return digest

    return keep


def lose_rows() -> None:
    """Do to the readings what restoring an older database does: nothing records it."""
    Reading.objects.all()._raw_delete(using="default")


@pytest.fixture
def committed(
    store, active_model, doctor, film_bytes, django_capture_on_commit_callbacks
) -> Reading:
    from tests.diagnosis.test_services import submit

    with django_capture_on_commit_callbacks(execute=True):
        return submit(doctor, film_bytes)


def test_a_committed_film_is_marked(committed, store):
    name = storage.original_name(committed.film_sha256)
    assert storage.films().find(name).is_confirmed
    if store.name == "disk":
        path = store.root / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_film_of_a_failed_upload_goes_to_the_quarantine_and_comes_back(
    doctor, capsys, files, orphaned, store
):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    call_command("sweep_films", dry_run=True)
    assert files("original") == [digest]
    call_command("sweep_films")
    assert (files("original"), files("quarantine")) == ([], [digest])
    assert "1 X-ray(s) set aside in quarantine" in capsys.readouterr().out
    if store.name == "disk":
        (folder,) = (store.root / "quarantine").iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    call_command("sweep_films", put_back=True)
    assert (files("original"), files("quarantine")) == ([digest], [])


def test_a_young_film_without_a_reading_stays(doctor, files, aged, orphaned):
    digest = orphaned()
    aged(3500)
    call_command("sweep_films")
    assert files("original") == [digest]


def test_films_of_lost_readings_are_left_alone(committed, doctor, capsys, files, aged):
    """After restoring yesterday's database, and working with it for a while."""
    aged()
    lose_rows()
    ReadingFactory(doctor=doctor)
    before = files()
    with pytest.raises(CommandError, match="seems to be older than the X-ray storage"):
        call_command("sweep_films")
    assert files() == before
    assert committed.film_sha256 in capsys.readouterr().out
    call_command("sweep_films", force=True)
    assert files() == [committed.film_sha256]
    assert files("quarantine") == [committed.film_sha256]


def test_films_newer_than_the_database_are_left_alone(doctor, files, orphaned):
    """Films of an earlier version have no mark, but their time tells."""
    digest = orphaned()
    AuditEntry.objects.all()._raw_delete(using="default")
    long_ago = timezone.now() - timezone.timedelta(days=1)
    Reading.objects.filter(pk=ReadingFactory(doctor=doctor).pk).update(created_at=long_ago)
    AuditEntry.objects.all()._raw_delete(using="default")
    with pytest.raises(CommandError, match="older than the X-ray storage"):
        call_command("sweep_films")
    assert files("original") == [digest]


def test_a_film_whose_reading_reappears_is_put_back(committed, aged):
    """The newest database was restored after all."""
    row = Reading.objects.get()
    aged()
    lose_rows()
    call_command("sweep_films", force=True)
    row.save(force_insert=True)
    assert not has_film(row)
    call_command("sweep_films")
    assert has_film(row)
    assert sweeping.quarantined() == []


@pytest.mark.parametrize("damaged", ["stored", "aside"])
def test_the_intact_one_of_two_copies_is_kept(damaged, committed, film_bytes, store):
    aside = f"quarantine/2026-01-02/{committed.film_sha256}"
    store.write(aside, b"half a film" if damaged == "aside" else film_bytes)
    if damaged == "stored":
        store.write(storage.original_name(committed.film_sha256), b"half a film")
    for options in ({}, {"put_back": True}):
        call_command("sweep_films", **options)
        assert original_film(committed) == film_bytes
        assert store.has(aside) == (damaged == "aside")


def test_the_quarantine_is_purged_by_option_only(doctor, capsys, files, orphaned, store):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    call_command("sweep_films")
    (aside,) = sweeping.quarantined()
    old = f"quarantine/2026-01-02/{digest}"
    storage.films().move(aside.name, old)
    for options in ({}, {"dry_run": True, "purge_quarantine": 30}):
        call_command("sweep_films", **options)
        assert files("quarantine") == [digest]
    call_command("sweep_films", purge_quarantine=30)
    assert not store.has(old)
    assert "1 X-ray(s) deleted from the quarantine" in capsys.readouterr().out


def test_a_reading_made_meanwhile_keeps_its_film(doctor, monkeypatch, files, orphaned):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    (orphan,) = sweeping.find_orphans()
    ReadingFactory(doctor=doctor, film_sha256=digest)
    assert not sweeping.remove_orphan(orphan)
    assert files("original") == [digest]


def test_a_film_that_a_purge_could_not_delete_is_deleted(
    committed,
    supervisor,
    monkeypatch,
    caplog,
    capsys,
    django_capture_on_commit_callbacks,
    files,
    aged,
):
    retention.hide_reading(doctor=committed.doctor, reading_id=committed.pk, reason="MISTAKE")

    def resist(names):
        raise PermissionError("read-only")

    with monkeypatch.context() as patch, django_capture_on_commit_callbacks(execute=True):
        patch.setattr(storage, "remove", resist)
        retention.purge_reading(supervisor=supervisor, reading_id=committed.pk, reason="x")
    assert not Reading.objects.exists()
    assert len(files()) == 3
    assert "read-only" in caplog.text
    call_command("sweep_films")
    assert len(files()) == 3, "younger than an hour"
    aged()
    call_command("sweep_films", dry_run=True)
    assert len(files()) == 3
    assert committed.film_sha256 in capsys.readouterr().out
    call_command("sweep_films")
    assert files() == []


def test_sweep_films_keeps_the_files_of_readings(committed, capsys, files, aged, store):
    sha256 = committed.film_sha256
    name = storage.original_name(sha256)
    store.write(f"original/{sha256[:2]}/.part-abc", b"half a film")
    store.unmark(name)
    aged()
    call_command("sweep_films")
    assert files() == [sha256, f"{sha256}-160.jpg", f"{sha256}-1600.jpg"]
    assert "1 other file(s) removed" in capsys.readouterr().out
    assert storage.films().find(name).is_confirmed
    assert original_film(committed)


def test_sweep_films_removes_abandoned_uploads(tmp_path, settings, capsys):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    left, arriving = (TemporaryUploadedFile(name, "", 0, None) for name in ("old.dcm", "new.dcm"))
    os.utime(left.temporary_file_path(), (0, 0))
    call_command("sweep_films", dry_run=True)
    assert Path(left.temporary_file_path()).exists()
    call_command("sweep_films")
    assert [str(path) for path in tmp_path.iterdir()] == [arriving.temporary_file_path()]
    assert capsys.readouterr().out.count(Path(left.temporary_file_path()).name) == 2
    left.close()
    arriving.close()
