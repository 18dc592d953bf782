"""`manage.py inspect_film`: values, errors, PNG files, order and exit code."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from tests.films import encode, encode_dicom, synthetic_film

FILM = synthetic_film("NORMAL", seed=5, size=128)
KEYS = [
    "file", "format", "rows", "columns", "bits", "photometric", "frames", "patient_name",
    "patient_id", "age_years", "birth_date", "exam_date", "modality", "view", "body_part",
    "pixel_spacing_mm", "charset", "scope_reasons", "warnings", "seconds",
]  # fmt: skip


def inspect(tmp_path, **files: bytes) -> list[dict]:
    paths = []
    for name, data in files.items():
        path = tmp_path / name
        path.write_bytes(data)
        paths.append(str(path))
    out = tmp_path / "out.json"
    call_command("inspect_film", *paths, json=out, png=tmp_path / "png", stdout=io.StringIO())
    return json.loads(out.read_text())


def test_values_of_a_dicom_file(tmp_path):
    data = encode_dicom(
        FILM, bits=12, age=None, birth_date="20180605", study_date="20240604",
        PixelSpacing=["0.15", "0.15"], view_position="LAT", modality="CR", body_part="TORAX",
    )  # fmt: skip
    (found,) = inspect(tmp_path, film=data)
    assert list(found) == KEYS
    assert found.pop("seconds") > 0
    assert found == {
        "file": str(tmp_path / "film"), "format": "DICOM", "rows": 128, "columns": 128,
        "bits": 12, "photometric": "MONOCHROME2", "frames": 1, "patient_name": "Doe Jane",
        "patient_id": "A123", "age_years": 5, "birth_date": "2018-06-05",
        "exam_date": "2024-06-04", "modality": "CR", "view": "LATERAL", "body_part": "CHEST",
        "pixel_spacing_mm": [0.15, 0.15], "charset": "ISO_IR 192", "scope_reasons": ["view"],
        "warnings": [],
    }  # fmt: skip


def test_values_of_a_png(tmp_path):
    (found,) = inspect(tmp_path, film=encode(FILM, "png"))
    assert list(found) == KEYS
    assert (found["format"], found["photometric"], found["bits"]) == ("PNG", "MONOCHROME2", 8)
    assert found["patient_name"] is None
    assert found["scope_reasons"] == []


def test_errors_keep_their_place_and_films_are_written(tmp_path):
    found = inspect(
        tmp_path, one=encode(FILM, "png"), two=b"no film", three=encode_dicom(FILM, modality="CT")
    )
    assert [entry["file"].rsplit("/", 1)[1] for entry in found] == ["one", "two", "three"]
    assert set(found[1]) == set(found[2]) == {"file", "error"}
    assert found[2]["error"] == (
        "The modality of the DICOM file is CT. Only chest X-rays (CR, DX) are supported."
    )
    shown = Image.open(tmp_path / "png" / "one.png")
    assert shown.mode == "L"
    assert np.array_equal(np.asarray(shown), FILM)
    assert [path.name for path in (tmp_path / "png").iterdir()] == ["one.png"]


def test_what_cannot_be_trusted_is_null_and_said(tmp_path):
    (found,) = inspect(tmp_path, film=encode_dicom(FILM, study_date="20991231"))
    assert found["exam_date"] is None
    assert found["warnings"] == [
        "The exam date in the file is in the future, so it was left empty."
    ]


def test_exit_code_is_1_only_if_every_file_failed(tmp_path):
    with pytest.raises(CommandError) as caught:
        inspect(tmp_path, one=b"no film", two=b"")
    assert caught.value.returncode == 1
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2
