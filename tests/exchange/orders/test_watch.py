"""Watched folders: a machine writes files, the site reads each of them once."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import BatchItem, ItemState, Reading, Team, TeamMembership
from exchange.orders.models import WatchedFile
from exchange.orders.watching.folders import Folder
from tests.films import encode, encode_dicom, synthetic_film
from tests.site.sites import Site


def film(seed: int, **elements) -> bytes:
    pixels = np.asarray(synthetic_film("NORMAL", seed=seed, size=160))
    named = {"patient_id": f"W{seed}", "patient_name": f"Doe^N{seed}", "PatientSex": "F"}
    return encode_dicom(pixels, **(named | elements))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The folder that a machine exports to."""
    folder = tmp_path / "export"
    (folder / "2026-11-28").mkdir(parents=True)
    (folder / "one.dcm").write_bytes(film(1))
    (folder / "2026-11-28" / "two.dcm").write_bytes(film(2))
    return folder


@pytest.fixture
def _reads(active_model, settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"


def watch(folder: Path, doctor=None, *more: str) -> None:
    who = ["--doctor", doctor.email] if doctor is not None else []
    call_command("watch", str(folder), *who, "--once", "--settle", "0", "--interval", "0.01", *more)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# Which files are finished -----------------------------------------------------------------------


def names(folder: Folder) -> list[str]:
    return [folder.shown(found) for found in folder.finished()]


def test_a_file_is_finished_when_it_no_longer_changes(tmp_path):
    folder, path = Folder(tmp_path, 0.1), tmp_path / "a.dcm"
    path.write_bytes(b"1")
    assert names(folder) == []
    time.sleep(0.12)
    path.write_bytes(b"12")
    assert names(folder) == []
    assert not folder.is_settled()
    time.sleep(0.12)
    assert names(folder) == ["a.dcm"]
    assert folder.is_settled()


def test_a_file_is_finished_when_it_is_renamed(tmp_path):
    folder = Folder(tmp_path, 60)
    growing = tmp_path / "a.dcm.part"
    growing.write_bytes(b"1")
    assert names(folder) == []
    assert not folder.is_settled()
    growing.rename(tmp_path / "a.dcm")
    assert names(folder) == ["a.dcm"]


def test_what_is_hidden_linked_or_a_systems_own_is_left_alone(tmp_path):
    for name in (".hidden", "Thumbs.db", "~lock", "._a.dcm"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "secret").symlink_to("/etc/hostname")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "old.dcm").write_bytes(b"1")
    assert names(Folder(tmp_path, 0)) == []


# What becomes of them ---------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_finished_files_are_read_and_moved(export, doctor, caplog):
    caplog.set_level("INFO")
    (export / "no-film.dcm").write_bytes(b"text " * 50)
    (export / "photo.png").write_bytes(
        encode(synthetic_film("NORMAL", seed=9, size=160), "png")
    )  # states no patient
    (export / "films.zip").write_bytes(b"PK\x03\x04" + b"0" * 50)
    watch(export, doctor)
    assert files(export) == [
        "done/2026-11-28/two.dcm", "done/one.dcm", "done/photo.png",
        "refused/films.zip", "refused/films.zip.txt",
        "refused/no-film.dcm", "refused/no-film.dcm.txt",
    ]  # fmt: skip
    assert "不是影像" in (export / "refused" / "no-film.dcm.txt").read_text()
    numbers = set(Reading.objects.values_list("patient_number", flat=True))
    assert numbers == {"W1", "W2"}
    assert {reading.doctor for reading in Reading.objects.all()} == {doctor}
    (asked,) = BatchItem.objects.in_inbox_of(doctor)
    assert asked.path == "photo.png"
    for secret in ("one.dcm", "photo.png", "Doe", "W1"):
        assert secret not in caplog.text


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_a_file_that_cannot_be_read_or_named_holds_up_no_other(export, doctor, monkeypatch):
    (export / "0-locked.dcm").write_bytes(film(3))
    strange = os.fsencode(export) + b"/" + "陳.dcm".encode("big5")
    Path(os.fsdecode(strange)).write_bytes(film(4))
    real, looks = Folder.read, []

    def read(self, found, limit):
        if found.path.name == "0-locked.dcm":
            looks.append((export / "done" / "one.dcm").exists())
            if len(looks) < 3:
                raise PermissionError(13, "Permission denied")
        return real(self, found, limit)

    monkeypatch.setattr(Folder, "read", read)
    watch(export, doctor)
    assert looks == [False, True, True]
    numbers = set(Reading.objects.values_list("patient_number", flat=True))
    assert numbers == {"W1", "W2", "W3", "W4"}


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_the_same_content_is_read_once_whatever_its_name(export, doctor):
    watch(export, doctor)
    (export / "one.dcm").write_bytes(film(1))
    (export / "again.dcm").write_bytes(film(2))
    watch(export, doctor)
    assert Reading.objects.count() == BatchItem.objects.count() == 2
    assert files(export) == [
        "done/2026-11-28/two.dcm", "done/again.dcm", "done/one (2).dcm", "done/one.dcm",
    ]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_files_may_stay_where_they_are(export, doctor, monkeypatch, tmp_path):
    before = files(export)
    state = tmp_path / "state.json"
    watch(export, doctor, "--keep", "--state", str(state))
    assert files(export) == before
    assert Reading.objects.count() == 2
    opened: list[Path] = []
    read = Folder.read
    monkeypatch.setattr(
        Folder, "read", lambda self, found, limit: opened.append(found) or read(self, found, limit)
    )
    watch(export, doctor, "--keep", "--state", str(state))
    assert opened == []
    state.unlink()  # costs time, and no second reading
    watch(export, doctor, "--keep", "--state", str(state))
    assert len(opened) == 2
    assert Reading.objects.count() == 2


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_a_teams_files_are_read_by_its_lead_and_shared_with_it(export, doctor, other_doctor):
    team = Team.objects.create(name="Ward 5")
    other = Team.objects.create(name="Ward 6")
    for each in (team, other):
        TeamMembership.objects.create(team=each, user=doctor)
    lead = TeamMembership.Role.LEAD
    TeamMembership.objects.create(team=team, user=other_doctor, role=lead)
    watch(export, None, "--team", "Ward 5")
    assert {(one.doctor, one.team) for one in Reading.objects.all()} == {(other_doctor, team)}


