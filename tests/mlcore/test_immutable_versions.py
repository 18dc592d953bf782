"""A name and a hash are one row for ever: nothing that is trained later changes an old reading."""

import json
import re
import shutil

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from diagnosis.models import Reading
from mlcore import gates, immutability, registry
from mlcore.models import ImmutableError, ModelVersion
from tests.conftest import SHIPPED_MODEL, post_film, signed_in

pytestmark = pytest.mark.django_db
OTHER = {"coverage": 0.9, "lower": 0.111, "upper": 0.222}


OVERRIDES = [f"{name}=a copy for tests" for name in gates.NAMES]


@pytest.fixture
def folder(tmp_path, settings):
    """The only folder of bundles, with an open scope gate, so that synthetic films get a label."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    source = registry.folder_of(SHIPPED_MODEL)
    folder = settings.BUNDLE_DIR / SHIPPED_MODEL
    shutil.copytree(source, folder)
    changed_card(folder, scope={"threshold": 1e9, "method": "open"})
    settings.SHIPPED_BUNDLE_DIR = tmp_path / "none"
    registry.forget_loaded()
    yield folder
    registry.forget_loaded()


def changed_card(folder, **changes) -> None:
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def old_reading(folder, as_doctor, film_bytes) -> Reading:
    """A reading by a model that is no longer active: `second` replaced it."""
    call_command("activate_model", SHIPPED_MODEL, override=OVERRIDES, verbosity=0)
    assert post_film(as_doctor, film_bytes).status_code == 302
    second = folder.parent / "second"
    shutil.copytree(folder, second)
    changed_card(second, name="second")
    call_command("activate_model", "second", override=OVERRIDES, verbosity=0)
    return Reading.objects.get()


def pages_of(browser, reading: Reading) -> list[str]:
    """Return result page, report and card as a doctor sees them, without tokens."""
    found = []
    for url in (
        reading.get_absolute_url(),
        f"/readings/{reading.pk}/report/",
        f"/models/{reading.model_name}/",
    ):
        page = browser.get(url).content.decode()
        found.append(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))
    return found


def retrained(folder) -> None:
    """Put another bundle of the same name in the folder, as an interrupted clean-up would."""
    changed_card(folder, conformal=OTHER, threshold={"value": 0.2, "chosen_on": "validation"})
    registry.forget_loaded()


def test_registering_another_bundle_of_the_name_is_refused_though_inactive(old_reading, folder):
    row = ModelVersion.objects.get(name=SHIPPED_MODEL)
    retrained(folder)
    with pytest.raises(registry.NameInUse, match="pneumonia-3"):
        registry.register(folder)
    kept = ModelVersion.objects.get(name=SHIPPED_MODEL)
    assert (kept.pk, kept.bundle_sha256, kept.card) == (row.pk, row.bundle_sha256, row.card)


def test_pages_are_the_same_before_and_after_the_bundle_is_overwritten(
    old_reading, folder, as_doctor, doctor
):
    before = pages_of(as_doctor, old_reading)
    assert "0.951" in before[0]
    retrained(folder)
    with pytest.raises(registry.NameInUse):
        registry.register(folder)
    assert pages_of(signed_in(doctor), old_reading) == before
    assert not re.search(r"\b0\.(111|222)\b", "".join(before))


def test_plots_of_another_training_are_not_shown(old_reading, folder, as_doctor):
    address = f"/models/{SHIPPED_MODEL}/plots/roc.png"
    assert as_doctor.get(address).status_code == 200
    with (folder / "roc.png").open("ab") as file:
        file.write(b"other")
    assert as_doctor.get(address).status_code == 404
    (folder / "predictions.csv").unlink()  # the chart is drawn from it, if it is the registered one
    assert "The file of this plot is missing or was changed." in pages_of(as_doctor, old_reading)[2]


def test_replay_says_that_the_model_files_are_missing(old_reading, folder, capsys):
    call_command("replay_reading", str(old_reading.pk))
    retrained(folder)
    with pytest.raises(CommandError, match="as registered"):
        call_command("replay_reading", str(old_reading.pk))
    shutil.rmtree(folder)
    registry.forget_loaded()
    with pytest.raises(CommandError, match="no longer installed"):
        call_command("replay_reading", str(old_reading.pk))


def test_roll_back_never_activates_another_bundle(old_reading, folder):
    first = ModelVersion.objects.get(name=SHIPPED_MODEL)
    retrained(folder)
    with pytest.raises(registry.NameInUse):
        registry.register(folder)
    assert registry.earlier_version() == first
    with pytest.raises(registry.ModelUnavailable, match="as registered"):
        registry.roll_back()
    assert registry.active_version().name == "second"


@pytest.mark.parametrize("gone", [False, True])
def test_training_under_a_name_in_use_is_refused_before_it_reads_a_film(
    old_reading, folder, tmp_path, gone
):
    """Also if the folder is gone: the row and the readings are there."""
    if gone:
        shutil.rmtree(folder)
    with pytest.raises(CommandError, match="--name pneumonia-3") as error:
        call_command("train_model", data=tmp_path / "no-such-data", name=SHIPPED_MODEL)
    assert "already named 'pneumonia-2'" in str(error.value)


def test_training_into_a_folder_that_exists_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)
    (folder.parent / ".training-mine-2").mkdir()
    with pytest.raises(CommandError, match=r"already exists in .*elsewhere.* --name mine-3"):
        call_command("train_model", data=tmp_path / "none", name="mine", out=tmp_path / "elsewhere")


def test_unfinished_training_is_resumed_under_its_name(folder, tmp_path):
    (folder.parent / ".training-mine").mkdir()
    with pytest.raises(CommandError, match="is not a folder"):
        call_command("train_model", data=tmp_path / "no-such-data", name="mine")


def test_the_same_bundle_can_be_registered_again_from_another_place(folder, tmp_path):
    version = registry.register(folder)
    ModelVersion.objects.update(set_aside_reason="moved")
    moved = folder.rename(tmp_path / "moved")
    again = registry.register(moved)
    assert again == version
    assert (again.path, again.set_aside_reason) == (str(moved), "")


def test_a_registered_model_cannot_be_changed_or_deleted(folder):
    version = registry.register(folder)
    version.card["conformal"] = OTHER
    with pytest.raises(ImmutableError, match="card"):
        version.save()
    version.refresh_from_db()
    version.bundle_sha256 = "0" * 64
    with pytest.raises(ImmutableError, match="bundle_sha256"):
        version.save(update_fields=["bundle_sha256"])
    for change in ({"card": {}}, {"name": "x"}, {"bundle_sha256": "0" * 64}):
        with pytest.raises(ImmutableError):
            ModelVersion.objects.update(**change)
    for delete in (version.delete, ModelVersion.objects.all().delete):
        with pytest.raises(ImmutableError):
            delete()
    evaluation = version.evaluations.first()
    evaluation.figures = {}
    with pytest.raises(ImmutableError, match="figures"):
        evaluation.save()
    version.refresh_from_db()
    version.is_active = True
    version.save()


@pytest.mark.parametrize(
    ("table", "column"),
    [("modelversion", "card"), ("modelversion", "bundle_sha256"), ("modelversion", "name"),
     ("modelversion", "card_text"), ("evaluation", "figures"), ("evaluation", "n")],
)  # fmt: skip
def test_the_database_refuses_it_to_every_program(folder, table, column):
    registry.register(folder)
    value = {"card": "{}", "figures": "{}", "n": 1}.get(column, "other")
    with (
        pytest.raises(DatabaseError, match="never changes"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE mlcore_{table} SET {column} = %s", [value])  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute("UPDATE mlcore_modelversion SET path = 'elsewhere'")


def test_verify_models_finds_what_was_changed_without_the_trigger(folder, capsys):
    registry.register(folder)
    call_command("verify_models")
    assert "1 registered models are unchanged." in capsys.readouterr().out
    on = "" if connection.vendor == "sqlite" else " ON mlcore_modelversion"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER mlcore_modelversion_immutable{on}")
        cursor.execute("UPDATE mlcore_modelversion SET card = '{}'")
    with pytest.raises(CommandError) as error:
        call_command("verify_models", rows_only=True)
    assert "the trigger mlcore_modelversion_immutable is missing" in str(error.value)
    assert "its card differs from the card's text" in str(error.value)
    immutability.install_triggers("default")
    assert immutability.missing_triggers() == []


def test_rows_of_earlier_versions_are_completed_once(folder):
    version = ModelVersion.objects.create(
        name=SHIPPED_MODEL,
        bundle_sha256=registry.load(folder).sha256,
        path=SHIPPED_MODEL,
        card=registry.load(folder).card,
    )
    assert immutability.faults_of(version)
    registry.complete(version)
    version.refresh_from_db()
    assert immutability.faults_of(version) == []
    assert set(version.evaluations.values_list("title", flat=True)) == {"validation", "test"}
    registry.complete(version)
    assert version.evaluations.count() == 2
