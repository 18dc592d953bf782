"""Evaluations beside a card: from the bundle, from a supplement, and recorded with the command."""

import json
import shutil

import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command

from mlcore import evaluations, registry
from mlcore.engine.serving import bundle
from mlcore.models import Evaluation, ModelVersion
from tests.films import encode, synthetic_film

pytestmark = [
    pytest.mark.django_db,
    # Six films have no negative predictive value.
    pytest.mark.filterwarnings("ignore::mlcore.engine.metrics.UndefinedMetricWarning"),
]
SHIPPED = site.SHIPPED_MODEL


@pytest.fixture
def data(tmp_path):
    """A data set of six synthetic films."""
    for label in ("NORMAL", "PNEUMONIA"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for seed in range(3):
            film = synthetic_film(label, seed=seed, size=224)
            (folder / f"{label}-{seed}.png").write_bytes(encode(film, "png"))
    return tmp_path / "data"


def evaluate(data, **options) -> None:
    call_command("evaluate_model", data=data, model=SHIPPED, **options)


def test_the_shipped_model_brings_its_evaluations(active_model):
    found = {row.title: row for row in active_model.evaluations.all()}
    assert set(found) == {
        "validation", "test", "Official test split", "Official test split, half",
    }  # fmt: skip
    half = found["Official test split, half"]
    assert (half.n, half.kind, half.origin) == (318, "external", "measured")
    called = half.decision["called"]
    assert {result: row["count"] for result, row in called["NORMAL"].items()} == {
        "PNEUMONIA": 18, "UNSURE": 35, "NORMAL": 70,
    }  # fmt: skip
    assert {result: row["count"] for result, row in called["PNEUMONIA"].items()} == {
        "PNEUMONIA": 190, "UNSURE": 5, "NORMAL": 0,
    }  # fmt: skip
    whole = found["Official test split"]
    assert (whole.origin, whole.decision) == ("stated", None)
    assert round(whole.figures["specificity"], 3) == 0.684
    assert whole.figures["ece"] == 0.169


def test_no_shipped_evaluation_is_on_films_that_the_model_was_trained_on(active_model):
    trained = evaluations.trained_on(active_model.folder)
    assert len(trained) > 4600
    assert active_model.evaluations.filter(kind="external").count() == 2


def test_evaluate_model_writes_and_prints_the_rule(active_model, data, tmp_path, capsys):
    evaluate(data, json=tmp_path / "out.json", prevalence=[0.1])
    printed = capsys.readouterr().out
    assert "Rule of decision: NORMAL below 0.5093, PNEUMONIA from 0.9510, UNSURE between" in printed
    assert "films labelled PNEUMONIA, n = 3" in printed
    assert "at prevalence 0.1" in printed
    assert "  ranking threshold  0.7360" in printed
    figures = json.loads((tmp_path / "out.json").read_text())
    called = figures["decision"]["called"]["NORMAL"]
    assert sum(row["count"] for row in called.values()) == 3
    assert set(figures["decision"]["ppv_at"]) == set(figures["decision"]["npv_at"]) == {"0.1"}
    assert figures["threshold"] == active_model.card["threshold"]["value"]
    assert not Evaluation.objects.filter(version=active_model, n=6).exists()


def test_recorded_figures_are_shown_on_the_card(active_model, data, tmp_path, as_doctor):
    supplement = tmp_path / "sup.json"
    evaluate(data, record="Drawn films", note="Six of them", supplement=supplement)
    row = Evaluation.objects.get(title="Drawn films")
    assert (row.version, row.n, row.note) == (active_model, 6, "Six of them")
    page = as_doctor.get(active_model.get_absolute_url()).content.decode()
    assert "Drawn films" in page
    assert "Six of them" in page
    assert row.data_sha256[:12] in page
    (entry,) = evaluations.read_supplement(supplement, sha256=active_model.bundle_sha256)
    assert entry["figures"] == row.figures

    evaluate(data, record="Drawn films")
    assert Evaluation.objects.filter(n=6).count() == 1, "measured again, it is the same row"


def test_the_same_title_for_other_films_is_refused(active_model, data):
    evaluate(data, record="Drawn films")
    film = synthetic_film("NORMAL", seed=9, size=224)
    (data / "NORMAL" / "more.png").write_bytes(encode(film, "png"))
    with pytest.raises(CommandError, match="already has an evaluation with the title"):
        evaluate(data, record="Drawn films")


def test_films_that_the_model_was_trained_on_are_not_recorded(active_model, data, monkeypatch):
    from mlcore.engine.data import dataset

    film = synthetic_film("NORMAL", seed=0, size=224)
    monkeypatch.setattr(evaluations, "trained_on", lambda _: {dataset.pixels_sha256(film)})
    with pytest.raises(CommandError, match="1 of these films are among those"):
        evaluate(data, record="Drawn films")
    assert not Evaluation.objects.filter(title="Drawn films").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"note": "x"}, "--note needs --record"),
        ({"record": "x", "split": "test"}, "not --split"),
        ({"record": " "}, "needs a title"),
        ({"record": "x" * 121}, "at most 120"),
        ({"prevalence": [1.0]}, "between 0 and 1"),
    ],
)
def test_nonsense_is_refused_before_a_film_is_read(options, said, tmp_path):
    with pytest.raises(CommandError, match=said):
        evaluate(tmp_path / "no-such-data", **options)


@pytest.fixture
def copied(tmp_path, settings):
    """A local copy of the shipped bundle, without its supplement."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    folder = settings.BUNDLE_DIR / SHIPPED
    shutil.copytree(registry.folder_of(SHIPPED), folder)
    registry.forget_loaded()
    yield folder
    registry.forget_loaded()


def entry(**changes) -> dict:
    return {
        "title": "Elsewhere", "kind": "external", "origin": "stated", "n": 10, "data_sha256": "",
        "measured_on": "2026-01-02", "note": "", "figures": {"auc": 0.9},
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not valid JSON"),
        ({"bundle_sha256": "0" * 64, "evaluations": []}, "be of bundle"),
        ({"evaluations": [entry(kind="test")]}, "Invalid evaluation"),
        ({"evaluations": [entry(n="ten")]}, "Invalid evaluation"),
        ({"evaluations": [entry(measured_on="soon")]}, "Invalid evaluation"),
        ({"evaluations": [{"title": "x"}]}, "Invalid evaluation"),
        ({"evaluations": 3}, "cannot be read"),
    ],
)
def test_a_damaged_supplement_is_refused_and_registers_nothing(copied, content, said):
    if isinstance(content, dict):
        sha256 = bundle.read(copied).sha256
        content = json.dumps({"format_version": 1, "bundle_sha256": sha256} | content)
    evaluations.supplement_of(copied).write_text(content)
    with pytest.raises(registry.ModelUnavailable, match=said):
        registry.register(copied)
    assert not ModelVersion.objects.exists()


def test_a_supplement_of_a_later_release_is_taken_in(copied):
    version = registry.register(copied)
    assert version.evaluations.count() == 2
    content = {
        "format_version": 1, "bundle_sha256": version.bundle_sha256, "evaluations": [entry()],
    }  # fmt: skip
    evaluations.supplement_of(copied).write_text(json.dumps(content))
    call_command("migrate", verbosity=0)
    assert version.evaluations.get(kind="external").figures == {"auc": 0.9}
