"""The profile: details, picture, time zone and sessions."""

import io

import pytest
from allauth.usersessions.models import UserSession
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation
from PIL import Image

from accounts import avatars
from accounts.models import AuditEntry, User
from accounts.templatetags.people import initials
from accounts.time_zones import choices, zone_of
from accounts.user_agents import device_of
from tests.conftest import signed_in
from tests.factories import PASSWORD, DoctorFactory, ReadingFactory, UserFactory
from xraysite.common.images import PictureError

pytestmark = pytest.mark.django_db
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)


def picture(kind: str = "JPEG", size=(600, 400), mode: str = "RGB", **options) -> bytes:
    """Return an image with a red left third, a green middle and a blue right third."""
    image = Image.new("RGB", size, (0, 255, 0))
    third = size[0] // 3
    image.paste((255, 0, 0), (0, 0, third, size[1]))
    image.paste((0, 0, 255), (size[0] - third, 0, size[0], size[1]))
    out = io.BytesIO()
    image.convert(mode).save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def post_picture(browser: Client, data: bytes, name: str = "me.jpg"):
    return browser.post("/accounts/profile/picture/", {"picture": SimpleUploadedFile(name, data)})


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"),
        ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB"),
    ],
)  # fmt: skip
def test_picture_is_cropped_to_a_small_square(kind, mode):
    out = opened(avatars.reencode(picture(kind, mode=mode)))
    assert (out.format, out.size) == ("WEBP", (256, 256))
    red, green, blue = out.convert("RGB").getpixel((128, 128))
    if mode == "L":
        assert max(red, green, blue) - min(red, green, blue) < 5
        assert 130 < green < 170  # the luma of green
    else:
        assert green > 180 > 90 > max(red, blue)


def test_metadata_is_removed_and_orientation_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    exif[0x010E] = "Ward 7, bed 2"
    exif.get_ifd(0x8825)[1] = "N"
    data = picture(size=(300, 300), exif=exif, comment=b"secret note")
    out = avatars.reencode(data)
    assert b"Ward 7" in data
    assert b"Ward 7" not in out
    assert b"secret" not in out
    assert not opened(out).getexif()
    red, _, blue = opened(out).convert("RGB").getpixel((128, 20))
    assert red > 150 > blue, "the left side is at the top after rotation"


def animated() -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    return out.getvalue()


def bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "not a JPEG"),
        (b"%PDF-1.7 something", "not a JPEG"),
        (b"GIF89a" + b"\0" * 100, "not a JPEG"),
        (b"\xff" * (5 * 2**20 + 1), "larger than 5 MB"),
        (picture()[:2000], "damaged"),
        (picture("PNG")[:300], "damaged"),
        (picture(size=(10_000, 20)), "too small"),
        (animated(), "Animated images are not supported"),
        (bomb(), "too many pixels"),
    ],
    ids=["empty", "svg", "pdf", "gif", "large", "cut", "cut-png", "thin", "animated", "bomb"],
)
def test_invalid_picture_is_refused_with_a_message(as_doctor, doctor, data, said):
    with translation.override("en"), pytest.raises(PictureError, match=said):
        avatars.reencode(data)
    page = post_picture(as_doctor, data)
    assert page.status_code == 422
    assert said in page.content.decode()
    doctor.refresh_from_db()
    assert not doctor.avatar


def test_appended_content_is_removed(as_doctor, doctor):
    post_picture(as_doctor, picture() + b"<script>alert(1)</script>", "me.html")
    doctor.refresh_from_db()
    assert doctor.avatar.name.endswith(".webp")
    with default_storage.open(doctor.avatar.name) as stored:
        assert b"script" not in stored.read()


def test_picture_is_shown_replaced_and_removed(
    as_doctor, as_other_doctor, doctor, django_capture_on_commit_callbacks
):
    address = f"/accounts/{doctor.pk}/avatar/"
    assert as_other_doctor.get(address).status_code == 404
    assert post_picture(as_doctor, picture()).status_code == 302
    doctor.refresh_from_db()
    first = doctor.avatar.name
    shown = as_other_doctor.get(address)
    assert shown.headers["Content-Type"] == "image/webp"
    assert "no-store" in shown.headers["Cache-Control"]
    etag = shown.headers["ETag"]
    assert as_other_doctor.get(address, headers={"if-none-match": etag}).status_code == 304
    assert address in as_doctor.get("/accounts/profile/").content.decode()

    with django_capture_on_commit_callbacks(execute=True):
        post_picture(as_doctor, picture("PNG"))
    doctor.refresh_from_db()
    assert doctor.avatar.name != first
    assert not default_storage.exists(first)

    with django_capture_on_commit_callbacks(execute=True):
        as_doctor.post("/accounts/profile/picture/", {"remove": "1"})
    doctor.refresh_from_db()
    assert not doctor.avatar
    assert as_other_doctor.get(address).status_code == 404
    assert AuditEntry.objects.filter(what="picture-changed").count() == 3


