"""Images on the board: re-encoding, visibility and removal."""

import io
import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from forum import pictures, services
from forum.models import Picture
from tests import board
from xraysite.hooks import DiscussionBoard

pytestmark = pytest.mark.django_db


def send(browser, data: bytes, name: str = "p.png"):
    return browser.post("/forum/pictures/", {"picture": SimpleUploadedFile(name, data)})


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor)


def test_metadata_is_removed_and_size_limited(as_doctor, doctor):
    marked = PngInfo()
    marked.add_text("Patient", "CHEN XIAOMING")
    data = board.picture(size=(4000, 1000), pnginfo=marked)
    assert b"CHEN" in data
    address = send(as_doctor, data).json()["url"]
    shown = as_doctor.get(address).content
    assert b"CHEN" not in shown
    with Image.open(io.BytesIO(shown)) as stored:
        assert stored.format == "WEBP"
        assert stored.size == (1600, 400)
        assert not set(stored.info) & {"exif", "icc_profile", "xmp"}


def test_exif_is_removed_and_orientation_applied(as_doctor):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "CHEN XIAOMING"
    address = send(as_doctor, board.picture("JPEG", exif=exif)).json()["url"]
    shown = as_doctor.get(address).content
    assert b"CHEN" not in shown
    assert Image.open(io.BytesIO(shown)).size == (40, 60)


SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "The submitted file is empty."),
        (b"no picture", "This file is not a JPEG, PNG or WebP image."),
        (SVG, "This file is not a JPEG, PNG or WebP image."),
        (board.picture()[:60], "The image file is damaged. Upload another one."),
    ],
    ids=["empty", "text", "svg", "truncated"],
)
def test_invalid_image_is_refused_with_a_message(as_doctor, data, said):
    response = send(as_doctor, data)
    assert response.status_code == 422
    assert response.json()["error"] == said
    assert not Picture.objects.exists()


def test_oversized_image_is_refused_and_the_text_kept(as_doctor, topic, settings):
    settings.FILM_MAX_BYTES = 1000
    huge = board.picture(size=(900, 900), compress_level=0)
    response = send(as_doctor, huge)
    assert response.status_code == 422
    assert "10 MB" in response.json()["error"]
    fields = board.form(body="my words", picture=SimpleUploadedFile("p.png", huge))
    page = as_doctor.post(f"/forum/{topic.pk}/reply/", fields).content.decode()
    assert "my words" in page
    assert "10 MB" in page


def test_image_is_private_until_posted(as_doctor, as_other_doctor, doctor, topic):
    address = send(as_doctor, board.picture()).json()["url"]
    assert as_other_doctor.get(address).status_code == 404
    board.reply(doctor, topic, f"![x]({address})")
    assert as_other_doctor.get(address).status_code == 200


def test_another_users_unposted_image_cannot_be_posted(
    as_doctor, other_doctor, as_other_doctor, topic
):
    address = send(as_doctor, board.picture()).json()["url"]
    board.reply(other_doctor, topic, f"![x]({address})")
    assert as_other_doctor.get(address).status_code == 404
    page = as_other_doctor.get(f"/forum/{topic.pk}/").content.decode()
    assert "cannot be shown" in page


def test_image_is_hidden_with_its_post(as_doctor, as_other_doctor, doctor, topic):
    address = send(as_doctor, board.picture()).json()["url"]
    post = board.reply(doctor, topic, f"![x]({address})")
    services.delete_post(author=doctor, post_id=post.pk)
    assert as_other_doctor.get(address).status_code == 404
    services.undelete_post(author=doctor, post_id=post.pk)
    assert as_other_doctor.get(address).status_code == 200


def test_image_response_is_sandboxed(as_doctor):
    response = as_doctor.get(send(as_doctor, board.picture()).json()["url"])
    assert response.headers["Content-Type"] == "image/webp"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert "no-store" in response.headers["Cache-Control"]


def test_image_is_uploaded_with_the_form_without_javascript(as_doctor, topic):
    fields = board.form(body="look", picture=SimpleUploadedFile("my [film].png", board.picture()))
    as_doctor.post(f"/forum/{topic.pk}/reply/", fields)
    post = topic.posts.get(number=2)
    assert post.body.startswith("look\n\n![my film](/forum/pictures/")
    assert post.pictures.count() == 1


def test_invalid_image_in_the_form_keeps_the_text(as_doctor, topic):
    fields = board.form(body="my words", picture=SimpleUploadedFile("x.png", b"nonsense"))
    page = as_doctor.post(f"/forum/{topic.pk}/reply/", fields).content.decode()
    assert "my words" in page
    assert "not a JPEG, PNG or WebP" in page
    assert topic.posts.count() == 1


