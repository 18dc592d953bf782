"""The model that this version ships, as it is installed, and what the documents say of it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from mlcore import gates, registry
from mlcore.engine.serving import bundle, golden
from mlcore.engine.serving.pipeline import Pipeline
from mlcore.models import ModelVersion
from tests.films import synthetic_film
from xraysite.settings import base

NAME: str = base.SHIPPED_MODEL
FOLDER: Path = base.SHIPPED_BUNDLE_DIR / NAME
MEGABYTE = 1e6


@pytest.fixture
def shipped(settings, tmp_path):
    """The folder of shipped bundles, as outside the tests."""
    settings.SHIPPED_BUNDLE_DIR = base.SHIPPED_BUNDLE_DIR
    settings.SHIPPED_MODEL = NAME
    settings.BUNDLE_DIR = tmp_path
    registry.forget_loaded()
    yield bundle.read(FOLDER)
    registry.forget_loaded()


def test_only_one_model_ships():
    assert [path.parent.name for path in base.SHIPPED_BUNDLE_DIR.glob("*/card.json")] == [NAME]


def test_it_reproduces_its_golden_outputs(shipped):
    assert bundle.missing_for_service(shipped.card) == []
    assert golden.check(FOLDER, Pipeline.of(shipped).run) < golden.TOLERANCE


def test_it_is_small():
    served = sum(path.stat().st_size for path in FOLDER.glob("*.tflite"))
    assert served <= 15 * MEGABYTE


@pytest.mark.django_db
def test_it_is_activated_by_the_gates_or_with_stated_reasons(shipped):
    call_command("activate_model", NAME, verbosity=0)
    version = ModelVersion.objects.get(is_active=True)
    failed = {found.gate.name for found in gates.results(version) if not found.passed}
    assert failed == set(version.gate_overrides)


def test_it_refuses_what_shows_no_lungs(shipped):
    pipeline = Pipeline.of(shipped)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    for film in (np.zeros((300, 300), np.uint8), noise, synthetic_film("NORMAL", seed=0, size=300)):
        assert pipeline.run(film).scope_score > shipped.card["scope"]["threshold"]


@pytest.mark.parametrize(
    "document", ["README.md", "docs/doctors.md", "docs/doctors.zh-Hant.md", "docs/model-card.md"]
)
def test_documents_state_its_limits(document):
    card = json.loads((FOLDER / "card.json").read_text())
    text = (base.BASE_DIR / document).read_text()
    assert NAME in text
    for limit in (card["conformal"]["lower"], card["conformal"]["upper"]):
        assert f"{limit:.3f}" in text
    assert not re.search(r"mlcore/bundles/(?!" + NAME + r")pneumonia", text)
