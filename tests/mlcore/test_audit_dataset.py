"""The data set audit: findings, reports and receipts."""

import hashlib
import io
import json
import re
import shutil
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image, ImageDraw

from mlcore import dataset_report
from mlcore.engine.data import audit, audit_films, dataset
from mlcore.engine.films.film import read_film
from mlcore.engine.serving.preprocess import Preprocessing, squash
from mlcore.engine.training.squashed import SquashedFilms
from tests.films import encode, synthetic_film, write_dataset

# One worker makes the faulty data set and audits it, for all tests.
pytestmark = pytest.mark.xdist_group("audit-dataset")


def page_of_text() -> bytes:
    page = Image.new("L", (400, 500), 255)
    draw = ImageDraw.Draw(page)
    for line in range(30):
        draw.text((20, 12 + 16 * line), "No film, but a page of a report. " * 3, fill=0)
    return encode(np.asarray(page), "jpeg")


def colour_picture() -> bytes:
    row, column = np.mgrid[0:200, 0:200] / 200
    colours = np.stack([255 * row, 255 * column, 255 * (1 - row)], axis=-1).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "JPEG")
    return buffer.getvalue()


def picture(pixels: np.ndarray) -> bytes:
    return encode(np.clip(pixels, 0, 255).astype(np.uint8), "png")


