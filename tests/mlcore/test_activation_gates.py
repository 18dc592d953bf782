"""Activation gates, folders that are no class, and populations that are not stated."""

import dataclasses
import json
import shutil

import pytest
from django.core.management import CommandError, call_command

from mlcore import gates, inference, registry
from mlcore.engine.data import dataset, population, public_set
from mlcore.engine.evaluation import plots
from mlcore.engine.serving import bundle, golden
from mlcore.engine.serving.pipeline import Pipeline
from mlcore.models import ModelVersion
from tests.films import write_dataset

SHIPPED = "pneumonia-2"


@pytest.fixture
def weak(tmp_path, settings):
    """A copy of the shipped bundle whose card states a poor AUC and no shortcut probes."""
    folder = tmp_path / "bundles" / "weak"
    shutil.copytree(registry.folder_of(SHIPPED), folder)
    card = json.loads((folder / "card.json").read_text())
    card |= {"name": "weak", "shortcuts": None}
    card["metrics"]["test"] |= {"auc": 0.524, "auc_ci": [0.2, 0.8]}
    (folder / "card.json").write_text(json.dumps(card))
    settings.BUNDLE_DIR = folder.parent
    registry.forget_loaded()
    yield folder
    registry.forget_loaded()


@pytest.mark.django_db
def test_a_weak_model_is_not_activated_without_a_reason_for_each_gate(weak, capsys):
    with pytest.raises(CommandError, match=r"--override auc=.*lungs_masked.*frame_alone"):
        call_command("activate_model", "weak")
    assert registry.active_version() is None
    listed = capsys.readouterr().out
    assert all(name in listed for name in gates.NAMES)
    assert "not measured" in listed
    reasons = {"auc": "a trial", "lungs_masked": "a trial", "frame_alone": "a trial"}
    stated = [f"{name}={reason}" for name, reason in reasons.items()]
    call_command("activate_model", "weak", override=stated, verbosity=0)
    assert ModelVersion.objects.get(is_active=True).gate_overrides == reasons


@pytest.mark.django_db
@pytest.mark.parametrize("stated", ["auc=", "nosuch=why", "auc"])
def test_an_override_needs_a_gate_and_a_reason(weak, stated):
    with pytest.raises(CommandError, match=r"Give a reason|Unknown gates|must be GATE=REASON"):
        call_command("activate_model", "weak", override=[stated], verbosity=0)


@pytest.mark.django_db
def test_shipped_overrides_are_needed_and_kept():
    call_command("activate_model", SHIPPED, verbosity=0)
    version = registry.active_version()
    failed = {r.gate.name for r in gates.results(version) if not r.passed}
    assert set(version.gate_overrides) == failed
    assert "lungs_masked" in failed


@pytest.mark.django_db
def test_settings_make_gates_only_stricter(weak, settings):
    settings.ACTIVATION_FLOORS = {"auc": 0.5}
    with pytest.raises(CommandError, match="may only be stricter"):
        call_command("activate_model", "weak", verbosity=0)


def test_a_bundle_cannot_bring_its_own_golden_tolerance(tmp_path):
    found = bundle.read(registry.folder_of(SHIPPED))
    content = json.loads((found.folder / "golden.json").read_text()) | {"tolerance": 1e9}
    (tmp_path / "golden.json").write_text(json.dumps(content))
    pipeline = Pipeline.of(found)

    def different(film):
        output = pipeline.run(film)
        return dataclasses.replace(output, scope_score=output.scope_score + 5)

    with pytest.raises(bundle.BundleError, match="differ from the golden outputs"):
        golden.check(tmp_path, different)


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["audit_dataset", "evaluate_model"])
def test_other_folders_stop_a_command_unless_ignored(tmp_path, command):
    root = write_dataset(tmp_path / "set", per_class=2, size=96)
    parent = next(path for path in root.rglob("NORMAL")).parent
    (parent / "COVID").mkdir()
    with pytest.raises(CommandError, match=r"COVID.*--ignore-folder COVID"):
        call_command(command, data=root)
    assert dataset.find_files(root, ignored=["COVID"])


def test_films_of_unknown_origin_are_not_the_public_set(tmp_path):
    manifest = dataset.scan(write_dataset(tmp_path, per_class=2, size=96), measured=False)
    assert not public_set.check(manifest).is_part
    with pytest.raises(CommandError, match="not the complete public set"):
        call_command("check_dataset", data=tmp_path)


def test_a_model_without_a_stated_population_gives_no_label(shipped_bundle):
    card = shipped_bundle.card | {"population": population.NOT_STATED}
    assert "the ages it was validated on" in bundle.missing_for_service(card)
    label, reasons = inference.decide(
        card=card,
        probabilities={"NORMAL": 0.0, "PNEUMONIA": 1.0},
        scope_score=0.0,
        stated=inference.Stated(),
    )
    assert (label, reasons) == ("OUT_OF_SCOPE", ("population",))


def test_predict_image_fails_if_every_file_failed(tmp_path):
    path = tmp_path / "text.png"
    path.write_text("no film")
    with pytest.raises(CommandError, match="None of the files"):
        call_command("predict_image", path, model=SHIPPED)


@pytest.mark.parametrize(
    "option", [{"image_size": -16}, {"image_size": 100}, {"out": "/proc/nowhere"}]
)
def test_wrong_training_options_are_refused_before_a_film_is_read(tmp_path, option, monkeypatch):
    monkeypatch.setattr(dataset, "scan", lambda *_, **__: pytest.fail("a film was read"))
    arguments = [f"--{k.replace('_', '-')}={v}" for k, v in option.items()]
    with pytest.raises(CommandError, match=r"multiple of 16|cannot be written"):
        call_command("train_model", "--data", tmp_path, "--name", "x", *arguments)


def test_an_unknown_architecture_is_refused_with_the_choices(tmp_path):
    with pytest.raises(CommandError, match="resnet_small"):
        call_command("train_model", "--data", tmp_path, "--name", "x", "--arch", "nosuch")


def test_curves_are_drawn_after_one_epoch():
    pytest.importorskip("matplotlib")
    from types import SimpleNamespace

    result = SimpleNamespace(
        epoch=1, loss=0.6, val_loss=0.7, accuracy=0.5, val_accuracy=0.6, auc=0.7, val_auc=0.8
    )
    assert plots.curves([[result]]).startswith(b"\x89PNG")
