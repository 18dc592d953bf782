"""Recomputing a stored reading, and naming what differs."""

import uuid

import pytest
from django.core.files.storage import storages
from django.core.management import CommandError, call_command

from diagnosis.models import Reading
from mlcore import registry
from mlcore.models import ModelVersion


def test_a_replay_gives_the_stored_result(reading, capsys):
    call_command("replay_reading", str(reading.pk))
    assert "Film, model and result are unchanged." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"probabilities": {"NORMAL": 0.25, "PNEUMONIA": 0.75}}, "probability was 0.750000"),
        ({"threshold": 0.123}, "ranking threshold was 0.123"),
        ({"pneumonia_from": 0.9}, "upper limit was 0.9, is 0.951"),
        ({"scope_score": -5.0}, "scope score was -5.000000"),
        ({"bundle_sha256": "0" * 64}, "pneumonia-2, the model .* is no longer installed: .* 0000"),
    ],
)
def test_a_difference_is_named(reading, changed, said):
    Reading.objects.update(**changed)
    with pytest.raises(CommandError, match=said):
        call_command("replay_reading", str(reading.pk))


def test_missing_bundle_is_reported(reading):
    """A site may have readings by `pneumonia-1`, whose bundle is no longer shipped."""
    gone = ModelVersion.objects.create(
        name="pneumonia-1", bundle_sha256="1" * 64, path="pneumonia-1", card={}
    )
    Reading.objects.update(model_version=gone, bundle_sha256=gone.bundle_sha256)
    registry.forget_loaded()
    said = "pneumonia-1, the model that made this reading, is no longer installed: There is no "
    with pytest.raises(CommandError, match=said):
        call_command("replay_reading", str(reading.pk))


def test_a_missing_film_cannot_be_replayed(reading):
    storages["films"].delete(f"original/{reading.film_sha256[:2]}/{reading.film_sha256}")
    with pytest.raises(CommandError, match="missing from storage"):
        call_command("replay_reading", str(reading.pk))


@pytest.mark.django_db
def test_an_unknown_reading_cannot_be_replayed():
    with pytest.raises(CommandError, match="There is no reading"):
        call_command("replay_reading", str(uuid.uuid4()))
