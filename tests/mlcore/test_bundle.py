"""Bundles: verification, activation and use."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from mlcore import gates, inference, registry
from mlcore.engine.serving import bundle, golden
from mlcore.engine.serving.pipeline import OUTPUTS, Pipeline
from mlcore.engine.serving.runtime import OutputError, Session, SessionError
from mlcore.models import ModelVersion
from tests.films import encode, synthetic_film
from xraysite import checks

SHIPPED = "pneumonia-2"


OVERRIDES = [f"{name}=a copy for tests" for name in gates.NAMES]


@pytest.fixture
def bundles(tmp_path, settings):
    """A folder of bundles with a copy of the shipped one."""
    source = registry.folder_of(SHIPPED)
    shutil.copytree(source, tmp_path / SHIPPED)
    settings.BUNDLE_DIR = tmp_path
    settings.SHIPPED_BUNDLE_DIR = tmp_path / "shipped"
    registry.forget_loaded()
    yield tmp_path
    registry.forget_loaded()


@pytest.fixture
def film():
    return encode(synthetic_film("NORMAL", seed=1, size=256), "png")


def active(bundles) -> ModelVersion:
    call_command("activate_model", SHIPPED, override=OVERRIDES, verbosity=0)
    return ModelVersion.objects.get(is_active=True)


def test_shipped_bundle_is_valid_and_reproduces_its_golden_outputs():
    found = bundle.read(registry.folder_of(SHIPPED))
    assert bundle.missing_for_service(found.card) == []
    assert golden.check(found.folder, Pipeline.of(found).run) < golden.TOLERANCE
    assert found.card["population"]["age_years"] == [1, 5]
    for name in ("validation", "test"):
        assert found.card["metrics"][name]["n"] > 100


def test_activation_map_resolution():
    found = bundle.read(registry.folder_of(SHIPPED))
    output = Pipeline.of(found).run(golden.draw(0))
    # Like the last stage of a residual network (7x7 on ImageNet); a lung covers several cells.
    assert min(output.activation_map.shape) >= 8


@pytest.mark.parametrize("name", ["model.tflite", "model.keras", "golden.json", "history.csv"])
def test_altered_file_is_detected(bundles, name):
    with (bundles / SHIPPED / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(bundle.BundleError, match=f"{name} does not match the SHA-256"):
        bundle.read(bundles / SHIPPED)


def test_missing_file_is_detected(bundles):
    (bundles / SHIPPED / "golden.json").unlink()
    with pytest.raises(bundle.BundleError, match=r"golden\.json is missing"):
        bundle.read(bundles / SHIPPED)


def test_card_cannot_name_a_file_outside_the_bundle(bundles):
    path = bundles / SHIPPED / "card.json"
    card = json.loads(path.read_text())
    card["files"]["../secret"] = "0" * 64
    path.write_text(json.dumps(card))
    with pytest.raises(bundle.BundleError, match="outside the bundle"):
        bundle.read(bundles / SHIPPED)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format_version": 99}', "{"])
def test_invalid_card_is_refused(bundles, content):
    (bundles / SHIPPED / "card.json").write_text(content)
    with pytest.raises(bundle.BundleError, match=r"card\.json"):
        bundle.read(bundles / SHIPPED)


def test_different_golden_outputs_are_detected(bundles):
    found = bundle.read(bundles / SHIPPED)
    pipeline = Pipeline.of(found)

    def slightly_off(film):
        output = pipeline.run(film)
        return dataclasses.replace(output, probability=output.probability + 0.01)

    with pytest.raises(bundle.BundleError, match="differ from the golden outputs"):
        golden.check(found.folder, slightly_off)


def rewritten(bundles, *, card=None, files=None):
    """Write a valid copy of the shipped bundle with other card entries or files."""
    found = bundle.read(bundles / SHIPPED)
    kept = {key: found.card[key] for key in found.card if key not in {"files", "format_version"}}
    content = {name: (found.folder / name).read_bytes() for name in found.card["files"]}
    return bundle.write(bundles / "other", kept | (card or {}), content | (files or {})).folder


def test_rewritten_bundle_without_changes_loads(bundles):
    """Control for the next test: its bundles are refused for their change only."""
    assert registry.load(rewritten(bundles)).name == SHIPPED


@pytest.mark.parametrize(
    "change",
    [
        {"card": {"preprocessing": {"id": "not-yet-invented", "parameters": {}}}},
        {"card": {"preprocessing": {"id": "squash-equalise-1", "parameters": {"sharpen": 2}}}},
        {"card": {"input_size": 96}},
        {"files": {"golden.json": b"{}"}},
        {"files": {"golden.json": b"no JSON"}},
        {"files": {"golden.json": b'{"tolerance": 0.001, "cases": []}'}},
        {"files": {"golden.json": b'{"tolerance": 0.001, "cases": [{"film_png": "AAAA"}]}'}},
    ],
)
def test_bundle_that_cannot_be_served_is_reported_damaged(bundles, change):
    with pytest.raises(registry.ModelUnavailable) as error:
        registry.load(rewritten(bundles, **change))
    assert error.value.code == "damaged"


def test_unreadable_file_is_reported_damaged(bundles):
    (bundles / SHIPPED / "model.tflite").unlink()
    (bundles / SHIPPED / "model.tflite").mkdir()
    with pytest.raises(registry.ModelUnavailable) as error:
        registry.load(bundles / SHIPPED)
    assert error.value.code == "damaged"


def test_incomplete_bundle_is_not_written(tmp_path):
    with pytest.raises(bundle.BundleError, match="lacks"):
        bundle.write(tmp_path, {"name": "half"}, {"model.tflite": b"x"})
    assert list(tmp_path.iterdir()) == []


def test_bundle_is_not_overwritten(bundles):
    with pytest.raises(bundle.BundleError, match="already exists"):
        bundle.write(bundles, {"name": SHIPPED}, {})


def test_invalid_network_is_refused():
    with pytest.raises(SessionError):
        Session(b"not a network at all", outputs=OUTPUTS)


# --- Predictions with an unusable model ----------------------------------------------------


@pytest.mark.django_db
def test_damaged_active_bundle_is_set_aside_and_kept(bundles, film):
    version = active(bundles)
    registry.forget_loaded()
    with (bundles / SHIPPED / "model.tflite").open("ab") as file:
        file.write(b" ")
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "damaged"
    version.refresh_from_db()
    assert "model.tflite" in version.set_aside_reason
    assert (bundles / SHIPPED / "model.tflite").exists()


@pytest.mark.django_db
def test_missing_active_bundle_is_reported(bundles, film):
    active(bundles)
    registry.forget_loaded()
    shutil.rmtree(bundles / SHIPPED)
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "missing"


@pytest.mark.django_db
def test_exchanged_bundle_is_reported_damaged(bundles, film):
    active(bundles)
    exchanged = rewritten(bundles, card={"members": 7})
    shutil.rmtree(bundles / SHIPPED)
    exchanged.rename(bundles / SHIPPED)
    registry.forget_loaded()
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "damaged"


@pytest.mark.django_db
def test_invalid_output_raises(bundles, film, monkeypatch):
    active(bundles)

    def nan(self, pixels):
        raise OutputError("probability is not finite")

    monkeypatch.setattr(registry.LoadedModel, "run", nan)
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "invalid_output"


@pytest.mark.parametrize("output", ["probability", "activation_map", "scope_score"])
def test_nan_output_is_refused(bundles, output, monkeypatch):
    found = bundle.read(bundles / SHIPPED)
    session = Session(found.networks["model.tflite"], outputs=OUTPUTS)
    real = session._runner

    def poisoned(**inputs):
        return real(**inputs) | {output: np.full((1, 1, 1, 1), np.nan, np.float32)}

    session._runner = poisoned
    with pytest.raises(OutputError, match=f"{output} is not finite"):
        session.run(np.zeros(session.input_shape[1:], np.float32))


@pytest.mark.django_db
def test_slow_network_times_out(bundles, film, monkeypatch, settings):
    import time

    active(bundles)
    settings.INFERENCE_TIMEOUT_S = 0.05
    monkeypatch.setattr(registry.LoadedModel, "run", lambda self, pixels: time.sleep(0.5))
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "timeout"


@pytest.mark.django_db
def test_prediction_needs_an_active_model(film):
    with pytest.raises(inference.ModelUnavailable) as error:
        inference.predict(film)
    assert error.value.code == "inactive"


@pytest.mark.parametrize(
    ("key", "lack"),
    [
        ("threshold", "a threshold chosen on validation data"),
        ("calibration", "calibration figures"),
        ("scope", "a scope gate"),
        ("population", "the ages"),
    ],
)
@pytest.mark.django_db
def test_incomplete_model_is_not_activated(bundles, key, lack):
    path = bundles / SHIPPED / "card.json"
    card = json.loads(path.read_text())
    card[key] = {}
    path.write_text(json.dumps(card))
    with pytest.raises(CommandError, match=lack):
        call_command("activate_model", SHIPPED)
    assert not ModelVersion.objects.filter(is_active=True).exists()


@pytest.mark.django_db
def test_unknown_model_is_not_activated(bundles):
    with pytest.raises(CommandError, match="missing"):
        call_command("activate_model", "no-such-model")


@pytest.mark.django_db
def test_registering_does_not_change_the_active_model(bundles):
    version = active(bundles)
    unfit = rewritten(bundles, card={"threshold": {"value": 0.01, "chosen_on": "test"}})
    with pytest.raises(registry.NameInUse, match=SHIPPED):
        registry.register(unfit)
    assert registry.active_version().bundle_sha256 == version.bundle_sha256
    assert registry.register(bundles / SHIPPED) == version


@pytest.mark.django_db
def test_roll_back_activates_the_previous_model(bundles):
    first = active(bundles)
    shutil.copytree(bundles / SHIPPED, bundles / "second")
    path = bundles / "second" / "card.json"
    path.write_text(path.read_text().replace(f'"{SHIPPED}"', '"second"'))
    call_command("activate_model", "second", override=OVERRIDES, verbosity=0)
    assert registry.active_version().name == "second"
    assert registry.roll_back() == first
    assert registry.active_version() == first


@pytest.mark.parametrize(
    ("stated", "reasons"),
    [
        (inference.Stated(), ()),
        (inference.Stated(age_years=1), ()),
        (inference.Stated(age_years=5.9), ()),
        (inference.Stated(age_years=0.9), ("age",)),
        (inference.Stated(age_years=6), ("age",)),
        (inference.Stated(header_ages_differ=True), ("age",)),
        (inference.Stated(view="PA", modality="DX", body_part="CHEST"), ()),
        (inference.Stated(view="ll"), ("view",)),
        (inference.Stated(modality="CT"), ("modality",)),
        (inference.Stated(body_part="HAND", age_years=30), ("age", "body_part")),
    ],
)
def test_decision_rule(stated, reasons):
    card = bundle.read(registry.folder_of(SHIPPED)).card
    lower, upper = card["conformal"]["lower"], card["conformal"]["upper"]
    for probability, plain in (
        (upper, "PNEUMONIA"), (upper - 1e-6, "UNSURE"), (lower, "UNSURE"), (lower - 1e-6, "NORMAL"),
    ):  # fmt: skip
        label, why = inference.decide(
            card,
            probabilities={"NORMAL": 1 - probability, "PNEUMONIA": probability},
            scope_score=0.0,
            stated=stated,
        )
        assert why == reasons
        assert label == ("OUT_OF_SCOPE" if reasons else plain)


def test_image_alone_can_be_out_of_scope():
    card = bundle.read(registry.folder_of(SHIPPED)).card
    label, why = inference.decide(
        card,
        probabilities={"NORMAL": 0.0, "PNEUMONIA": 1.0},
        scope_score=card["scope"]["threshold"] + 0.01,
        stated=inference.Stated(),
    )
    assert (label, why) == ("OUT_OF_SCOPE", ("picture",))


@pytest.fixture
def trained_here(tmp_path, settings):
    """A site with the local bundle `mine` besides the shipped ones."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    shipped = bundle.read(registry.folder_of(SHIPPED))
    content = {name: (shipped.folder / name).read_bytes() for name in shipped.card["files"]}
    card = {key: value for key, value in shipped.card.items() if key != "files"}
    registry.forget_loaded()
    yield bundle.write(settings.BUNDLE_DIR, card | {"name": "mine"}, content).folder
    registry.forget_loaded()


