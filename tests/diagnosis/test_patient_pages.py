"""Pages of patients, and the page that asks about a patient number."""

import datetime

from diagnosis.models import Reading
from diagnosis.services.patient_films import recent_patients
from tests.conftest import post_film
from tests.films import encode, synthetic_film


def film(seed):
    return encode(synthetic_film("NORMAL", seed=seed, size=512), "png")


def upload(client, name, number, *, seed, **changes):
    return post_film(client, film(seed), patient_name=name, patient_number=number, **changes)


def newest():
    return Reading.objects.order_by("created_at").last()


def test_patient_page_shows_own_films_only(as_doctor, as_other_doctor, active_model, doctor):
    upload(as_doctor, "王小明", "123", seed=1, exam_date="2026-01-02")
    upload(as_doctor, "王小明", "123", seed=2, exam_date="2026-03-04")
    upload(as_other_doctor, "王 小明", "123", seed=3, exam_date="2025-05-06")
    address = newest().study.patient.get_absolute_url()
    page = as_doctor.get(address).content.decode()
    assert "王小明" in page
    assert page.count("patient-film-about") == 2
    assert "2025-05-06" not in page
    theirs = as_other_doctor.get(address).content.decode()
    assert theirs.count("patient-film-about") == 1
    assert [each.study.patient.get_absolute_url() for each in recent_patients(doctor)] == [address]


def test_patient_of_other_doctors_is_as_one_who_does_not_exist(
    as_doctor, as_other_doctor, active_model
):
    upload(as_other_doctor, "王小明", "123", seed=1)
    address = newest().study.patient.get_absolute_url()
    hidden = as_doctor.get(address)
    missing = as_doctor.get("/patients/00000000-0000-4000-8000-000000000000/")
    assert hidden.status_code == missing.status_code == 404
    assert "王小明" not in hidden.content.decode()
    assert len(hidden.content) == len(missing.content)


def test_number_of_another_doctors_patient_leaks_no_name(as_doctor, as_other_doctor, active_model):
    upload(as_other_doctor, "陳大文", "123", seed=1)
    response = upload(as_doctor, "王小明", "123", seed=2)
    assert response.headers["Location"] == newest().get_absolute_url()
    own = as_doctor.get(newest().study.patient.get_absolute_url()).content.decode()
    assert "陳大文" not in own
    assert "陳大文" not in as_doctor.get(newest().get_absolute_url()).content.decode()


def test_own_number_under_another_name_asks_and_keeps_the_film(as_doctor, active_model):
    upload(as_doctor, "王小明", "123", seed=1)
    first = newest()
    check = upload(as_doctor, "王曉明", "123", seed=2).headers["Location"]
    page = as_doctor.get(check).content.decode()
    assert "王小明" in page
    refused = as_doctor.post(check, {"choose_number": "other"})
    assert "Enter the reason." in refused.content.decode()
    done = as_doctor.post(check, {"choose_number": str(first.pk)})
    assert done.headers["Location"] == newest().get_absolute_url()
    assert newest().study == first.study
    assert "王曉明" in as_doctor.get(first.study.patient.get_absolute_url()).content.decode()


def test_wrong_check_digit_is_corrected_or_confirmed(as_doctor, active_model):
    check = upload(as_doctor, "王小明", "A123456788", seed=1).headers["Location"]
    assert "check digit" in as_doctor.get(check).content.decode()
    assert "confirm that it is right" in as_doctor.post(check, {}).content.decode()
    as_doctor.post(check, {"correct": "1", "corrected_number": "A123456789"})
    as_doctor.post(check, {})
    assert newest().patient_number == "A123456789"
    check = upload(as_doctor, "林美", "B123456788", seed=2).headers["Location"]
    as_doctor.post(check, {"number_right": "on"})
    assert newest().patient_number == "B123456788"


def test_date_of_birth_in_years_of_the_republic(as_doctor, active_model):
    for number, (typed, born) in enumerate(
        {
            "112/1/2": datetime.date(2023, 1, 2),
            "民國111年3月4日": datetime.date(2022, 3, 4),
            "１１１０３０４": datetime.date(2022, 3, 4),
        }.items()
    ):
        upload(
            as_doctor, f"P{number}", f"{number}", seed=number + 1, patient_birth_date=typed,
            patient_age_years="", exam_date="2026-01-02",
        )  # fmt: skip
        assert newest().patient_birth_date == born
    assert newest().patient_age_years == 3


def test_years_of_the_republic_are_shown_by_choice(as_doctor, reading, doctor):
    assert "2026-01-02" in as_doctor.get(reading.get_absolute_url()).content.decode()
    sent = {"display_name": doctor.display_name, "roc_years": "on"}
    assert as_doctor.post("/accounts/profile/", sent).status_code == 302
    page = as_doctor.get(reading.get_absolute_url()).content.decode()
    assert "115/01/02" in page
    assert "2026-01-02" not in page
