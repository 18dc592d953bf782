"""A case shared on the real board: what other users can see."""

import datetime
import io
import re

import numpy as np
import pytest
import time_machine
from django.conf import settings
from django.core import mail
from django.core.management import call_command
from django.utils import timezone
from PIL import Image

from diagnosis.models import Reading
from forum.models import Category, Notification, Picture, Topic
from tests.conftest import post_film, signed_in
from tests.factories import DoctorFactory
from tests.films import encode, synthetic_film

pytestmark = pytest.mark.django_db
NAME, NUMBER, AGE, DAY = "Zebediah Quillfeather", "QX-77120", 13, datetime.date(2026, 1, 27)


@pytest.fixture
def reading(active_model, as_doctor) -> Reading:
    film = encode(synthetic_film("NORMAL", seed=9, size=1200), "png")
    made = post_film(
        as_doctor, film, "quillfeather_0127.png", patient_name=NAME, patient_number=NUMBER,
        patient_age_years=AGE, exam_date=DAY.isoformat(),
    )  # fmt: skip
    assert made.status_code == 302
    return Reading.objects.get()


@pytest.fixture
def share(reading, as_doctor, django_capture_on_commit_callbacks):
    """Return a function that shares the reading through its pages."""

    def run(**changes):
        address = f"/readings/{reading.pk}/share/"
        form = as_doctor.get(address).context["form"]
        fields = {
            "category": Category.objects.get(name_en="Cases").pk,
            "title": form["title"].value(),
            "body": form["body"].value(),
            "boxes": "0 0 40 10",
            "submission": form["submission"].value(),
            "step": "post",
            "confirmed": "on",
        }
        with django_capture_on_commit_callbacks(execute=True):
            return as_doctor.post(address, fields | {k: str(v) for k, v in changes.items()})

    return run


def identifiers(reading: Reading) -> list[str]:
    days = ["%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d", "%d.%m.%Y", "%B %d", "%d %b"]
    return [
        *NAME.split(), NUMBER, NUMBER.replace("-", ""), reading.film_sha256, str(reading.pk),
        reading.pk.hex, "quillfeather_0127", f"{AGE} year", f"{AGE} 歲", f"aged {AGE}",
        *(DAY.strftime(form) for form in days),
    ]  # fmt: skip


def test_other_users_never_see_an_identifier(
    share, reading, as_doctor, doctor, as_other_doctor, other_doctor, as_supervisor
):
    follower = DoctorFactory(display_name="Follower")
    assert share().status_code == 302
    topic = Topic.objects.get()
    signed_in(follower).post(f"/forum/{topic.pk}/follow/", {"follow": "1"})
    post = as_doctor.post
    post(f"/forum/{topic.pk}/reply/", {"body": "@Follower ?", "submission": reading.pk.hex[::-1]})

    seen = []
    for address in (
        "/forum/", "/forum/?q=film", f"/forum/{topic.pk}/", f"/forum/{topic.pk}/?quote=1",
        f"/forum/posts/{topic.posts.get(number=1).pk}/history/", "/forum/notifications/", "/",
    ):  # fmt: skip
        page = as_other_doctor.get(address, follow=True).content.decode()
        seen.append((address, page))
        seen += [
            (picture, as_other_doctor.get(picture).content.decode("latin-1"))
            for picture in re.findall(r"/forum/pictures/[0-9a-f-]+/", page)
        ]
    assert any("/pictures/" in where for where, _ in seen)

    with time_machine.travel(timezone.now() + datetime.timedelta(hours=1)):
        call_command("send_board_mail", site="https://x.example.org", verbosity=0)
    assert mail.outbox
    seen += [("mail", str(message.message())) for message in mail.outbox]

    for table in (Topic, Picture, Notification):
        seen += [(table.__name__, str(row)) for row in table.objects.values_list()]
    seen += [("post", str(row)) for row in topic.posts.values_list("body", "submission")]
    for where, text in seen:
        for identifier in identifiers(reading):
            assert identifier.lower() not in text.lower(), f"{identifier} in {where}"


def test_the_posted_image_equals_the_preview(share, reading, as_other_doctor):
    preview = share(step="preview").context["picture"].partition(",")[2]
    share()
    shown = as_other_doctor.get(Picture.objects.get().get_absolute_url()).content
    import base64

    before = np.asarray(Image.open(io.BytesIO(base64.b64decode(preview))).convert("RGB"))
    after = np.asarray(Image.open(io.BytesIO(shown)))
    assert np.array_equal(before, after)
    assert max(after.shape) == 1200
    assert not after[:120, :480].any(), "the redacted area is black"
    assert after[200:].any()


def test_deleting_the_reading_removes_the_image_permanently(
    share, reading, as_doctor, as_other_doctor, django_capture_on_commit_callbacks
):
    share()
    picture = Picture.objects.get()
    address, file = picture.get_absolute_url(), picture.file
    assert as_other_doctor.get(address).status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        as_doctor.post(f"/readings/{reading.pk}/delete/", {"reason": "NOT_NEEDED"})
    assert not file.storage.exists(file.name)
    as_doctor.post(f"/readings/{reading.pk}/undelete/")
    assert as_other_doctor.get(address).status_code == 404
    page = as_other_doctor.get(f"/forum/{Topic.objects.get().pk}/").content.decode()
    assert "was withdrawn" in page


def test_a_case_that_cannot_be_posted_leaves_no_file(share, reading, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("forum.services.search.refresh", fail)
    with pytest.raises(OSError, match="no space"):
        share()
    assert not Picture.objects.exists()
    assert not Topic.objects.exists()
    board = settings.PRIVATE_MEDIA_ROOT / "files" / "board"
    assert not board.exists() or not any(board.iterdir())


def test_a_patients_name_on_the_board_gives_a_warning(reading, as_doctor):
    fields = {"title": "About Zebediah Quillfeather", "body": "hello", "submission": reading.pk}
    fields["category"] = Category.objects.get(name_en="Cases").pk
    page = as_doctor.post("/forum/new/", fields).content.decode()
    assert "name of a patient in one of your readings" in page
    assert not Topic.objects.exists()
