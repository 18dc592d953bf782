"""An uploaded film is decoded once, however often it is viewed afterwards."""

import sys
import uuid

import pytest
from django.core.files.storage import storages

from diagnosis import storage, validators
from diagnosis.models import Reading
from diagnosis.services.films import THUMBNAIL_SIDE, VIEWER_SIDE
from mlcore import decoding
from mlcore.engine.films.film import Film
from tests.conftest import patient_details, post_film, upload_of
from tests.diagnosis.checking import decided
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db

PIXELS = synthetic_film("NORMAL", seed=11, size=256)
FILES = {"jpeg": encode(PIXELS, "jpeg"), "dicom": encode_dicom(PIXELS, patient_name="陳小明")}
VIEWS = ("", "film/", "film/?size=thumb", "heatmap/", "report/")


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """The sizes of all files that were decoded."""
    sizes: list[int] = []
    original = decoding.decode_film

    def counted(data: bytes, **limits: int) -> Film:
        sizes.append(len(data))
        return original(data, **limits)

    patched = 0
    for module in list(sys.modules.values()):
        if getattr(module, "decode_film", None) is original:
            monkeypatch.setattr(module, "decode_film", counted)
            patched += 1
    assert patched > 3
    return sizes


@pytest.mark.parametrize("kind", FILES)
def test_an_upload_is_decoded_once_up_to_its_result(kind, active_model, as_doctor, decoded):
    response = post_film(as_doctor, FILES[kind])
    assert response.status_code == 302
    assert decoded == [len(FILES[kind])]
    for view in VIEWS:
        assert as_doctor.get(response.headers["Location"] + view).status_code == 200
    assert decoded == [len(FILES[kind])], "views use the renderings from the upload"


def test_a_film_that_was_inspected_is_not_decoded_again(active_model, as_doctor, decoded):
    """A browser cannot display DICOM, so it inspects the file before the form is sent."""
    inspected = as_doctor.post("/readings/new/inspect/", {"film": upload_of(FILES["dicom"])})
    assert inspected.status_code == 200
    response = post_film(as_doctor, FILES["dicom"])
    for view in VIEWS:
        assert as_doctor.get(response.headers["Location"] + view).status_code == 200
    assert len(decoded) == 1
    assert Reading.objects.get().film_format == "DICOM"


def test_an_inspected_film_is_read_like_any_other(active_model, as_doctor):
    readings = []
    for inspect in (False, True):
        if inspect:
            as_doctor.post("/readings/new/inspect/", {"film": upload_of(FILES["dicom"])})
        response = post_film(as_doctor, FILES["dicom"], submission=str(uuid.uuid4()))
        if inspect:
            decided(as_doctor, response.headers["Location"])
        readings.append(Reading.objects.first())
    fields = ("film_sha256", "probabilities", "label", "film_view", "film_width", "film_bytes")
    one, other = ([getattr(reading, field) for field in fields] for reading in readings)
    assert readings[0].pk != readings[1].pk
    assert one == other


def test_inspected_films_are_limited_and_dropped_after_the_form(active_model, as_doctor):
    for seed in range(4):
        other = encode_dicom(synthetic_film("NORMAL", seed=seed, size=128))
        as_doctor.post("/readings/new/inspect/", {"film": upload_of(other)})
    assert len(validators._INSPECTED._cache) == 2
    as_doctor.post("/readings/new/", patient_details(film=upload_of(other)))
    assert len(validators._INSPECTED._cache) == 1


def test_missing_renderings_are_recreated_with_one_decode(reading, as_doctor, decoded):
    for side in (VIEWER_SIDE, THUMBNAIL_SIDE):
        storages["films"].delete(storage.rendering_name(reading.film_sha256, side))
    for view in ("film/", "film/?size=thumb", "film/"):
        assert as_doctor.get(f"/readings/{reading.pk}/{view}").status_code == 200
    assert len(decoded) == 1
