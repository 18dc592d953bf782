"""Models in the admin: ML staff activate and compare them, supervisors view them."""

import html
import re
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from accounts import roles, services
from accounts.models import AuditEntry
from mlcore import gates, registry
from mlcore.models import ModelVersion
from tests.conftest import signed_in
from tests.mlcore.model_cards import early_card, full_card, predictions, write_bundle

pytestmark = pytest.mark.django_db

LIST = "/admin/mlcore/modelversion/"
ROLL_BACK = f"{LIST}roll-back/"


@pytest.fixture
def other_model(active_model, tmp_path) -> ModelVersion:
    """A second valid model with its predictions for single films."""
    return write_bundle(tmp_path, full_card("pneumonia-9"), predictions_csv=predictions())


@pytest.fixture
def third_model(active_model, tmp_path) -> ModelVersion:
    return write_bundle(tmp_path, full_card("pneumonia-10"), predictions_csv=predictions(0.5))


def messages_of(response) -> str:
    """Return the messages on the page."""
    return " ".join(str(message) for message in response.context["messages"])


REASONS = dict.fromkeys(gates.NAMES, "a copy for tests")
CONFIRMED = {"confirm_uncompared": "on"}
FORM = {f"override_{name}": reason for name, reason in REASONS.items()} | CONFIRMED


REASONS_ONLY = {name: text for name, text in FORM.items() if name.startswith("override_")}


def text_of(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode())))


def activate(version: ModelVersion) -> str:
    return f"{LIST}{version.pk}/activate/"


def compare(browser: Client, first: ModelVersion, second: ModelVersion) -> str:
    response = browser.get(f"{LIST}compare/?first={first.pk}&second={second.pk}")
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def test_list_shows_the_main_metrics(active_model, as_supervisor):
    page = as_supervisor.get(LIST).content.decode()
    # AUC; 10 of 392 with pneumonia called normal; 1 of 135 without called pneumonia; 29 of 527.
    for shown in ("0.993", "0.026", "0.007", "0.055"):
        assert f">{shown}<" in page
    assert active_model.bundle_sha256[:12] in page


def test_model_page_shows_the_card_not_json(other_model, as_supervisor):
    page = as_supervisor.get(f"{LIST}{other_model.pk}/change/").content.decode()
    assert "False negatives: pneumonia classified as normal" in page
    assert 'id="chart-roc"' in page
    assert "&quot;labels&quot;" not in page
    assert "js/models.js" in page
    assert 'name="name"' not in page, "no field can be edited"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page)


def test_ml_staff_see_only_models_in_the_admin(reading, as_ml_engineer):
    page = as_ml_engineer.get("/admin/").content.decode()
    assert "/admin/mlcore/modelversion/" in page
    for other in ("diagnosis/reading", "accounts/user", "accounts/auditentry", "forum/report"):
        assert reverse(f"admin:{other.replace('/', '_')}_changelist") == f"/admin/{other}/"
        assert f"/admin/{other}" not in page
    assert reading.patient_name not in page
    assert as_ml_engineer.get("/admin/diagnosis/reading/").status_code == 403
    assert as_ml_engineer.get(f"/admin/diagnosis/reading/{reading.pk}/change/").status_code == 403


def test_new_ml_staff_can_enter_the_admin(db):
    for role in roles.PERMISSIONS:
        account = services.create_account(
            email=f"{role}@example.org", display_name=role, password="x" * 20, role=role
        )
        assert account.is_staff == (role != roles.DOCTOR)


def test_migration_lets_existing_ml_staff_enter_the_admin(ml_engineer, doctor):
    import importlib

    ml_engineer.is_staff = False
    ml_engineer.save()
    migration = importlib.import_module("accounts.migrations.0003_ml_staff_in_admin")
    migration.let_ml_staff_in(apps, None)
    ml_engineer.refresh_from_db()
    doctor.refresh_from_db()
    assert (ml_engineer.is_staff, doctor.is_staff) == (True, False)


