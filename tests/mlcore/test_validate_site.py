"""The command `validate_site`: figures of a site, and a model derived for it."""

import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from mlcore import evaluations, gates, registry
from mlcore.engine.serving import bundle, golden
from mlcore.engine.serving.calibration import Calibration, film_log_odds
from mlcore.models import ModelVersion
from mlcore.registry import LoadedModel
from tests.mlcore.site_data import answer_by_brightness, write_site

pytestmark = pytest.mark.django_db
SITE = "大林 clinic"
NAME = "pneumonia-2-大林-clinic"


@pytest.fixture
def answers(active_model, monkeypatch, tmp_path, settings):
    """The active model answers by brightness; films of a site; an empty folder of bundles."""
    calibration = Calibration.from_card(active_model.card["calibration"])
    monkeypatch.setattr(LoadedModel, "run", answer_by_brightness(calibration))
    settings.BUNDLE_DIR = tmp_path / "bundles"
    registry.forget_loaded()
    yield tmp_path
    registry.forget_loaded()


def validate(folder, **options) -> dict:
    out = folder / "site.json"
    call_command("validate_site", data=folder / "data", name=SITE, json=out, **options)
    return json.loads(out.read_text())


def test_the_figures_of_the_site_are_measured_and_nothing_is_registered(answers, capsys):
    write_site(answers / "data", 30)
    found = validate(answers, half_width=0.1)
    assert found["n"] == 60
    assert found["n_by_label"] == {"NORMAL": 30, "PNEUMONIA": 30}
    assert found["site"] == SITE
    for key in ("auc", "accuracy", "sensitivity", "specificity", "ece"):
        assert found[key] is not None
        assert len(found[f"{key}_ci"]) == 2
    called = found["decision"]["called"]["NORMAL"]
    assert sum(row["count"] for row in called.values()) == 30
    # The model is far too sure of pneumonia here.
    assert found["specificity"] < 0.5
    by_name = {row["gate"]: row for row in found["gates"]}
    assert set(by_name) == set(gates.NAMES)
    assert by_name["well_called_pneumonia"]["status"] == "failed"
    assert by_name["well_called_pneumonia"]["measured_on"] == "site"
    assert by_name["auc"]["value"] == found["auc_ci"][0]
    assert by_name["test_films"]["value"] == 60
    assert by_name["lungs_masked"]["measured_on"] == "card"
    assert found["sample_size"]["specificity"]["half_width"] == 0.1
    assert (answers / "site.png").read_bytes().startswith(b"\x89PNG")
    assert sum(row["n"] for row in found["reliability"]) == 60
    printed = capsys.readouterr().out
    assert "specificity within ±0.1 needs" in printed
    assert ModelVersion.objects.count() == 1


def test_a_derived_model_has_the_same_networks_and_its_own_limits(answers, active_model):
    write_site(answers / "data", 62)
    found = validate(answers, fit=True)
    version = ModelVersion.objects.get(name=NAME)
    card = version.card
    assert not version.is_active
    assert card["derived"]["from"] == active_model.name
    assert card["derived"]["bundle_sha256"] == active_model.bundle_sha256
    assert card["derived"]["site"] == SITE
    assert card["derived"]["n"] == {"NORMAL": 62, "PNEUMONIA": 62}
    for name in ("model.tflite", "model.keras"):
        assert card["files"][name] == active_model.card["files"][name]
    assert card["metrics"]["test"] == found["fit"]["metrics"]
    assert found["fit"]["metrics"]["ece"] < 0.15 < found["ece"]
    assert found["fit"]["metrics"]["specificity"] > 0.7 > found["specificity"]
    assert card["calibration"]["network"]["bias"] == active_model.card["calibration"]["bias"]
    assert bundle.missing_for_service(card) == []


def test_the_derived_model_reads_as_its_card_says(answers, monkeypatch):
    write_site(answers / "data", 62)
    validate(answers, fit=True)
    monkeypatch.undo()
    version = ModelVersion.objects.get(name=NAME)
    folder = answers / "bundles" / NAME
    loaded = registry.load(folder, sha256=version.bundle_sha256)
    base = registry.load(registry.folder_of("pneumonia-2"))
    film = golden.draw(7)
    derived, original = loaded.run(film), base.run(film)
    np.testing.assert_array_equal(derived.activation_map, original.activation_map)
    assert derived.scope_score == original.scope_score
    calibration = Calibration.from_card(version.card["calibration"])
    expected = calibration.probabilities(film_log_odds(original.activation_map))
    assert derived.probability == pytest.approx(float(expected), abs=1e-9)
    assert abs(derived.probability - original.probability) > 0.01
    # A site's version that ignores the derived calibration refuses the bundle.
    with pytest.raises(bundle.BundleError, match="differ from the golden outputs"):
        golden.check(folder, base.run)


def test_the_derived_model_passes_the_activation_gates_or_is_refused(answers, as_doctor):
    write_site(answers / "data", 62)
    validate(answers, fit=True)
    with pytest.raises(CommandError, match="validation_films"):
        call_command("activate_model", NAME, confirm_uncompared=True, verbosity=0)
    version = ModelVersion.objects.get(name=NAME)
    page = as_doctor.get(version.get_absolute_url()).content.decode()
    assert "Fitted to a site" in page
    assert SITE in page
    assert "Site&#x27;s X-rays, cross-fitted" in page or "Site's X-rays, cross-fitted" in page
    row = version.evaluations.get()
    assert (row.kind, row.n) == ("validation", 124)
    assert row.measured_on.isoformat() == version.card["derived"]["date"]


def test_no_film_of_the_site_or_of_the_training_counts_as_unseen(answers, active_model):
    write_site(answers / "data", 62)
    validate(answers, fit=True)
    version = ModelVersion.objects.get(name=NAME)
    seen = evaluations.trained_on(version.folder)
    assert len(seen) == 124 + len(evaluations.trained_on(active_model.folder))
    with pytest.raises(CommandError, match="124 of these films"):
        call_command("evaluate_model", data=answers / "data", model=NAME, record="the same again")


def test_too_few_films_keep_the_figures_but_derive_nothing(answers):
    write_site(answers / "data", 20)
    with pytest.raises(CommandError, match=r"No model was derived.*at least 49"):
        validate(answers, fit=True)
    assert json.loads((answers / "site.json").read_text())["n"] == 40
    assert ModelVersion.objects.count() == 1
    assert list((answers / "bundles").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": " "}, "--name needs"),
        ({"half_width": 0.5}, "--half-width must be"),
        ({"bundle": "x"}, "need --fit"),
        ({"fit": True, "bundle": "a/b"}, "may only contain"),
        ({"fit": True, "bundle": "pneumonia-2"}, "already exists.*--bundle pneumonia-3"),
        ({"json": "/nowhere/x.json"}, "is not a folder"),
    ],
)
def test_what_cannot_work_is_refused_before_a_film_is_read(answers, options, said):
    from pathlib import Path

    if "json" in options:
        options["json"] = Path(options["json"])
    with pytest.raises(CommandError, match=said):
        call_command("validate_site", data=answers / "no", **{"name": SITE} | options)


def test_a_missing_label_is_named(answers):
    write_site(answers / "data", 2)
    for path in (answers / "data" / "PNEUMONIA").iterdir():
        path.write_bytes(b"no film")
    with pytest.raises(CommandError, match="no readable film of: PNEUMONIA"):
        validate(answers)
