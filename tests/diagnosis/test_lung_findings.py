"""What the outline of the lungs says about an X-ray, on the pages of its reading."""

import csv

import numpy as np
import pytest

from diagnosis.models import Label, Reading
from diagnosis.models.choices import IMAGE_HINTS, RESEMBLANCES
from diagnosis.services.heatmaps import LUNGS_ONLY, heatmap_place
from mlcore import inference
from mlcore.engine.serving import lungs
from tests.factories import ReadingFactory

pytestmark = pytest.mark.django_db
LUNG_BOX = "lung-box-local-contrast-1"


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    return ReadingFactory(doctor=doctor, model_version=active_model, label=Label.NORMAL)


def test_every_finding_has_a_sentence():
    assert set(IMAGE_HINTS) == set(lungs.HINTS)
    assert set(lungs.REFUSED) <= set(RESEMBLANCES)


def test_hints_stand_beside_the_result(reading, as_doctor):
    assert "About the image" not in as_doctor.get(reading.get_absolute_url()).content.decode()
    Reading.objects.update(image_hints=["cut_off", "tilted"])
    page = as_doctor.get(reading.get_absolute_url()).content.decode()
    assert "A lung may be cut off at the edge of the image." in page
    assert "The chest appears tilted in the image." in page
    assert "Consider repeating the X-ray only if you cannot read it reliably." in page


def test_hints_are_exported(reading, as_supervisor):
    Reading.objects.update(image_hints=["cut_off", "tilted"])
    response = as_supervisor.get("/admin/diagnosis/reading/export/")
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    names, values = csv.reader(content.splitlines())
    assert dict(zip(names, values, strict=True))["image_hints"] == "cut_off tilted"


def test_an_image_without_lungs_is_refused_in_words(reading, as_doctor):
    Reading.objects.update(
        label=Label.OUT_OF_SCOPE, scope_reasons=["picture"], scope_resembles="no_lungs"
    )
    page = as_doctor.get(reading.get_absolute_url()).content.decode()
    assert "No lungs were found on this image." in page


def test_a_heatmap_in_the_lungs_needs_no_estimate_of_where_they_are(reading):
    hot = np.zeros((56, 56), np.float32)
    hot[2, 2] = 1
    for evidence, place in ((hot, LUNGS_ONLY), (0.1 * hot, inference.NOWHERE)):
        reading.preprocessing_id = LUNG_BOX
        reading.activation_map = inference.encode_activation_map(evidence)
        assert heatmap_place(reading) == place