def test_activation_asks_for_confirmation_and_is_recorded(
    active_model, other_model, as_ml_engineer, ml_engineer
):
    page = as_ml_engineer.get(activate(other_model)).content.decode()
    assert "instead of" in page
    assert registry.active_version() == active_model, "a GET changed the active model"
    page = as_ml_engineer.post(activate(other_model), CONFIRMED, follow=True).content.decode()
    assert "Give a reason for each gate" in page
    assert 'name="override_lungs_masked"' in page
    assert registry.active_version() == active_model, "a gate was passed over without a reason"
    response = as_ml_engineer.post(activate(other_model), FORM, follow=True)
    assert messages_of(response) == "pneumonia-9 is now the active model."
    assert registry.active_version() == other_model
    rows = AuditEntry.objects.get_for_model(ModelVersion).filter(actor=ml_engineer)
    changed = {row.object_repr: row.changes["is_active"] for row in rows}
    assert changed == {"pneumonia-9": ["False", "True"], active_model.name: ["True", "False"]}
    page = as_ml_engineer.get(f"{LIST}{other_model.pk}/change/").content.decode()
    table = page[page.index("Activation history (from the audit log)") :].split("</table>")[0]
    assert ml_engineer.display_name in table
    assert table.count("<tr>") == 2, "the heading and one activation"


def test_a_worse_model_is_activated_only_if_that_is_confirmed(
    other_model, third_model, as_ml_engineer
):
    registry.activate(third_model, overrides=REASONS)
    page = text_of(as_ml_engineer.get(activate(other_model)))
    assert "pneumonia-9 is worse than pneumonia-10: on the same 120 test-set X-rays" in page
    assert "Activate this model although it is worse than the active one." in page
    # FORM confirms something else.
    refused = as_ml_engineer.post(activate(other_model), FORM)
    assert "Confirm that you want to activate a model that is worse" in messages_of(refused)
    assert "a copy for tests" in refused.content.decode(), "the reasons are lost"
    assert registry.active_version() == third_model
    as_ml_engineer.post(activate(other_model), FORM | {"confirm_worse": "on"})
    assert registry.active_version() == other_model
    # The better one needs no confirmation.
    assert "confirm_" not in as_ml_engineer.get(activate(third_model)).content.decode()
    as_ml_engineer.post(activate(third_model), REASONS_ONLY)
    assert registry.active_version() == third_model


def test_a_model_that_cannot_be_compared_is_activated_only_if_that_is_confirmed(
    active_model, other_model, as_ml_engineer
):
    page = text_of(as_ml_engineer.get(activate(other_model)))
    assert "The test X-rays that both models were evaluated on do not include both labels." in page
    assert f"not known whether pneumonia-9 is worse than {active_model.name}" in page
    for sent in (REASONS_ONLY, REASONS_ONLY | {"confirm_worse": "on"}):
        refused = as_ml_engineer.post(activate(other_model), sent)
        assert "that cannot be compared with the active one" in messages_of(refused)
        assert registry.active_version() == active_model
    as_ml_engineer.post(activate(other_model), FORM)
    assert registry.active_version() == other_model


def test_roll_back_to_a_worse_model_asks_once(other_model, third_model, as_ml_engineer):
    registry.activate(other_model, overrides=REASONS)
    registry.activate(third_model, overrides=REASONS)
    page = text_of(as_ml_engineer.get(ROLL_BACK))
    assert "pneumonia-9 is worse than pneumonia-10" in page
    sent = {"expected": other_model.pk}
    refused = as_ml_engineer.post(ROLL_BACK, sent)
    assert "Confirm that you want to activate a model that is worse" in messages_of(refused)
    assert "Roll back to the previous model" in refused.content.decode()
    assert registry.active_version() == third_model
    answer = as_ml_engineer.post(ROLL_BACK, sent | {"confirm_worse": "on"}, follow=True)
    assert "pneumonia-9 is now the active model" in messages_of(answer)


def test_roll_back_to_a_model_that_cannot_be_compared_says_so_and_asks_nothing(
    active_model, other_model, as_ml_engineer
):
    registry.activate(other_model, overrides=REASONS)
    page = as_ml_engineer.get(ROLL_BACK)
    assert f"not known whether {active_model.name} is worse than pneumonia-9" in text_of(page)
    assert "confirm_" not in page.content.decode()


