"""ML staff see statistics, but no patient and no film at any URL."""

import pytest

from diagnosis import retention
from diagnosis.services.opinions import review_reading
from tests.security.crawl import addresses

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("deleted", [False, True])
def test_no_url_shows_ml_staff_a_patient_or_a_film(
    deleted, reading, doctor, as_ml_engineer, ml_engineer
):
    review_reading(
        doctor=doctor, reading_id=reading.pk, verdict="OTHER", note="a note of the doctor's"
    )
    if deleted:
        retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    secrets = [reading.patient_name, "A123", reading.film_sha256, "a note of"]
    visited = [*addresses(reading, ml_engineer).values()]
    visited += ["/admin/who-saw/?q=A12", "/admin/diagnosis/reading/?q=A"]
    looked = 0
    for address in visited:
        response = as_ml_engineer.get(address, follow="?q=" in address)
        content = b"".join(response)
        looked += response.status_code == 200
        if response.headers.get("Content-Type", "").startswith("image/"):
            assert address.startswith("/models/"), address
            continue
        text = content.decode()
        for secret in secrets:
            assert secret not in text, f"{address} shows {secret}"
    assert looked >= 30, "too few pages were shown"
