"""Inconclusive results: the model abstains where its error rate is high."""

import json
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import translation

from diagnosis.models import Label, Reading
from mlcore import gates, inference, registry
from mlcore.models import ModelVersion
from tests.conftest import SHIPPED_MODEL, post_film

CARD = {
    "labels": ["NORMAL", "PNEUMONIA"],
    "threshold": {"value": 0.6},
    "scope": {"threshold": 1.0},
    "conformal": {"coverage": 0.97, "lower": 0.4, "upper": 0.8},
    "population": {"age_years": [1, 5], "modality": ["DX"], "view": ["PA"], "body_part": ["CHEST"]},
}


@pytest.mark.parametrize(
    ("probability", "label"),
    [(0.0, "NORMAL"), (0.399, "NORMAL"), (0.4, "UNSURE"), (0.6, "UNSURE"), (0.799, "UNSURE"),
     (0.8, "PNEUMONIA"), (1.0, "PNEUMONIA")],
)  # fmt: skip
def test_the_model_abstains_between_the_bounds(probability, label):
    chances = {"NORMAL": 1 - probability, "PNEUMONIA": probability}
    decided = inference.decide(
        CARD, probabilities=chances, scope_score=0.5, stated=inference.Stated()
    )
    assert decided == (label, ())


def test_out_of_scope_takes_precedence():
    label, reasons = inference.decide(
        CARD,
        probabilities={"NORMAL": 0.5, "PNEUMONIA": 0.5},
        scope_score=2.0,
        stated=inference.Stated(age_years=40),
    )
    assert label == "OUT_OF_SCOPE"
    assert reasons == ("picture", "age")


def test_a_model_without_abstention_always_decides():
    card = {key: value for key, value in CARD.items() if key != "conformal"}
    label, _ = inference.decide(
        card,
        probabilities={"NORMAL": 0.41, "PNEUMONIA": 0.59},
        scope_score=0.5,
        stated=inference.Stated(),
    )
    assert label == "NORMAL"


@pytest.fixture
def undecided_model(db, tmp_path: Path, settings) -> ModelVersion:
    """The shipped network with an open scope gate and an abstention band of 0 to 1."""
    folder = tmp_path / "bundles" / SHIPPED_MODEL
    shutil.copytree(registry.folder_of(SHIPPED_MODEL), folder)
    card = json.loads((folder / "card.json").read_text())
    card["scope"]["threshold"] = 1e9
    card["conformal"] = {"coverage": 0.97, "lower": 0.0, "upper": 1.0000001}
    (folder / "card.json").write_text(json.dumps(card))
    settings.BUNDLE_DIR = folder.parent
    call_command(
        "activate_model",
        SHIPPED_MODEL,
        override=[f"{name}=a copy for tests" for name in gates.NAMES],
        verbosity=0,
    )
    return ModelVersion.objects.get(name=SHIPPED_MODEL)


def test_an_inconclusive_result_is_explained(undecided_model, as_doctor, film_bytes):
    assert post_film(as_doctor, film_bytes).status_code == 302
    reading = Reading.objects.get()
    assert reading.label == Label.UNSURE
    assert reading.limits == (0.0, 1.0000001)
    with translation.override("en"):
        page = as_doctor.get(
            reverse("readings:detail", args=[reading.pk]), headers={"accept-language": "en"}
        ).content.decode()
    assert "The model cannot distinguish normal from pneumonia on this X-ray." in page
    assert "This model leaves every X-ray inconclusive." in page
    assert "In this range the error rate is high, so the model does not decide." in page
    assert "Read the X-ray yourself or consult a radiologist." in page
    assert "At or above the threshold" not in page
