"""`manage.py fsck` names everything that is wrong with a site, and repairs what it can."""

import json
import os
import shutil
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from accounts import avatars
from accounts.models import AuditEntry, User
from diagnosis import storage, sweeping
from diagnosis.models import Patient, Reading
from diagnosis.services.films import THUMBNAIL_SIDE, VIEWER_SIDE, has_film
from mlcore.models import ModelVersion
from tests.diagnosis.test_services import submit
from tests.films import encode, synthetic_film

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(tmp_path, settings):
    """Store images in files too, and look at no other folder of the machine."""
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": tmp_path / "files"},
        }
    }
    settings.BUNDLE_DIR = tmp_path / "bundles"
    previous = os.umask(0o077)
    yield
    os.umask(previous)


@pytest.fixture
def reading(active_model, doctor, film_bytes, django_capture_on_commit_callbacks) -> Reading:
    with django_capture_on_commit_callbacks(execute=True):
        return submit(doctor, film_bytes)


@pytest.fixture
def another(active_model, doctor, django_capture_on_commit_callbacks) -> Reading:
    with django_capture_on_commit_callbacks(execute=True):
        return submit(doctor, encode(synthetic_film("PNEUMONIA", seed=8, size=400), "png"))


def fsck(*, fails: bool = False, **options: Any) -> dict[str, Any]:
    """Return the report, once without --json and once with it."""
    out = StringIO()
    if fails:
        with pytest.raises(CommandError, match="need attention"):
            call_command("fsck", json=True, stdout=out, **options)
    else:
        call_command("fsck", json=True, stdout=out, **options)
    report: dict[str, Any] = json.loads(out.getvalue())
    assert report["ok"] != fails
    return report


def codes(report: dict[str, Any]) -> list[str]:
    return sorted(finding["code"] for finding in report["findings"])


def film_path(reading: Reading) -> Path:
    return Path(storages["films"].path(storage.original_name(reading.film_sha256)))


def rendering_path(reading: Reading, side: int = VIEWER_SIDE) -> Path:
    return Path(storages["films"].path(storage.rendering_name(reading.film_sha256, side)))


def test_a_whole_site_has_no_findings(reading, capsys):
    report = fsck()
    assert report["findings"] == []
    expected = {"films": 1, "renderings": 2, "models": 1, "audit rows": AuditEntry.objects.count()}
    assert report["checked"].items() >= expected.items()
    call_command("fsck", quick=True)
    assert "0 finding(s)" in capsys.readouterr().out


@pytest.mark.parametrize("quick", [False, True])
def test_a_missing_and_a_damaged_film_are_found(quick, reading, another):
    film_path(reading).unlink()
    content = film_path(another).read_bytes()
    film_path(another).unlink()
    film_path(another).write_bytes(content[:-1])
    report = fsck(fails=True, quick=quick)
    assert codes(report) == ["film-damaged", "film-missing"]
    assert fsck(fails=True, repair=True)["findings"] == report["findings"]


