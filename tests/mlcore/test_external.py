"""External evaluations: files of others beside a bundle, checked and shown in their own section."""

import copy
import datetime
import json
import re
import shutil

import pytest
from django.conf import settings as site
from django.core.management import CommandError, call_command
from django.utils import timezone

from mlcore import external, registry
from mlcore.models import Evaluation, ModelVersion
from tests.films import encode, synthetic_film

pytestmark = [
    pytest.mark.django_db,
    # Six films have no negative predictive value.
    pytest.mark.filterwarnings("ignore::mlcore.engine.metrics.UndefinedMetricWarning"),
]
SHIPPED = site.SHIPPED_MODEL
WHO = "Dr. Lin, another hospital"


@pytest.fixture
def version(tmp_path, settings) -> ModelVersion:
    """The shipped model, registered from a local copy of its bundle."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    folder = settings.BUNDLE_DIR / SHIPPED
    shutil.copytree(registry.folder_of(SHIPPED), folder)
    registry.forget_loaded()
    yield registry.register(folder)
    registry.forget_loaded()


@pytest.fixture
def content(version) -> dict:
    """What evaluate_model writes, with rounder figures."""
    card = version.card

    def counts(*numbers: int) -> dict:
        names = ("PNEUMONIA", "UNSURE", "NORMAL", "OUT_OF_SCOPE")
        return {name: {"count": n, "share": 0.99, "ci": [0, 1]} for name, n in zip(names, numbers)}  # noqa: B905

    return {
        "n": 150, "model": version.name, "bundle_sha256": version.bundle_sha256,
        "data": "Winter films", "measured_by": WHO, "date": "2026-03-04", "data_sha256": "ab" * 32,
        "auc": 0.971, "auc_ci": [0.95, 0.98], "accuracy": 0.9, "sensitivity": 0.96,
        "specificity": 0.81, "ppv": None, "npv": 0.9, "brier": 0.05, "ece": 0.07,
        "decision": {
            "rule": "three-valued-1",
            "lower": card["conformal"]["lower"], "upper": card["conformal"]["upper"],
            "called": {"PNEUMONIA": counts(90, 8, 2), "NORMAL": counts(5, 10, 35)},
            "shown": {"PNEUMONIA": counts(80, 8, 2, 10), "NORMAL": counts(5, 10, 30, 5)},
        },
        "unreadable": [{"file": "王小明.png", "error": "x"}],
    }  # fmt: skip


def drop(version, content, name="winter.json") -> None:
    folder = version.folder / "external"
    folder.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)


def take_in(version) -> external.Outcome:
    (outcome,) = external.take_in(version, version.folder)
    return outcome


def test_a_dropped_file_is_recorded_with_its_shares_counted_again(version, content):
    drop(version, content)
    assert take_in(version) == external.Outcome("winter.json", "recorded")
    row = version.evaluations.get(title="Winter films")
    assert (row.kind, row.origin, row.n) == ("external", "stated", 150)
    assert row.measured_on == datetime.date(2026, 3, 4)
    called = row.decision["called"]["PNEUMONIA"]["NORMAL"]
    assert (called["count"], called["share"]) == (2, 0.02), "not the stated 0.99"
    assert row.decision["ppv_at"]["0.2"]["value"] == pytest.approx(
        0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.1)
    )
    assert row.figures["measured_by"] == WHO
    assert "王小明" not in json.dumps(row.figures, ensure_ascii=False)
    assert take_in(version).state == "known"
    assert Evaluation.objects.filter(title="Winter films").count() == 1


def test_it_has_a_section_of_its_own_and_counts_for_the_gates(version, content, as_doctor):
    page = as_doctor.get(version.get_absolute_url()).content.decode()
    assert "External evaluations" not in page
    drop(version, content)
    call_command("take_in_external", version.name, verbosity=0)
    page = as_doctor.get(version.get_absolute_url()).content.decode()
    section = page[page.index('id="external"') :].split("</section>")[0]
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", section))
    for text in ("Winter films", "n = 150", WHO, "2026-03-04", "0.971", "2.0%", "0.810"):
        assert text in words
    answers = page[page.index('id="answers"') :].split("</section>")[0]
    assert "Winter films" not in answers
    from mlcore import gates

    values = {r.gate.name: r.value for r in gates.results(version)}
    assert values["well_called_pneumonia"] == pytest.approx(0.1)


def changed(content: dict, **changes) -> dict:
    return copy.deepcopy(content) | changes


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda c: "{", "unreadable"),
        (lambda c: "[]", "unreadable"),
        (lambda c: changed(c, bundle_sha256="0" * 64), "other bundle"),
        (lambda c: {k: v for k, v in c.items() if k != "measured_by"}, "incomplete"),
        (lambda c: changed(c, measured_by=" "), "invalid"),
        (lambda c: changed(c, data="x" * 121), "invalid"),
        (lambda c: changed(c, date="soon"), "invalid"),
        (lambda c: changed(c, date=str(timezone.localdate() + datetime.timedelta(9))), "invalid"),
        (lambda c: changed(c, data_sha256="ab"), "invalid"),
        (lambda c: changed(c, auc=1.2), "invalid"),
        (lambda c: changed(c, ece="low"), "invalid"),
        (lambda c: changed(c, n=151), "invalid"),
        (lambda c: changed(c, decision=3), "invalid"),
        (lambda c: changed(c, decision=c["decision"] | {"called": {}}), "invalid"),
        (lambda c: changed(c, decision=c["decision"] | {"lower": 0.1}), "other rule"),
        (lambda c: changed(c, decision=c["decision"] | {"rule": "x"}), "other rule"),
    ],
)
def test_others_are_refused_with_a_named_reason(version, content, change, code, capsys):
    drop(version, change(content))
    outcome = take_in(version)
    assert outcome.state == "refused"
    assert outcome.reason.startswith(f"{code}: ")
    assert not version.evaluations.filter(title="Winter films").exists()
    with pytest.raises(CommandError, match="Refused files: 1"):
        call_command("take_in_external")
    assert f"winter.json refused: {code}" in capsys.readouterr().out


def test_a_name_or_films_in_use_are_refused(version, content):
    drop(version, content)
    take_in(version)
    drop(version, changed(content, data_sha256="cd" * 32))
    assert take_in(version).reason.startswith("taken: 'Winter films'")
    drop(version, changed(content, data="Other name"))
    assert take_in(version).reason.startswith("taken: 'Winter films'")


def test_a_refused_file_keeps_no_model_from_being_registered(version, content):
    drop(version, "{", "a.json")
    drop(version, content, "b.json")
    registry.register(version.folder)
    assert version.evaluations.filter(title="Winter films").exists()


def test_a_file_of_evaluate_model_is_accepted_as_it_is(version, tmp_path):
    for label in ("NORMAL", "PNEUMONIA"):
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for seed in range(3):
            film = synthetic_film(label, seed=seed, size=224)
            (folder / f"{seed}.png").write_bytes(encode(film, "png"))
    (version.folder / "external").mkdir()
    call_command(
        "evaluate_model", data=tmp_path / "data", model=SHIPPED, data_name="Drawn",
        measured_by=WHO, json=version.folder / "external" / "drawn.json",
    )  # fmt: skip
    assert take_in(version).state == "recorded"
    assert version.evaluations.get(title="Drawn").measured_on == timezone.localdate()


@pytest.mark.parametrize("options", [{"data_name": "x"}, {"measured_by": " ", "json": "x.json"}])
def test_who_measured_needs_a_file_and_a_name(options, tmp_path):
    with pytest.raises(CommandError, match=r"needs (--json|at most)"):
        call_command("evaluate_model", data=tmp_path, **options)


def test_an_unknown_model_is_named():
    with pytest.raises(CommandError, match="no registered model named 'nobody'"):
        call_command("take_in_external", "nobody")