@pytest.mark.parametrize(
    ("first", "second", "option", "said"),
    [
        ("third_model", "other_model", "confirm_worse", r"on the same 120 test films its AUC is"),
        ("active_model", "other_model", "confirm_uncompared", "do not include both labels"),
    ],
)
def test_the_command_asks_the_same_questions(first, second, option, said, request):
    first, second = (request.getfixturevalue(name) for name in (first, second))
    registry.activate(first, overrides=REASONS)
    stated = [f"{name}={reason}" for name, reason in REASONS.items()]
    both = {"confirm_worse", "confirm_uncompared"}
    for wrong in ({}, dict.fromkeys(both - {option}, True)):
        with pytest.raises(CommandError, match=rf"{said}.*--{option.replace('_', '-')}"):
            call_command("activate_model", second.name, override=stated, verbosity=0, **wrong)
        assert registry.active_version() == first
    call_command("activate_model", second.name, override=stated, verbosity=0, **{option: True})
    assert registry.active_version() == second


def test_roll_back_asks_for_confirmation_and_runs_once(
    active_model, other_model, as_ml_engineer, ml_engineer
):
    registry.activate(other_model, overrides=REASONS)
    page = as_ml_engineer.get(ROLL_BACK).content.decode()
    assert f'name="expected" value="{active_model.pk}"' in page
    sent = {"expected": active_model.pk}
    answer = messages_of(as_ml_engineer.post(ROLL_BACK, sent, follow=True))
    assert f"{active_model.name} is now the active model" in answer
    assert registry.active_version() == active_model
    assert AuditEntry.objects.get_for_model(ModelVersion).filter(actor=ml_engineer).count() == 2
    again = messages_of(as_ml_engineer.post(ROLL_BACK, sent, follow=True))
    assert "another model has been activated in the meantime" in again
    assert registry.active_version() == active_model


def test_roll_back_without_an_earlier_model_gives_a_message(active_model, as_ml_engineer):
    for response in (
        as_ml_engineer.get(ROLL_BACK, follow=True),
        as_ml_engineer.post(ROLL_BACK, follow=True),
    ):
        assert "no previously active model" in messages_of(response)
    assert ROLL_BACK not in as_ml_engineer.get(LIST).content.decode()


def test_supervisors_cannot_activate_models(active_model, other_model, as_supervisor):
    for address in (activate(other_model), ROLL_BACK):
        assert as_supervisor.get(address).status_code == 403
        assert as_supervisor.post(address).status_code == 403
        assert address not in as_supervisor.get(LIST).content.decode()
    page = as_supervisor.get(f"{LIST}{other_model.pk}/change/").content.decode()
    assert activate(other_model) not in page
    assert registry.active_version() == active_model


def test_damaged_missing_and_incomplete_bundles_are_refused_with_a_message(
    active_model, other_model, third_model, as_ml_engineer
):
    with (other_model.folder / "model.tflite").open("ab") as file:
        file.write(b" ")
    assert "damaged" in messages_of(as_ml_engineer.post(activate(other_model), FORM, follow=True))
    ModelVersion.objects.filter(pk=third_model.pk).update(path="nowhere")
    assert "files are missing" in messages_of(
        as_ml_engineer.post(activate(third_model), FORM, follow=True)
    )
    incomplete = ModelVersion.objects.create(
        name="incomplete", bundle_sha256="1" * 64, path="x", card=third_model.card | {"scope": {}}
    )
    refused = messages_of(as_ml_engineer.post(activate(incomplete), CONFIRMED, follow=True))
    assert "lacks information that is required" in refused
    assert "a scope gate" in refused
    assert registry.active_version() == active_model


def test_concurrent_activation_gives_a_message(
    active_model, other_model, as_ml_engineer, monkeypatch
):
    def taken(version, *, overrides):
        raise IntegrityError("mlcore_one_active_model")

    monkeypatch.setattr(registry, "activate", taken)
    assert "in the meantime" in messages_of(
        as_ml_engineer.post(activate(other_model), FORM, follow=True)
    )


def test_active_and_unknown_models_are_not_activated(active_model, as_ml_engineer):
    assert "already active" in messages_of(as_ml_engineer.post(activate(active_model), follow=True))
    assert as_ml_engineer.post(f"{LIST}999/activate/").status_code == 404
    assert as_ml_engineer.put(activate(active_model)).status_code == 405