@pytest.mark.django_db
@pytest.mark.usefixtures("_reads")
def test_a_film_that_was_lost_before_it_was_read_is_taken_again(export, doctor):
    watch(export, doctor)
    item = BatchItem.objects.get(path="one.dcm")
    Reading.objects.filter(pk=item.pk).delete()
    lost = BatchItem.objects.create(
        batch=BatchItem.objects.first().batch, doctor=doctor, position=9, path="one.dcm",
        sha256="0" * 64, size=1, state=ItemState.EXPIRED,
    )  # fmt: skip
    WatchedFile.objects.filter(item_id=item.pk).update(item_id=lost.pk)
    (export / "one.dcm").write_bytes(film(1))
    watch(export, doctor)
    assert Reading.objects.filter(patient_number="W1").exists()


@pytest.mark.django_db
def test_mistakes_of_the_command_are_explained(tmp_path, doctor, supervisor, settings):
    settings.VAR_DIR = tmp_path / "var"
    for arguments, message in (
        ([str(tmp_path / "none"), "--doctor", doctor.email], "No such folder"),
        ([str(tmp_path)], "Say whose readings"),
        ([str(tmp_path), "--doctor", "nobody@example.org"], "There is no account"),
        ([str(tmp_path), "--team", "none"], "There is no team"),
        ([str(tmp_path), "--doctor", supervisor.email], "may not read X-rays"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("watch", *arguments, "--once")


# Killed -----------------------------------------------------------------------------------------

ADD_DOCTOR = """
from accounts import roles, services
services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR)
"""
CHECK = """
from accounts.audit.verify import verify_log
from diagnosis.batches import ending
from diagnosis.models import BatchItem, Reading
for item in BatchItem.objects.select_related("reading"):
    print(item.state, item.path, item.reading.patient_number)
print(Reading.objects.count(), list(verify_log()), list(ending.missing()))
"""


@pytest.mark.xdist_group("watch")
def test_killed_in_the_middle_it_reads_every_film_once(tmp_path):
    site = Site(tmp_path, LOG_LEVEL="INFO")
    site.is_usual = True
    site.set_up()
    site.script(ADD_DOCTOR)
    export = tmp_path / "export"
    export.mkdir()
    for seed in range(5):
        (export / f"{seed}.dcm").write_bytes(film(seed))
    command = ["manage.py", "watch", str(export), "--doctor", "d@example.org",
               "--once", "--settle", "0", "--interval", "0.05"]  # fmt: skip
    process = site.start(*command)
    assert process.stderr is not None
    for line in process.stderr:
        if "Took a file" in line:
            break
    time.sleep(0.1)
    process.kill()
    process.communicate()
    site.run(*command)
    *items, counts = site.script(CHECK).splitlines()
    assert sorted(items) == [f"DONE {seed}.dcm W{seed}" for seed in range(5)]
    assert counts == "5 [] []"
    assert files(export) == [f"done/{seed}.dcm" for seed in range(5)]