def test_picture_file_stays_if_the_account_may_have_been_saved(as_doctor, doctor, monkeypatch):
    kept = []
    monkeypatch.setattr(avatars, "_replace", lambda user, name: kept.append(name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        avatars.change_avatar(user=doctor, data=picture())
    assert default_storage.exists(kept[0])  # `fsck --repair` removes it


def test_pictures_are_for_signed_in_users(client, as_doctor, doctor):
    post_picture(as_doctor, picture())
    address = f"/accounts/{doctor.pk}/avatar/"
    assert client.get(address).headers["Location"] == f"/accounts/login/?next={address}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("王怡君", "怡君"),
        ("歐陽 小明", "小明"),
        ("Chen Wei-Lun", "CW"),
        ("Madonna", "M"),
        ("x", "X"),
    ],
)
def test_initials(name, shown):
    assert initials(UserFactory(display_name=name)) == shown


def test_times_are_shown_in_the_users_time_zone(active_model, doctor, as_doctor):
    import datetime

    reading = ReadingFactory(doctor=doctor)
    moment = datetime.datetime(2026, 3, 1, 20, 30, tzinfo=datetime.UTC)
    type(reading).objects.filter(pk=reading.pk).update(created_at=moment)
    address = f"/readings/{reading.pk}/"
    assert "2026-03-02 04:30" in as_doctor.get(address).content.decode()
    doctor.time_zone = "America/New_York"
    doctor.save()
    assert "2026-03-01 15:30" in as_doctor.get(address).content.decode()


def test_invalid_time_zone_is_ignored(doctor, as_doctor, active_model):
    for zone in ("Mars/Olympus", "../../etc/passwd", "\0"):
        doctor.time_zone = zone
        assert zone_of(doctor) is None
    doctor.time_zone = "Mars/Olympus"
    doctor.save()
    assert as_doctor.get("/").status_code == 200
    refused = as_doctor.post("/accounts/profile/", {"display_name": "A", "time_zone": "Mars/X"})
    assert "time_zone" in refused.context["form"].errors
    assert "Asia/Taipei" in dict(choices())


@pytest.mark.parametrize(
    ("said", "shown"),
    [(FIREFOX, "Firefox on Windows"), (IPHONE, "Safari on iPhone"), ("curl/8", "Unknown browser")],
)
def test_user_agent_is_described(said, shown):
    with translation.override("en"):
        assert device_of(said) == shown


def test_own_sessions_are_listed_and_can_be_ended(active_model):
    doctor = DoctorFactory()
    here, there = (
        Client(headers={"user-agent": FIREFOX, "accept-language": "en"}),
        Client(headers={"user-agent": IPHONE}),
    )
    for browser in (here, there):
        browser.post("/accounts/login/", {"login": doctor.email, "password": PASSWORD})
    page = here.get("/accounts/sessions/").content.decode()
    assert "Firefox on Windows" in page
    assert "Safari on iPhone" in page
    assert page.count("this session") == 1
    other = UserSession.objects.get(user_agent=IPHONE)
    assert here.post(f"/accounts/sessions/{other.pk}/end/").status_code == 302
    assert there.get("/readings/").status_code == 302
    assert here.get("/readings/").status_code == 200


def test_all_other_sessions_can_be_ended(active_model):
    doctor = DoctorFactory()
    browsers = [Client() for _ in range(3)]
    for browser in browsers:
        browser.post("/accounts/login/", {"login": doctor.email, "password": PASSWORD})
    browsers[0].post("/accounts/sessions/")
    assert [browser.get("/readings/").status_code for browser in browsers] == [200, 302, 302]


def test_other_users_sessions_cannot_be_ended(active_model, as_other_doctor):
    doctor = DoctorFactory()
    browser = Client()
    browser.post("/accounts/login/", {"login": doctor.email, "password": PASSWORD})
    session = UserSession.objects.get(user=doctor)
    assert as_other_doctor.post(f"/accounts/sessions/{session.pk}/end/").status_code == 404
    assert browser.get("/readings/").status_code == 200


def test_licence_number_is_read_only(doctor):
    doctor.licence_number = "醫字第 1 號"
    doctor.save()
    browser = signed_in(doctor)
    assert "醫字第 1 號" in browser.get("/accounts/profile/").content.decode()
    browser.post("/accounts/profile/", {"display_name": "A", "licence_number": "X"})
    doctor.refresh_from_db()
    assert doctor.licence_number == "醫字第 1 號"


def test_sign_up_accepts_a_picture_and_refuses_an_invalid_one():
    browser = Client(headers={"accept-language": "en"})
    asked = {
        "display_name": "Mei", "email": "mei@example.org", "password1": PASSWORD,
        "password2": PASSWORD, "hospital": "H", "department": "D",
    }  # fmt: skip
    bad = SimpleUploadedFile("me.jpg", b"no picture")
    page = browser.post("/accounts/signup/", asked | {"picture": bad})
    assert "not a JPEG, PNG or WebP" in page.content.decode()
    assert not User.objects.exists()
    good = SimpleUploadedFile("me.jpg", picture())
    assert browser.post("/accounts/signup/", asked | {"picture": good}).status_code == 302
    assert default_storage.exists(User.objects.get().avatar.name)
