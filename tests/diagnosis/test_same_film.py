"""The same X-ray again: offered to its doctor, and listed for supervisors."""

import io
import uuid
from dataclasses import replace

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from PIL import Image

from accounts.models import AuditEntry, AuditMention
from diagnosis import storage
from diagnosis.models import Reading
from diagnosis.services.conflicts import Decisions, FilmHashes, UndecidedError, same_film
from diagnosis.services.films import file_names
from diagnosis.services.readings import edit_reading
from tests.conftest import post_film, signed_in
from tests.diagnosis.checking import checked, decided
from tests.diagnosis.test_services import PATIENT, submit
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film

pytestmark = pytest.mark.django_db

PIXELS = synthetic_film("NORMAL", seed=21, size=300)
PNG = encode(PIXELS, "png")
BMP = encode(PIXELS, "bmp")
ANOTHER = {"patient_name": "林小美", "patient_number": "B77"}
BECAUSE = "the twins' films were mixed up before"


def other_patient():
    return replace(PATIENT, name="林小美", number="B77")


@pytest.mark.parametrize("copy", [PNG, BMP], ids=["same bytes", "same pixels"])
def test_the_same_xray_of_the_same_patient_is_offered(copy, active_model, as_doctor):
    post_film(as_doctor, PNG)
    first = Reading.objects.get()
    location = checked(as_doctor, copy)
    page = as_doctor.get(location).content.decode()
    assert f'href="{first.get_absolute_url()}"' in page
    assert "You have read this X-ray before" in page
    assert Reading.objects.count() == 1
    assert decided(as_doctor, location).status_code == 302
    assert Reading.objects.count() == 2
    again = Reading.objects.exclude(pk=first.pk).get()
    assert again.discrepancies == []
    assert again.film_pixels_sha256 == first.film_pixels_sha256


@pytest.mark.parametrize("copy", [PNG, BMP], ids=["same bytes", "same pixels"])
def test_another_patient_needs_a_reason_that_is_kept(copy, active_model, as_doctor):
    post_film(as_doctor, PNG)
    first = Reading.objects.get()
    location = checked(as_doctor, copy, **ANOTHER)
    refused = decided(as_doctor, location, film="   ")
    assert refused.status_code == 200
    assert "This X-ray is stored under another patient." in refused.content.decode()
    assert Reading.objects.count() == 1
    decided(as_doctor, location, film=BECAUSE)
    reading = Reading.objects.exclude(pk=first.pk).get()
    (entry,) = reading.discrepancies
    assert (entry["field"], entry["reason"]) == ("film", BECAUSE)
    assert (entry["file"], entry["form"]) == ("陳小明 · A123", "林小美 · B77")
    assert entry["reading"] == str(first.pk)
    shown = as_doctor.get(reading.get_absolute_url()).content.decode()
    assert "films were mixed up before" in shown
    assert "X-ray of two patients" in as_doctor.get("/readings/").content.decode()
    assert AuditEntry.objects.filter(object_pk=str(reading.pk), what="discrepancy").exists()


def test_other_pixels_are_another_xray(active_model, as_doctor):
    post_film(as_doctor, PNG)
    changed = PIXELS.copy()
    changed[5, 5] ^= 1
    assert "check" not in post_film(as_doctor, encode(changed, "png")).headers["Location"]
    turned = encode(PIXELS.reshape(200, 450), "png")
    assert "check" not in post_film(as_doctor, turned).headers["Location"]


def test_nothing_is_said_of_other_doctors_readings(
    active_model, as_doctor, as_other_doctor, doctor, other_doctor
):
    post_film(as_other_doctor, PNG)
    response = post_film(as_doctor, PNG, **ANOTHER)
    assert "check" not in response.headers["Location"]
    page = as_doctor.get(response.headers["Location"]).content.decode()
    assert "before" not in page.split("<main")[1].split("</main>")[0]
    stored = Reading.objects.first()
    film = FilmHashes(stored.film_sha256, stored.film_pixels_sha256)
    for person, found in ((doctor, 1), (other_doctor, 1), (DoctorFactory(), 0)):
        assert [each.doctor for each in same_film(person, film)] == [person] * found


def test_a_film_that_another_doctor_stored_is_written_again(
    active_model, as_doctor, as_other_doctor, monkeypatch
):
    """Otherwise the time would tell that somebody has stored the same film."""
    written: list[str] = []
    stage = storages["films"].stage

    def counted(name, content):
        written.append(name)
        return stage(name, content)

    monkeypatch.setattr(storages["films"], "stage", counted)
    post_film(as_doctor, PNG)
    first = list(written)
    written.clear()
    post_film(as_other_doctor, PNG)
    assert written == first != []