def test_number_of_unposted_images_is_limited(as_doctor, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_WAITING", 2)
    for _ in range(2):
        assert send(as_doctor, board.picture()).status_code == 201
    assert send(as_doctor, board.picture()).status_code == 422


def test_unposted_images_are_removed_after_a_week(
    as_doctor, doctor, topic, django_capture_on_commit_callbacks
):
    kept = send(as_doctor, board.picture()).json()["url"]
    board.reply(doctor, topic, f"![x]({kept})")
    send(as_doctor, board.picture())
    young = send(as_doctor, board.picture()).json()["url"]
    old = timezone.now() - pictures.WAITING_TIME * 2
    Picture.objects.exclude(pk=young.split("/")[-2]).update(created_at=old)
    with django_capture_on_commit_callbacks(execute=True):
        assert pictures.sweep() == 1
    assert Picture.objects.count() == 2
    assert as_doctor.get(kept).status_code == as_doctor.get(young).status_code == 200


class TestCases:
    @pytest.fixture
    def shared(self, doctor):
        return DiscussionBoard().post_case(
            author=doctor,
            category=board.open_category().pk,
            title="A case",
            body="What is this?",
            picture=board.picture(),
            alternative="A [film] of a chest",
            submission=uuid.UUID(int=7),
        )

    def test_case_opens_a_topic_with_the_image(self, shared, as_other_doctor):
        page = as_other_doctor.get(shared.url, follow=True).content.decode()
        assert 'alt="A film of a chest"' in page
        assert as_other_doctor.get(f"/forum/pictures/{shared.picture_id}/").status_code == 200

    def test_ml_staff_see_the_post_without_the_film(self, shared, as_ml_engineer):
        page = as_ml_engineer.get(shared.url, follow=True).content.decode()
        assert "What is this?" in page
        assert "<img" not in page.split('id="posts"')[1].split("composer")[0]
        assert as_ml_engineer.get(f"/forum/pictures/{shared.picture_id}/").status_code == 404

    def test_resubmission_creates_one_case(self, shared, doctor):
        again = DiscussionBoard().post_case(
            author=doctor,
            category=board.open_category().pk,
            title="A case",
            body="What is this?",
            picture=board.picture(),
            alternative="",
            submission=uuid.UUID(int=7),
        )
        assert again == shared
        assert Picture.objects.count() == 1

    def test_withdrawn_image_is_replaced_by_a_notice(
        self, shared, as_doctor, as_supervisor, django_capture_on_commit_callbacks
    ):
        stored = Picture.objects.get().file
        with django_capture_on_commit_callbacks(execute=True):
            assert DiscussionBoard().withdraw(shared.picture_id)
        assert not DiscussionBoard().withdraw(shared.picture_id)
        assert not stored.storage.exists(stored.name)
        for browser in (as_doctor, as_supervisor):
            assert browser.get(f"/forum/pictures/{shared.picture_id}/").status_code == 404
            page = browser.get(shared.url, follow=True).content.decode()
            assert "was withdrawn" in page

    def test_submission_of_another_post_is_refused(self, shared, doctor, other_doctor):
        plain = board.open_topic(doctor).posts.get()
        for author, submission in ((other_doctor, uuid.UUID(int=7)), (doctor, plain.submission)):
            with pytest.raises(ValueError, match="another post"):
                DiscussionBoard().post_case(
                    author=author, category=board.open_category().pk, title="t", body="b",
                    picture=board.picture(), alternative="", submission=submission,
                )  # fmt: skip
        assert Picture.objects.count() == 1

    def test_an_unknown_category_posts_nothing(self, doctor):
        with pytest.raises(ValueError, match="category"):
            DiscussionBoard().post_case(
                author=doctor, category=0, title="t", body="b", picture=board.picture(),
                alternative="", submission=uuid.uuid4(),
            )  # fmt: skip
        assert not Picture.objects.exists()


def test_command_removes_unposted_images_and_prints_their_number(doctor, capsys):
    old = pictures.add_picture(owner=doctor, data=board.picture())
    Picture.objects.filter(pk=old.pk).update(created_at=timezone.now() - pictures.WAITING_TIME * 2)
    kept = pictures.add_picture(owner=doctor, data=board.picture())
    call_command("sweep_board_images")
    assert capsys.readouterr().out == "1 images removed.\n"
    assert list(Picture.objects.values_list("pk", flat=True)) == [kept.pk]
