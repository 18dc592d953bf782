"""Exporting films with their doctors' labels for training."""

import csv
import datetime
import json
import uuid
from pathlib import Path
from unittest import mock

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from accounts.models import AuditMention, User
from diagnosis import retention
from diagnosis.models import Reading
from diagnosis.services import review_export
from diagnosis.services.diagnoses import confirm_diagnosis
from diagnosis.services.opinions import Content, record_opinion
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import submit_reading
from diagnosis.validators import validate_film
from tests.films import encode, synthetic_film

pytestmark = pytest.mark.django_db


def read(doctor: User, seed: int, number: str, verdict: str = "") -> Reading:
    pixels = synthetic_film("NORMAL" if seed % 2 else "PNEUMONIA", seed=seed, size=256)
    upload = SimpleUploadedFile("王小明.png", encode(pixels, "png"))
    reading = submit_reading(
        doctor=doctor,
        upload=validate_film(upload),
        patient=PatientDetails("Secret Name", 95, datetime.date(2026, 1, 2), number=number),
        submission=uuid.uuid4(),
    )
    if verdict:
        content = Content(
            verdict,
            findings=[{"code": "device", "side": "", "lobes": [], "text": "tube of Secret"}],
            note="Secret note",
        )
        record_opinion(doctor=doctor, reading_id=reading.pk, content=content, stage="SIGNED")
    Reading.objects.filter(pk=reading.pk).update(label="NORMAL", scope_reasons=[])
    return reading


@pytest.fixture
def readings(active_model, doctor) -> list[Reading]:
    made = [
        read(doctor, 1, "A1", "NORMAL"),
        read(doctor, 2, "A1", "PNEUMONIA"),
        read(doctor, 3, "B2", "NORMAL"),
        read(doctor, 4, "C3", "OTHER"),  # no class
        read(doctor, 5, "C4", "NORMAL"),  # its diagnosis is another
        read(doctor, 6, "C5", "NORMAL"),  # deleted
        read(doctor, 7, "C6"),  # without an opinion
        read(doctor, 8, "C7", "NORMAL"),  # withheld
        read(doctor, 9, "C8", "NORMAL"),  # file and form differed
        read(doctor, 10, "C9", "NORMAL"),  # declined
    ]
    confirm_diagnosis(
        by=doctor, reading_id=made[4].pk, value="PNEUMONIA", source="IMAGING",
        confirmed_on=datetime.date(2026, 1, 9),
    )  # fmt: skip
    retention.hide_reading(doctor=doctor, reading_id=made[5].pk, reason="MISTAKE")
    Reading.objects.filter(pk=made[7].pk).update(withheld=True)
    Reading.objects.filter(pk=made[8].pk).update(discrepancies=[{"field": "film"}])
    Reading.objects.filter(pk=made[9].pk).update(label="OUT_OF_SCOPE")
    return made


def test_an_interrupted_export_is_completed_and_tells_nobody(readings, tmp_path, capsys):
    out = tmp_path / "set"
    render, calls = review_export.render_redacted, iter(range(9))

    def full_disk(*args: object, **kwargs: object) -> bytes:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")
        return render(*args, **kwargs)

    with (
        mock.patch.object(review_export, "render_redacted", full_disk),
        pytest.raises(CommandError, match="No space"),
    ):
        call_command("export_reviews", out=out)
    assert not out.exists()
    kept = {path.name for path in (tmp_path / "set.part").rglob("*.png")}
    assert len(kept) == 2
    call_command("export_reviews", out=out)
    assert kept <= {path.name for path in out.rglob("*.png")}
    printed = capsys.readouterr().out
    assert "NORMAL: 2 X-ray(s)\nPNEUMONIA: 2 X-ray(s)" in printed
    assert "neither normal nor pneumonia: 1" in printed
    rows = list(csv.DictReader((out / "manifest.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == sorted(
        path.relative_to(out).as_posix() for path in out.rglob("*.png")
    )
    by_source = [row["class_from"] for row in rows]
    assert sorted(by_source) == ["confirmed diagnosis", *["signed opinion"] * 3]
    # Two films of one patient have one number; the age is not exact.
    assert len({row["patient"] for row in rows}) == 3
    assert {row["age_years"] for row in rows} == {"90"}
    described = json.loads((out / "manifest.json").read_text())
    assert [film["sha256"] for film in described["films"]] == [row["sha256"] for row in rows]
    told = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    names = b"".join(str(path).encode() for path in out.rglob("*"))
    for secret in (b"Secret", "王".encode(), b"A1_", b"2026-"):
        assert secret not in told + names
    assert str(readings[0].pk).encode() not in told
    assert {path.name for path in out.iterdir()} == {
        "NORMAL", "PNEUMONIA", "README.txt", "manifest.csv", "manifest.json"
    }  # fmt: skip
    assert "burned into the image" in (out / "README.txt").read_text()
    for path in out.rglob("*.png"):
        assert not any(chunk in path.read_bytes() for chunk in (b"tEXt", b"iTXt", b"eXIf", b"tIME"))
    mentioned = AuditMention.objects.filter(object_pk=str(readings[0].pk))
    assert mentioned.filter(entry__what="reviews-exported").exists()
    with pytest.raises(CommandError, match="exists already"):
        call_command("export_reviews", out=out)


def test_the_folder_is_a_data_set(readings, tmp_path: Path, capsys, settings):
    settings.AUDIT_DIR = tmp_path / "audits"
    out = tmp_path / "set"
    call_command("export_reviews", out=out, with_refused=True)
    found = tmp_path / "audit.json"
    call_command("audit_dataset", data=out, json=found)
    audit = json.loads(found.read_text())
    assert audit["counts"] == {"": {"NORMAL": 3, "PNEUMONIA": 2}}


def test_a_folder_of_something_else_is_left_alone(active_model, tmp_path):
    (tmp_path / "set.part").mkdir()
    (tmp_path / "set.part" / "thesis.txt").write_text("x")
    with pytest.raises(CommandError, match="not an interrupted export"):
        call_command("export_reviews", out=tmp_path / "set")
    assert (tmp_path / "set.part" / "thesis.txt").read_text() == "x"