NOISE = np.random.default_rng(0)
NON_FILMS = {
    "colour": colour_picture(),
    "few_levels": page_of_text(),
    "even": picture(NOISE.normal(128, 4, (160, 160))),
    "scattered": picture(NOISE.uniform(0, 255, (160, 160))),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    """A split data set with every kind of fault."""
    root = tmp_path_factory.mktemp("faulty")
    for split, seed in (("train", 0), ("test", 9)):
        write_dataset(root / split, per_class=8, seed=seed, size=96)
    for number, path in enumerate(sorted((root / "test").rglob("*.jpeg"))):
        path.rename(path.with_name(f"test{number}.jpeg"))
    first, second, third, fourth, *_ = sorted((root / "train" / "NORMAL").iterdir())
    shutil.copy(first, root / "train" / "PNEUMONIA" / "conflict.jpeg")
    shutil.copy(second, root / "test" / "NORMAL" / "leaked <b>.jpeg")
    with Image.open(third) as film:
        film.save(root / "test" / "NORMAL" / "near.jpeg", quality=60)
    shutil.copy(fourth, root / "test" / "NORMAL" / fourth.name)
    (root / "train" / "NORMAL" / "broken.jpeg").write_bytes(b"no film")
    for name, content in NON_FILMS.items():
        (root / "train" / "PNEUMONIA" / f"no-film-{name}").write_bytes(content)
    return root


@pytest.fixture(scope="module")
def found(faulty) -> dict:
    return audit.audited(dataset.scan(faulty))


@pytest.fixture
def audit_dir(settings, tmp_path) -> Path:
    settings.AUDIT_DIR = tmp_path / "audits"
    return settings.AUDIT_DIR


def test_every_fault_is_reported(found):
    assert found["counts"]["train"] == {"NORMAL": 8, "PNEUMONIA": 13}
    assert found["shares"]["train"]["NORMAL"] == pytest.approx(8 / 21)
    assert found["leaks"]["found"]
    assert len(found["leaks"]["patients"]) == 1
    assert len(found["leaks"]["exact"]) == 2
    assert "test/NORMAL/near.jpeg" in {path for pair in found["leaks"]["near"] for path in pair}
    (conflict,) = found["label_conflicts"]
    assert conflict["kind"] == "exact"
    assert set(conflict["labels"]) == {"NORMAL", "PNEUMONIA"}
    assert conflict["films"][1].endswith("conflict.jpeg")
    assert found["duplicates"]["exact_pairs"] == len(found["duplicates"]["exact"]) == 3
    assert [entry["path"] for entry in found["unreadable"]] == ["train/NORMAL/broken.jpeg"]
    assert found["films_per_patient"]["max"] >= 2
    assert sum(found["films_per_patient"]["patients_by_films"].values()) == found["patients"]


def test_non_films_are_suspect_and_synthetic_films_are_not(found):
    suspects = {
        entry["path"]: {reason["code"] for reason in entry["reasons"]}
        for entry in found["suspects"]
    }
    assert {Path(path).name for path in suspects} == {f"no-film-{name}" for name in NON_FILMS}
    for path, codes in suspects.items():
        assert path.rpartition("no-film-")[2] in codes
    # Suspects are listed and kept in the data set.
    assert found["films"] == found["counts"]["train"]["PNEUMONIA"] + 8 + 11 + 8


def test_grey_film_in_colour_or_on_a_black_border_is_not_suspect():
    film = synthetic_film("PNEUMONIA", seed=4, size=128)
    sheet = np.zeros((400, 400), np.uint8)
    sheet[100:228, 100:228] = film
    buffer = io.BytesIO()
    Image.fromarray(film).convert("RGB").save(buffer, "JPEG")
    for data in (buffer.getvalue(), encode(sheet, "png")):
        assert audit_films.doubts(audit_films.measure(read_film(data), data)) == ()


def test_frame_shortcut_is_measured(tmp_path):
    write_dataset(tmp_path, per_class=16, size=96)
    clean = audit.audited(dataset.scan(tmp_path))["shortcuts"]
    assert clean["frame"]["auc_ci"][0] < 0.6
    for path in (tmp_path / "NORMAL").iterdir():
        with Image.open(path) as film:
            marked = np.asarray(film).copy()
        marked[:8, -24:] = 255
        path.write_bytes(encode(marked, "jpeg"))
    marked_set = audit.audited(dataset.scan(tmp_path))["shortcuts"]
    assert marked_set["frame"]["auc"] > 0.95
    assert marked_set["frame"]["folds"] == 5
    assert marked_set["aspect"] == {"auc": 0.5, "higher_in": None}


def test_shape_and_exposure_shortcuts_are_measured(tmp_path):
    for label, shape, exposure in (("NORMAL", (96, 128), 0.7), ("PNEUMONIA", (128, 96), 1.0)):
        (tmp_path / label).mkdir()
        for seed in range(4):
            film = Image.fromarray(synthetic_film("NORMAL", seed=seed, size=128)).resize(shape)
            path = tmp_path / label / f"{label}{seed}.png"
            path.write_bytes(encode((np.asarray(film) * exposure).astype(np.uint8), "png"))
    result = audit.audited(dataset.scan(tmp_path))
    assert result["shortcuts"]["aspect"] == {"auc": 1.0, "higher_in": "PNEUMONIA"}
    assert result["shortcuts"]["grey_mean"] == {"auc": 1.0, "higher_in": "PNEUMONIA"}
    assert result["sizes"]["distinct"] == 2
    assert sum(result["sizes"]["aspect"]["counts"]["NORMAL"]) == 4
    assert result["grey"]["mean"]["summary"]["NORMAL"]["mean"] < 110


def test_frame_shortcut_is_undefined_with_one_patient_per_class(tmp_path, audit_dir):
    write_dataset(tmp_path / "set", per_class=2, size=96, patients=1)
    out = tmp_path / "audit.json"
    call_command("audit_dataset", data=tmp_path / "set", json=out, stdout=io.StringIO())
    assert json.loads(out.read_text())["shortcuts"]["frame"]["auc"] is None


class Page(HTMLParser):
    """Collects the tags, images and text of a report."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[dict] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes))

    def handle_data(self, data):
        self.text += data


def test_html_report_is_confidential_and_self_contained(faulty, found, tmp_path):
    path = tmp_path / "report.html"
    dataset_report.write(path, dataset.scan(faulty), found)
    html = path.read_text()
    page = Page(html)
    body = html.partition("<body>")[2]
    assert body.index("Confidential") < body.index("<h1>")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not {"script", "link", "b"} & set(page.tags)
    assert "leaked <b>.jpeg" in page.text
    assert not re.search(r"(src|href)=\"(?!data:)|url\(|@import", html)
    # Two films per leak, conflict and duplicate, one per suspect.
    pairs = len(found["leaks"]["exact"] + found["leaks"]["near"] + found["label_conflicts"])
    pairs += found["duplicates"]["exact_pairs"] + found["duplicates"]["near_pairs"]
    assert len(page.pictures) == 2 * pairs + len(NON_FILMS)
    assert all(picture["alt"].startswith("Film ") for picture in page.pictures)
    assert page.tags.count("svg") == 4


def test_command_writes_both_reports_and_fails_on_a_leak(faulty, tmp_path, audit_dir):
    out, output = tmp_path / "audit.json", io.StringIO()
    with pytest.raises(CommandError, match="The splits leak"):
        call_command(
            "audit_dataset", data=faulty, json=out, html=tmp_path / "audit.html", stdout=output
        )
    assert json.loads(out.read_text())["leaks"]["found"] is True
    assert "do not share" in output.getvalue()
    assert "conflict.jpeg" in output.getvalue()
    assert (tmp_path / "audit.html").exists()
    assert not audit_dir.exists()
    assert not list(tmp_path.glob(".*"))


def test_receipt_is_valid_for_one_data_set(tmp_path, audit_dir):
    films = write_dataset(tmp_path / "set", per_class=4, size=96)
    manifest = dataset.scan(films)
    assert not audit.has_receipt(audit_dir, manifest)
    call_command("audit_dataset", data=films, stdout=io.StringIO())
    assert audit.has_receipt(audit_dir, manifest)
    receipt = audit.receipt_path(audit_dir, manifest)
    assert not any(film.patient in receipt.read_text() for film in manifest.films)
    another = sorted((films / "NORMAL").iterdir())[0]
    another.rename(another.with_name("IM-0999-0001.jpeg"))
    assert not audit.has_receipt(audit_dir, dataset.scan(films))
    for damaged in ("", "[]", '{"version": 1, "manifest_sha256": "0"}'):
        receipt.write_text(damaged)
        assert not audit.has_receipt(audit_dir, manifest)


def test_no_receipt_is_written_for_a_leak_or_another_set(faulty, found, tmp_path):
    with pytest.raises(ValueError, match="leak"):
        audit.write_receipt(tmp_path, dataset.scan(faulty), found)
    clean = dataset.scan(write_dataset(tmp_path / "set", per_class=2, size=96))
    with pytest.raises(ValueError, match="another"):
        audit.write_receipt(tmp_path, clean, found)


def test_invalid_arguments_are_refused_before_the_audit(tmp_path, audit_dir):
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("audit_dataset", data=tmp_path / "gone")
    films = write_dataset(tmp_path / "set", per_class=2, size=96)
    with pytest.raises(CommandError, match=r"gone.a\.html cannot be written"):
        call_command("audit_dataset", data=films, html=tmp_path / "gone" / "a.html")


def test_audit_and_squashing_decode_each_film_once(tmp_path, monkeypatch):
    write_dataset(tmp_path, per_class=2, size=96)
    decoded = []
    monkeypatch.setattr(dataset, "read_film", lambda data: decoded.append(data) or read_film(data))
    films = SquashedFilms(Preprocessing())
    manifest = dataset.scan(tmp_path, on_film=films.add)
    for record in manifest.films:
        (tmp_path / record.path).unlink()
    audit.audited(manifest)
    plain, corrupted = films.of(manifest.films), films.of(manifest.films, corrupted=True)
    assert len(decoded) == len(set(decoded)) == len(manifest.films) == 4
    for record, squashed in zip(manifest.films, plain, strict=True):
        (data,) = [data for data in decoded if hashlib.sha256(data).hexdigest() == record.sha256]
        assert np.array_equal(squashed, squash(read_film(data).pixels, Preprocessing()))
    assert not any(np.array_equal(*pair) for pair in zip(plain, corrupted, strict=True))