def test_a_deleted_reading_is_not_offered(active_model, as_doctor):
    post_film(as_doctor, PNG)
    as_doctor.post(f"/readings/{Reading.objects.get().pk}/delete/", {"reason": "MISTAKE"})
    assert "check" not in post_film(as_doctor, PNG, **ANOTHER).headers["Location"]


def test_the_service_refuses_what_the_doctor_has_not_seen(active_model, doctor):
    first = submit(doctor, PNG)
    with pytest.raises(UndecidedError) as caught:
        submit(doctor, BMP, patient=other_patient(), decisions=Decisions(film_reason=BECAUSE))
    assert [each.pk for each in caught.value.conflicts.earlier] == [first.pk]
    seen = Decisions(seen=frozenset({first.pk}))
    with pytest.raises(UndecidedError):
        submit(doctor, BMP, patient=other_patient(), decisions=seen)
    assert Reading.objects.count() == 1


def test_an_edit_cannot_move_an_xray_to_another_patient_silently(active_model, doctor):
    first = submit(doctor, PNG)
    seen = Decisions(seen=frozenset({first.pk}))
    second = submit(doctor, BMP, decisions=seen)
    with pytest.raises(UndecidedError):
        edit_reading(doctor=doctor, reading_id=second.pk, patient=other_patient())
    decisions = Decisions(seen=frozenset({first.pk}), film_reason=BECAUSE)
    edited = edit_reading(
        doctor=doctor, reading_id=second.pk, patient=other_patient(), decisions=decisions
    )
    assert [entry["reason"] for entry in edited.discrepancies] == [BECAUSE]
    again = edit_reading(doctor=doctor, reading_id=second.pk, patient=other_patient())
    assert len(again.discrepancies) == 1


def test_pixels_of_older_readings_are_hashed_by_a_command(active_model, doctor, as_doctor, capsys):
    reading = submit(doctor, PNG)
    expected = reading.film_pixels_sha256
    lost = submit(doctor, encode(synthetic_film("NORMAL", seed=22), "png"))
    Reading.objects.update(film_pixels_sha256="")
    storage.remove(file_names(lost.film_sha256))
    assert "check" not in post_film(as_doctor, BMP).headers["Location"], "not known yet"
    Reading.objects.filter(film_format="BMP").delete()
    for _repeated in range(2):
        call_command("hash_pixels")
    out = capsys.readouterr()
    assert "1 file(s) hashed, 1 could not be read." in out.out
    assert "0 file(s) hashed, 1 could not be read." in out.out
    assert lost.film_sha256 in out.err
    reading.refresh_from_db()
    assert reading.film_pixels_sha256 == expected
    checked(as_doctor, BMP)


def test_supervisors_list_xrays_of_several_patients(
    active_model, as_doctor, as_other_doctor, as_supervisor, supervisor
):
    post_film(as_doctor, PNG)
    post_film(as_other_doctor, BMP, **ANOTHER)
    alone = encode(synthetic_film("NORMAL", seed=23), "png")
    post_film(as_doctor, alone, patient_name="Nobody Else")
    decided(as_doctor, checked(as_doctor, alone, patient_name="NOBODY  ELSE"))
    page = as_supervisor.get("/admin/diagnosis/reading/shared-films/")
    (film,) = page.context["films"]
    assert (film["patients"], film["doctors"], film["count"]) == (2, 2, 2)
    shown = page.content.decode()
    assert "陳小明" in shown
    assert "林小美" in shown
    assert "Nobody" not in shown
    entry = AuditEntry.objects.get(what="shared-films")
    assert entry.actor == supervisor
    shown = AuditMention.objects.filter(entry=entry).values_list("object_pk", flat=True)
    assert set(shown) == {str(each.pk) for each in film["readings"]}
    assert "shared-films" in as_supervisor.get("/admin/").content.decode()


def test_the_list_of_shared_films_is_paged_and_empty_without_any(active_model, as_supervisor):
    page = as_supervisor.get("/admin/diagnosis/reading/shared-films/").content.decode()
    assert "No X-ray is stored under several patients." in page


def test_metadata_and_encoding_do_not_hide_a_copy(active_model, as_doctor):
    post_film(as_doctor, PNG)
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "TIFF", description=str(uuid.uuid4()))
    checked(as_doctor, buffer.getvalue())


def test_the_page_says_so_in_chinese(active_model, doctor):
    browser = signed_in(doctor)
    post_film(browser, PNG)
    location = checked(browser, PNG, **ANOTHER)
    page = browser.get(location, headers={"accept-language": "zh-hant"}).content.decode()
    main = page[page.index("<main") : page.index("</main>")]
    assert "您判讀過這張影像" in main
    assert "read on" not in main
