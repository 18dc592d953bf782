"""Stored files without a reading: set aside, put back, and never because of an old database."""

import os
import stat
import time
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import retention, storage, sweeping
from diagnosis.models import Reading
from diagnosis.services.films import has_film, original_film
from tests.factories import ReadingFactory

pytestmark = pytest.mark.usefixtures("active_model")


def files(folder: str = "") -> list[str]:
    root = Path(storages["films"].path(folder))
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def aged(seconds: float = 3700) -> None:
    """Make all files older than `seconds`, but no older than the database's rows."""
    when = time.time() - seconds
    for path in Path(storages["films"].base_location).rglob("*"):
        if path.is_file():
            os.utime(path, (when, when))


def orphaned(content: bytes = b"left by a killed worker") -> str:
    """Store a film whose reading was never committed."""
    from hashlib import sha256

    digest = sha256(content).hexdigest()
    storage.keep(storage.original_name(digest), content)
    aged()
    return digest


def lose_rows() -> None:
    """Do to the readings what restoring an older database does: nothing records it."""
    Reading.objects.all()._raw_delete(using="default")


@pytest.fixture
def committed(active_model, doctor, film_bytes, django_capture_on_commit_callbacks) -> Reading:
    from tests.diagnosis.test_services import submit

    with django_capture_on_commit_callbacks(execute=True):
        return submit(doctor, film_bytes)


def test_a_committed_film_is_marked_read_only(committed):
    path = Path(storages["films"].path(storage.original_name(committed.film_sha256)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_film_of_a_failed_upload_goes_to_the_quarantine_and_comes_back(doctor, capsys):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    call_command("sweep_films", dry_run=True)
    assert files("original") == [digest]
    call_command("sweep_films")
    assert (files("original"), files("quarantine")) == ([], [digest])
    assert "1 X-ray(s) set aside in quarantine" in capsys.readouterr().out
    (aside,) = sweeping.quarantined()
    assert stat.S_IMODE(aside.parent.stat().st_mode) == 0o700
    call_command("sweep_films", put_back=True)
    assert (files("original"), files("quarantine")) == ([digest], [])


def test_a_young_film_without_a_reading_stays(doctor):
    digest = orphaned()
    aged(3500)
    call_command("sweep_films")
    assert files("original") == [digest]


def test_films_of_lost_readings_are_left_alone(committed, doctor, capsys):
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


def test_films_newer_than_the_database_are_left_alone(doctor):
    """Films of an earlier version have no mark, but their time tells."""
    digest = orphaned()
    AuditEntry.objects.all()._raw_delete(using="default")
    long_ago = timezone.now() - timezone.timedelta(days=1)
    Reading.objects.filter(pk=ReadingFactory(doctor=doctor).pk).update(created_at=long_ago)
    AuditEntry.objects.all()._raw_delete(using="default")
    with pytest.raises(CommandError, match="older than the X-ray storage"):
        call_command("sweep_films")
    assert files("original") == [digest]


def test_a_film_whose_reading_reappears_is_put_back(committed):
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
def test_the_intact_one_of_two_copies_is_kept(damaged, committed, film_bytes):
    stored = Path(storages["films"].path(storage.original_name(committed.film_sha256)))
    aside = Path(storages["films"].path("quarantine/2026-01-02")) / committed.film_sha256
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"half a film" if damaged == "aside" else film_bytes)
    if damaged == "stored":
        stored.unlink()
        stored.write_bytes(b"half a film")
    for options in ({}, {"put_back": True}):
        call_command("sweep_films", **options)
        assert original_film(committed) == film_bytes
        assert aside.exists() == (damaged == "aside")


def test_the_quarantine_is_purged_by_option_only(doctor, capsys):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    call_command("sweep_films")
    (aside,) = sweeping.quarantined()
    old = aside.parent.with_name("2026-01-02")
    aside.parent.rename(old)
    for options in ({}, {"dry_run": True, "purge_quarantine": 30}):
        call_command("sweep_films", **options)
        assert files("quarantine") == [digest]
    call_command("sweep_films", purge_quarantine=30)
    assert not old.exists()
    assert "1 X-ray(s) deleted from the quarantine" in capsys.readouterr().out


def test_a_reading_made_meanwhile_keeps_its_film(doctor, monkeypatch):
    ReadingFactory(doctor=doctor)
    digest = orphaned()
    (orphan,) = sweeping.find_orphans()
    ReadingFactory(doctor=doctor, film_sha256=digest)
    assert not sweeping.remove_orphan(orphan)
    assert files("original") == [digest]


def test_a_film_that_a_purge_could_not_delete_is_deleted(
    committed, supervisor, monkeypatch, caplog, capsys, django_capture_on_commit_callbacks
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


def test_sweep_films_keeps_the_files_of_readings(committed, capsys):
    sha256 = committed.film_sha256
    path = Path(storages["films"].path(storage.original_name(sha256)))
    (path.parent / ".part-abc").write_bytes(b"half a film")
    path.chmod(0o600)  # as earlier versions stored it
    aged()
    call_command("sweep_films")
    assert files() == [sha256, f"{sha256}-160.jpg", f"{sha256}-1600.jpg"]
    assert "1 other file(s) removed" in capsys.readouterr().out
    assert storage.is_confirmed(path)
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