def test_two_models_are_compared_on_the_same_films(other_model, third_model, as_supervisor):
    chosen = {"action": "compare_chosen", "_selected_action": [other_model.pk, third_model.pk]}
    response = as_supervisor.post(LIST, chosen)
    assert response.headers["Location"].endswith(
        f"compare/?first={other_model.pk}&second={third_model.pk}"
    )
    text = compare(as_supervisor, other_model, third_model)
    assert "evaluated on the same 120 test-set X-rays, 80 of them with pneumonia" in text
    assert "pneumonia-10 has the higher AUC on these X-rays" in text
    assert "McNemar's exact test, 80 X-rays" in text
    assert "McNemar's exact test, 40 X-rays" in text
    assert "pneumonia-10 has the higher AUC on these X-rays" in compare(
        as_supervisor, third_model, other_model
    )
    same = compare(as_supervisor, other_model, third_model)
    assert same == text, "the figures are reproducible"


def test_equal_models_are_not_called_different(active_model, tmp_path, as_supervisor):
    pair = [
        write_bundle(tmp_path, full_card(name), predictions_csv=predictions())
        for name in ("first", "second")
    ]
    assert "The AUCs do not differ significantly on these X-rays" in compare(as_supervisor, *pair)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_comparison_asks_for_two_models(
    count, active_model, other_model, third_model, as_supervisor
):
    keys = [active_model.pk, other_model.pk, third_model.pk][:count]
    sent = {"action": "compare_chosen", "_selected_action": keys, "index": "0"}
    response = as_supervisor.post(LIST, sent, follow=True)
    assert response.status_code == 200
    if count:
        assert messages_of(response) == "Choose two models to compare."
    else:  # said by Django
        assert "Items must be selected" in messages_of(response)


@pytest.mark.parametrize("query", ["?first=1&second=1", "?first=x&second=", "?first=1&second=99"])
def test_invalid_pair_asks_for_two_models(query, active_model, as_supervisor):
    query = query.replace("=1", f"={active_model.pk}")
    response = as_supervisor.get(f"{LIST}compare/{query}")
    assert response.status_code == 200
    assert messages_of(response) == "Choose two models to compare."


def test_failed_comparison_gives_the_reason(
    active_model, other_model, third_model, tmp_path, as_supervisor
):
    early = write_bundle(tmp_path, early_card())
    no_predictions = compare(as_supervisor, early, other_model)
    assert "pneumonia-1 has no predictions.csv" in no_predictions
    assert "Figures from each model card" in no_predictions, "the cards are still shown"
    elsewhere = write_bundle(
        tmp_path, full_card("elsewhere"), predictions_csv=predictions(start=5000)
    )
    assert "do not include both labels" in compare(as_supervisor, other_model, elsewhere)
    broken = write_bundle(tmp_path, full_card("broken"), predictions_csv=b"no,header\n")
    assert "of broken cannot be read" in compare(as_supervisor, other_model, broken)
    turned = predictions().replace(b"NORMAL,IM", b"PNEUMONIA,virus", 1)
    relabelled = write_bundle(tmp_path, full_card("relabelled"), predictions_csv=turned)
    assert "different labels" in compare(as_supervisor, other_model, relabelled)
    Path(third_model.folder, "predictions.csv").write_bytes(predictions(0.9))
    altered = compare(as_supervisor, other_model, third_model)
    assert "of pneumonia-10 differs from the registered one" in altered
    Path(third_model.folder, "predictions.csv").unlink()
    assert "has no predictions.csv" in compare(as_supervisor, other_model, third_model)


def test_admin_pages_are_translated(active_model, other_model, third_model, ml_engineer):
    client = signed_in(ml_engineer)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-hant"
    text = compare(client, other_model, third_model)
    assert "在這批影像上的 AUC 較高" in text
    page = client.get(activate(other_model)).content.decode()
    assert "取代" in page
    assert "啟用 pneumonia-9" in page


def test_comparison_imports_no_heavy_libraries():
    import subprocess
    import sys

    code = (
        "import sys; import mlcore.engine.evaluation.compare; "
        "print(sorted({'scipy', 'sklearn', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
