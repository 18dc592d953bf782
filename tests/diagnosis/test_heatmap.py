"""The heatmap: off until asked for, and a warning where its evidence may lie outside the lungs."""

import hashlib
import re

import numpy as np
import pytest

from diagnosis import storage
from diagnosis.models import Label, Reading
from mlcore import inference
from mlcore.engine.serving import lung_coverage
from tests.factories import ReadingFactory
from tests.films import encode, synthetic_film

WARNING = "may lie outside the lungs"


def inside_lungs(film) -> np.ndarray:
    return (lung_coverage.coverage(film) > 0.8).astype(np.float32)


def outside_lungs(film) -> np.ndarray:
    return (lung_coverage.coverage(film) < 0.2).astype(np.float32)


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    return synthetic_film("NORMAL", seed=3)


def test_the_lungs_are_found_in_both_halves_of_a_film(film):
    cover = lung_coverage.coverage(film)
    assert cover.shape == (8, 8)
    assert 0 <= cover.min() <= cover.max() <= 1
    for half in (cover[2:6, 1:4], cover[2:6, 4:7]):
        assert half.max() > 0.8
    assert cover[:, [0, 7]].mean() < 0.5 * cover[2:6, 1:7].mean(), "the edges are no lungs"


def test_where_the_evidence_of_a_heatmap_lies(film):
    outside = outside_lungs(film)
    assert outside.sum() > 8
    assert inference.heatmap_place(film, inside_lungs(film)) == "inside"
    assert inference.heatmap_place(film, outside) == "outside"
    assert inference.heatmap_place(film, 0.4 * outside) == "nowhere", "too faint to be seen"


def test_a_map_of_another_resolution_is_understood(film):
    for cells, place in ((inside_lungs(film), "inside"), (outside_lungs(film), "outside")):
        finer = np.kron(cells, np.ones((2, 2), np.float32))
        assert inference.heatmap_place(film, finer) == place


def stored(doctor, film, evidence, **fields) -> Reading:
    data = encode(film, "png")
    digest = hashlib.sha256(data).hexdigest()
    storage.keep(storage.original_name(digest), data)
    encoded = inference.encode_activation_map(evidence)
    return ReadingFactory(doctor=doctor, film_sha256=digest, activation_map=encoded, **fields)


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "report/"])
def test_a_heatmap_outside_the_lungs_is_shown_with_a_warning(
    page, active_model, as_doctor, doctor, film
):
    reading = stored(doctor, film, outside_lungs(film), label=Label.PNEUMONIA)
    text = as_doctor.get(f"/readings/{reading.pk}/{page}").content.decode()
    assert WARNING in text
    assert "92%" in text, "the check's own error rates"
    reading = stored(doctor, film, inside_lungs(film), label=Label.PNEUMONIA)
    assert WARNING not in as_doctor.get(f"/readings/{reading.pk}/{page}").content.decode()
    empty = stored(doctor, film, np.zeros((8, 8)), label=Label.NORMAL)
    assert "heatmap is empty" in as_doctor.get(f"/readings/{empty.pk}/{page}").content.decode()


@pytest.mark.django_db
def test_a_missing_film_says_that_nothing_was_checked(active_model, as_doctor, doctor):
    reading = ReadingFactory(doctor=doctor)
    page = as_doctor.get(f"/readings/{reading.pk}/").content.decode()
    assert "could not be checked" in page


@pytest.mark.django_db
def test_the_heatmap_is_off_until_the_profile_says_otherwise(active_model, as_doctor, doctor, film):
    reading = stored(doctor, film, np.ones((8, 8)), label=Label.PNEUMONIA)
    switches = {"": "data-heat-on", "report/": "data-report-heat"}

    def are_on() -> set[bool]:
        found = set()
        for page, switch in switches.items():
            text = as_doctor.get(f"/readings/{reading.pk}/{page}").content.decode()
            (tag,) = re.findall(rf"<input[^>]*{switch}[^>]*>", text)
            found.add("checked" in tag.replace("checkbox", ""))
        return found

    assert are_on() == {False}
    profile = {"display_name": "王怡君", "show_heatmap": "on"}
    assert as_doctor.post("/accounts/profile/", profile).status_code == 302
    assert are_on() == {True}
    assert as_doctor.post("/accounts/profile/", {"display_name": "王怡君"}).status_code == 302
    assert are_on() == {False}