@pytest.mark.django_db
def test_trained_and_shipped_models_are_both_found(trained_here, settings):
    for name in ("mine", SHIPPED):
        call_command("activate_model", name, override=OVERRIDES, verbosity=0)
        assert registry.active_model().name == name
        assert ModelVersion.objects.get(name=name).path == name, "the checkout may move"
    assert ModelVersion.objects.get(name="mine").folder == trained_here
    assert ModelVersion.objects.get(name=SHIPPED).folder == settings.SHIPPED_BUNDLE_DIR / SHIPPED


@pytest.mark.django_db
def test_model_trained_beside_the_shipped_ones_by_an_earlier_version_is_found(
    trained_here, settings, tmp_path
):
    version = registry.register(trained_here)
    settings.SHIPPED_BUNDLE_DIR, settings.BUNDLE_DIR = settings.BUNDLE_DIR, tmp_path / "new"
    assert registry.loaded_version(version).name == "mine"


@pytest.mark.django_db
def test_model_registered_elsewhere_keeps_its_absolute_path(trained_here, tmp_path, settings):
    elsewhere = trained_here.rename(tmp_path / "elsewhere")
    version = registry.register(elsewhere)
    assert version.path == str(elsewhere)
    assert version.folder == elsewhere


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["mine", SHIPPED])
def test_names_are_unique_over_both_folders(trained_here, tmp_path, name):
    with pytest.raises(CommandError, match=f"named '{name}' already exists in"):
        call_command("train_model", data=tmp_path, name=name, out=tmp_path / "out")


def test_bundle_that_hides_a_shipped_one_is_reported(trained_here, settings):
    assert checks.bundle_names_are_unique(None) == []
    trained_here.rename(trained_here.parent / SHIPPED)
    (warning,) = checks.bundle_names_are_unique(None)
    assert warning.id == "xraysite.W004"
    assert str(trained_here.parent / SHIPPED) in warning.msg
