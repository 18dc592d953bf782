"""What refused films are said to resemble."""

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from diagnosis.models import RESEMBLANCES, Reading
from mlcore import inference
from mlcore.cards import words
from mlcore.engine.serving import lungs, resemblance
from mlcore.engine.training import resemblance as training
from tests.conftest import post_film
from tests.films import encode, synthetic_film, write_dataset


def films(count: int, *, seed: int) -> list[np.ndarray]:
    return [
        synthetic_film(("NORMAL", "PNEUMONIA")[index % 2], seed=seed + index, size=training.SIDE)
        for index in range(count)
    ]


def darker(film: np.ndarray) -> np.ndarray:
    return (film / 8).astype(np.uint8)


@pytest.fixture(scope="module")
def trained():
    """A classifier whose "adults" are synthetic films seen in a mirror."""
    inside = films(40, seed=0)
    adults = [film[:, ::-1].copy() for film in films(40, seed=100)]
    return training.fit(*training.examples(inside, adults, seed=0))


def test_causes_of_films_that_training_did_not_see(trained):
    unseen = films(30, seed=500)
    rng = np.random.default_rng(0)
    turned = [trained.cause(np.rot90(film, 2)) for film in unseen]
    parts = [trained.cause(training.cropped(film, rng)) for film in unseen]
    upright = [trained.cause(film) for film in unseen]
    assert turned.count("rotated") >= 27
    assert "cropped" in parts
    assert set(parts) <= {"", "cropped"}
    assert upright.count("") >= 27
    assert {trained.cause(darker(film)) for film in unseen} == {"too_dark"}
    assert {trained.cause(255 - darker(film)) for film in unseen} == {"too_bright"}


def test_only_refused_films_are_counted(trained):
    few, classes = training.examples(films(4, seed=900), films(4, seed=950), seed=1)
    none = training.confusion(trained, few, classes, is_refused=lambda film: False)
    every = training.confusion(trained, few, classes, is_refused=lambda film: True)
    assert set(every) == set(resemblance.CLASSES)
    assert all(row["refused"] == 0 and sum(row.values()) == row["films"] for row in none.values())
    for row in every.values():
        assert row["refused"] == row["films"] > 0
        assert sum(row[cause] for cause in (*resemblance.CAUSES, "")) == row["refused"]


def test_classifier_survives_its_file(trained):
    again = resemblance.Resemblance.from_json(json.loads(json.dumps(trained.to_json())))
    unseen = films(10, seed=300)
    x = np.stack([resemblance.features(film) for film in unseen])
    assert again.probabilities(x) == pytest.approx(trained.probabilities(x), abs=2e-3)
    with pytest.raises(ValueError, match="Expected the classes"):
        resemblance.Resemblance.from_json(trained.to_json() | {"classes": ["inside", "adult"]})


def test_shipped_classifier_is_measured_and_translated():
    entry = json.loads(resemblance.FILE.read_text())
    assert set(entry["measured"]["confusion"]) == set(words.REFUSED) == set(resemblance.CLASSES)
    assert set(resemblance.CAUSES) == set(words.RESEMBLED) - {""}
    assert set(RESEMBLANCES) == {*resemblance.CAUSES, *lungs.REFUSED}
    assert resemblance.shipped().least >= 0.5


@pytest.mark.django_db
def test_command_trains_and_measures(tmp_path, capsys):
    for name, seed in (("in", 1), ("adults", 2), ("test-in", 3), ("test-adults", 4)):
        write_dataset(tmp_path / name, per_class=10, seed=seed, size=96)
    arguments = [
        "--inside", tmp_path / "in", "--adults", tmp_path / "adults",
        "--test-inside", tmp_path / "test-in", "--test-adults", tmp_path / "test-adults",
        "--model", "pneumonia-2", "--most", 20,
    ]  # fmt: skip
    call_command("train_refusal_reasons", *map(str, arguments), "--out", str(tmp_path / "out"))
    entry = json.loads((tmp_path / "out").read_text())
    assert entry["trained_on"] == {"inside": 20, "adults": 20, "seed": 0}
    assert entry["measured"]["confusion"]["rotated"]["films"] == 40
    assert "rotated: " in capsys.readouterr().out
    assert resemblance.Resemblance.from_json(entry).weights.shape == (1024, 5)
    arguments[1] = tmp_path / "empty"
    with pytest.raises(CommandError, match="0 readable films"):
        call_command("train_refusal_reasons", *map(str, arguments), "--out", str(tmp_path / "no"))
    assert not (tmp_path / "no").exists()


def test_only_a_film_refused_for_its_image_gets_a_cause(shipped_bundle, lenient_bundle):
    dark = encode(darker(synthetic_film("NORMAL", seed=3)), "png")
    refused = inference.predict(dark, model=shipped_bundle)
    assert refused.scope_reasons == ("picture",)
    assert refused.resembles == "too_dark"
    old = inference.Stated(age_years=50)
    assert inference.predict(dark, model=lenient_bundle).resembles == ""
    assert inference.predict(dark, model=lenient_bundle, stated=old).resembles == ""


@pytest.mark.django_db
def test_doctor_reads_why_and_what_to_do(as_doctor, active_model):
    dark = encode(darker(synthetic_film("NORMAL", seed=3)), "png")
    page = as_doctor.get(post_film(as_doctor, dark, name="dark.png").headers["Location"])
    assert "Almost all of the image is dark." in page.content.decode()
    reading = Reading.objects.get()
    assert reading.scope_resembles == "too_dark"
    call_command("replay_reading", str(reading.pk))
    Reading.objects.update(scope_resembles="")
    page = as_doctor.get(f"/readings/{reading.pk}/")
    assert "nothing more specific can be said" in page.content.decode()


def test_the_model_page_shows_what_was_measured(as_doctor, active_model):
    text = as_doctor.get("/models/pneumonia-2/").content.decode()
    assert "What refused images are said to resemble" in text
    assert "No specific reason" in text