def test_a_single_altered_bit_is_found(reading):
    content = bytearray(film_path(reading).read_bytes())
    content[len(content) // 2] ^= 1
    film_path(reading).unlink()
    film_path(reading).write_bytes(content)
    assert codes(fsck(fails=True)) == ["film-damaged"]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_film_is_put_back_from_the_quarantine(damaged, reading):
    aside = Path(storages["films"].path("quarantine/2026-01-02")) / reading.film_sha256
    aside.parent.mkdir(parents=True)
    shutil.copy(film_path(reading), aside)
    film_path(reading).unlink()
    if damaged:
        film_path(reading).write_bytes(b"x")
    assert len(fsck(fails=True)["findings"]) == 1
    assert [finding["repaired"] for finding in fsck(repair=True)["findings"]] == [True]
    assert has_film(reading)


def test_bad_renderings_are_made_again(reading, another):
    rendering_path(reading).write_bytes(rendering_path(reading).read_bytes()[:500])
    thumbnail = rendering_path(reading, THUMBNAIL_SIDE)
    shutil.copy(rendering_path(another, THUMBNAIL_SIDE), thumbnail)
    assert codes(fsck(fails=True)) == ["rendering-damaged"] * 2
    assert all(finding["repaired"] for finding in fsck(repair=True)["findings"])
    assert fsck()["findings"] == []


def test_a_film_without_a_reading_is_set_aside(reading):
    digest = "ab" * 32
    storage.keep(storage.original_name(digest), b"left behind")
    path = Path(storages["films"].path(storage.original_name(digest)))
    os.utime(path, (time.time() - 4000,) * 2)
    assert codes(fsck(fails=True)) == ["film-without-reading"]
    fsck(repair=True)
    assert [each.filename for each in sweeping.quarantined()] == [digest]
    assert fsck()["notes"] == {"X-rays in quarantine": 1}


def test_a_lost_reading_is_found_and_nothing_moved(reading):
    for path in film_path(reading).parents[2].rglob("*"):
        os.utime(path, (time.time() - 4000,) * 2)
    Reading.objects.all()._raw_delete(using="default")
    for repair in (False, True):
        report = fsck(fails=True, repair=repair)
        assert "reading-lost" in codes(report)
        assert film_path(reading).exists()


def test_images_without_rows_and_rows_without_images_are_found(reading, doctor):
    avatars.change_avatar(user=doctor, data=encode(synthetic_film("NORMAL", seed=1), "png"))
    name = default_storage.save("avatars/left.webp", ContentFile(b"left behind"))
    assert fsck()["findings"] == [], "younger than a day"
    os.utime(default_storage.path(name), (0, 0))
    default_storage.delete(User.objects.get(pk=doctor.pk).avatar.name)
    assert codes(fsck(fails=True)) == ["image-missing", "image-without-row"]
    assert codes(fsck(fails=True, repair=True)) == ["image-missing", "image-without-row"]
    assert not default_storage.exists(name)


def test_files_open_to_others_are_closed(reading):
    film_path(reading).chmod(0o644)
    film_path(reading).parent.chmod(0o755)
    assert codes(fsck(fails=True)) == ["open-to-others"] * 2
    assert all(finding["repaired"] for finding in fsck(repair=True)["findings"])
    assert fsck()["findings"] == []


def test_an_altered_audit_log_is_found(reading):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_auditentry SET actor_email = 'nobody@example.org'")
    assert set(codes(fsck(fails=True, repair=True))) == {"audit"}


def test_a_missing_bundle_is_found(lenient_model, doctor, film_bytes, settings, tmp_path):
    submit(doctor, film_bytes)
    settings.BUNDLE_DIR = tmp_path / "elsewhere"
    with override_settings(SHIPPED_BUNDLE_DIR=tmp_path / "nowhere"):
        report = fsck(fails=True)
    assert "bundle-missing" in codes(report)
    assert "1 reading(s) cannot be recomputed" in str(report)


def test_a_missing_trigger_is_made_again(reading):
    from mlcore import immutability

    (name, *_) = [immutability._name(model) for model in immutability.GUARDED]
    on = " ON mlcore_modelversion" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")
    assert codes(fsck(fails=True)) == ["trigger-missing"]
    fsck(repair=True)
    assert fsck()["findings"] == []
    assert ModelVersion.objects.exists()


def test_patients_without_readings_and_readings_without_patients(reading, another):
    Reading.objects.filter(pk=another.pk).update(study=None)
    left = Patient.objects.create(name="王小明", number="old")
    held = Patient.objects.create(name="林美", number="new", number_disputed=True)
    assert codes(fsck(fails=True)) == [
        "number-without-holder", "patient-empty", "patient-empty", "study-missing",
    ]  # fmt: skip
    fsck(repair=True)
    assert not Patient.objects.filter(pk__in=[left.pk, held.pk]).exists()
    assert Reading.objects.get(pk=another.pk).study is not None
    fsck()
