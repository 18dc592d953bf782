"""Sharing a case on the board: what it contains, who may share, and withdrawing it."""

import base64
import datetime
import html
import io
import json
import re
import uuid

import numpy as np
import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied, ValidationError
from django.utils import timezone, translation
from PIL import Image

from accounts.models import AuditEntry
from diagnosis import board as boards
from diagnosis import retention
from diagnosis.forms.sharing import BoxesField
from diagnosis.models import Label, Reading, SharedCase
from diagnosis.services import sharing
from diagnosis.services.films import FilmMissingError
from diagnosis.services.sharing import Box
from mlcore.engine.films.film import read_film
from mlcore.engine.films.redaction import render_redacted
from tests.conftest import post_film, signed_in
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db

CORNER = "70 0 30 8"


def filled(**changes: object) -> dict[str, object]:
    """Return the data of the sharing form, with `changes`."""
    return {
        "category": "7",
        "title": "A consolidation?",
        "body": "What do **you** see?",
        "boxes": CORNER,
        "submission": str(uuid.uuid4()),
    } | changes


def address(reading: Reading, page: str = "share/") -> str:
    return f"/readings/{reading.pk}/{page}"


def send(browser, reading: Reading, step: str, **changes: object):
    return browser.post(address(reading), filled(step=step, **changes))


def shared(browser, reading: Reading, **changes: object) -> SharedCase:
    response = send(browser, reading, "post", confirmed="on", **changes)
    assert response.status_code == 302, response.content.decode()
    return SharedCase.objects.get(url=response.headers["Location"])


def shown_picture(page: str) -> bytes:
    match = re.search(r'src="data:image/png;base64,([^"]+)"', page)
    assert match, "no image in the preview"
    return base64.b64decode(match[1])


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden fields of the preview's form."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields if name != "csrfmiddlewaretoken"}


# De-identification ----------------------------------------------------------------------------

SECRET_NAME, SECRET_NUMBER, SECRET_FILE = "陳小明", "K4471902", "chen-siao-ming-4471902"
EXAM = datetime.date(2025, 3, 9)
MARKERS = [
    "Exif", "eXIf", "tEXt", "zTXt", "iTXt", "tIME", "iCCP", "pHYs", "JFIF", "DICM", "1.2.840",
    "Photoshop", "<?xpacket",
]  # fmt: skip


def spellings(day: datetime.date) -> list[str]:
    """Return the ways to write a day, in Taiwan and elsewhere."""
    year, month, date = day.year, day.month, day.day
    return [
        day.isoformat(),
        f"{day:%Y%m%d}", f"{day:%Y/%m/%d}", f"{day:%Y.%m.%d}", f"{day:%d.%m.%Y}",
        f"{day:%d/%m/%Y}", f"{day:%m/%d/%Y}", f"{year}/{month}/{date}", f"{month}/{date}/{year}",
        f"{year}年{month}月{date}日", f"{year - 1911}年{month}月{date}日",
        f"{year - 1911}/{day:%m/%d}", f"{year - 1911}{day:%m%d}",
        f"{day:%B} {date}", f"{date} {day:%B}", f"{day:%b} {date}", f"{date} {day:%b}",
        f"{month}月{date}日",
    ]  # fmt: skip


def identifiers(reading: Reading) -> list[str]:
    days = spellings(EXAM) + spellings(timezone.localdate(reading.created_at))
    return [
        SECRET_NAME, "小明", "Chen", "Siao", SECRET_NUMBER, SECRET_NUMBER.lower(), "4471902",
        SECRET_FILE, str(reading.pk), reading.pk.hex, str(reading.pk)[:8], reading.film_sha256,
        reading.film_sha256[:12], reading.bundle_sha256, "/readings/", *days,
    ]  # fmt: skip


@pytest.fixture(params=["dicom", "jpeg", "png"])
def secret_reading(request, lenient_model, as_doctor) -> Reading:
    """A reading of a file full of identifiers."""
    pixels = synthetic_film("PNEUMONIA", seed=3, size=1000)
    if request.param == "dicom":
        data = encode_dicom(
            pixels,
            patient_name=f"Chen^Siao-Ming={SECRET_NAME}",
            patient_id=SECRET_NUMBER,
            study_date=f"{EXAM:%Y%m%d}",
            age="004Y",
        )
    else:
        data = with_metadata(pixels, request.param)
    sent = {
        "patient_name": SECRET_NAME,
        "patient_number": SECRET_NUMBER,
        "patient_age_years": 4,
        "exam_date": EXAM.isoformat(),
    }
    assert post_film(as_doctor, data, f"{SECRET_FILE}.{request.param}", **sent).status_code == 302
    return Reading.objects.get()


def with_metadata(pixels: np.ndarray, format: str) -> bytes:
    from PIL.PngImagePlugin import PngInfo

    picture, out = Image.fromarray(pixels), io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = f"{SECRET_NUMBER} Chen Siao-Ming {EXAM:%Y%m%d}"
    text = PngInfo()
    text.add_text("Patient", f"Chen Siao-Ming {SECRET_NUMBER}")
    options = {"pnginfo": text} if format == "png" else {"comment": SECRET_NUMBER}
    picture.save(out, format, exif=exif, dpi=(300, 300), **options)
    assert SECRET_NUMBER.encode() in out.getvalue()
    return out.getvalue()


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_a_shared_case_contains_no_patient_identifier(language, secret_reading, doctor, board):
    """Post the proposed case through the pages and search it for every identifier."""
    browser = signed_in(doctor)
    browser.defaults["HTTP_ACCEPT_LANGUAGE"] = language
    mail.outbox.clear()
    form = browser.get(address(secret_reading)).context["form"]
    proposed = {name: form[name].value() for name in ("title", "body", "submission")}
    preview = send(browser, secret_reading, "preview", **proposed)
    sent = hidden_fields(preview.content.decode()) | {"step": "post", "confirmed": "on"}
    response = browser.post(address(secret_reading), sent)
    assert response.status_code == 302
    (case,) = board.cases
    assert set(case) == {"category", "title", "body", "picture", "alternative", "submission"}
    picture = case.pop("picture")
    words = json.dumps(case, ensure_ascii=False, default=str)
    words += "".join(str(message.message()) for message in mail.outbox)
    article = re.search(r"<article.*?</article>", preview.content.decode(), re.DOTALL)
    assert article
    words += article[0].replace(base64.b64encode(picture).decode(), "")
    for secret in identifiers(secret_reading):
        assert secret not in words, f"{secret!r} is in the post"
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "big5"):
            assert secret.encode(encoding) not in picture, f"{secret!r} is in the picture"
    posted = " ".join(str(case[part]) for part in ("title", "body", "alternative"))
    assert not re.search(r"(?<![\d.–])4(?![\d.])", posted.replace("0–4", "")), posted
    assert "0–4" in posted
    for marker in MARKERS:
        assert marker.encode() not in picture, f"{marker} is in the picture"


def chunks(png: bytes) -> list[bytes]:
    """Return the chunk types of a PNG file."""
    kinds, at = [], 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        kinds.append(png[at + 4 : at + 8])
        at += 12 + length
    return kinds


def test_the_shared_image_is_small_greyscale_and_without_metadata(secret_reading):
    picture = sharing.redact(secret_reading, [])
    assert set(chunks(picture)) == {b"IHDR", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (1000, 1000))
        assert not image.getexif()
        assert image.info == {}
    assert sharing.redact(secret_reading, []) == picture


def pixels_of(picture: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image)


def test_the_posted_image_is_the_previewed_one_with_its_black_boxes(reading, as_doctor, board):
    boxes = "70.31 0 29.69 8\r\n\r\n0 95 20.5 5"
    page = send(as_doctor, reading, "preview", boxes=boxes).content.decode()
    sent = hidden_fields(page) | {"step": "post", "confirmed": "on"}
    as_doctor.post(address(reading), sent)
    (case,) = board.cases
    assert case["picture"] == shown_picture(page)
    drawn, plain = pixels_of(case["picture"]), pixels_of(sharing.redact(reading, []))
    height, width = drawn.shape
    assert (drawn[: int(0.08 * height), int(0.7031 * width) :] == 0).all()
    assert (drawn[int(0.95 * height) :, : int(0.205 * width)] == 0).all()
    assert plain[: int(0.08 * height), int(0.7031 * width) :].max() > 0
    middle = np.s_[int(0.2 * height) : int(0.8 * height)]
    assert (drawn[middle] == plain[middle]).all()


def test_pixels_under_a_box_do_not_affect_their_neighbours():
    one = synthetic_film("NORMAL", seed=1, size=1200).copy()
    other = one.copy()
    other[0:96, 840:1200] = 255 - other[0:96, 840:1200]
    pictures = {
        render_redacted(read_film(encode(pixels, "png")), [Box(0.7, 0, 0.3, 0.08)], max_side=800)
        for pixels in (one, other)
    }
    assert len(pictures) == 1


@pytest.mark.parametrize(
    ("years", "group"),
    [(0, "0–4"), (4, "0–4"), (5, "5–9"), (17, "15–19"), (89, "85–89"), (90, "90+"), (130, "90+")],
)
def test_an_age_is_given_as_a_five_year_group(years, group):
    assert sharing.age_group(years) == group


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (Label.PNEUMONIA, "Model result: Pneumonia (probability of pneumonia 0.100)"),
        (Label.NORMAL, "Model result: Normal"),
        (Label.UNSURE, "The model's result is inconclusive"),
        (Label.OUT_OF_SCOPE, "out of scope for the model"),
    ],
)
def test_the_draft_contains_the_model_result(label, says, active_model):
    with translation.override("en"):
        draft = sharing.default_text(ReadingFactory(label=label, patient_age_years=7))
    assert says in draft.body
    assert "5–9 years" in draft.title
    assert ("0.100" in draft.body) is (label != Label.OUT_OF_SCOPE)


# The form -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["70 0 31 8", "-1 0 5 5", "0 0 0 5", "nan 0 5 5", "0 inf 5 5", "1 2 3", "1 2 3 4 5", "a b c d"],
)
def test_an_invalid_box_is_reported_with_its_line(text, reading, as_doctor, board):
    page = send(as_doctor, reading, "preview", boxes=f"1 1 5 5\n{text}")
    assert "Line 2 is not a box on the image." in page.content.decode()
    assert text in html.unescape(page.content.decode()), "the input is kept"
    assert board.cases == []


def test_at_most_twenty_boxes(reading):
    assert len(BoxesField().clean("1 1 5 5\n" * 20)) == 20
    with pytest.raises(ValidationError, match="At most 20 boxes are allowed"):
        BoxesField().clean("1 1 5 5\n" * 21)
    with pytest.raises(ValueError, match="At most 20"):
        sharing.redact(reading, [Box(0, 0, 1, 1)] * 21)


def test_a_box_may_touch_the_far_edge():
    (box,) = BoxesField().clean("70.1 33.3 29.9 66.7")
    rows, columns = box.pixels(800, 600)
    assert (rows.stop, columns.stop) == (600, 800)


def test_sharing_works_without_scripts(reading, as_doctor, board):
    page = as_doctor.get(address(reading)).content.decode()
    assert re.search(r'<textarea[^>]*name="boxes"', page)
    assert "What do you see?" in page
    preview = send(as_doctor, reading, "preview", body="*first* <b>\n\nsecond").content.decode()
    assert "<p>*first* &lt;b&gt;" in preview, "rendered as on the board"
    assert "Questions" in preview
    sent = hidden_fields(preview)
    assert sent["body"] == "*first* <b>\n\nsecond"
    back = as_doctor.post(address(reading), sent | {"step": "edit"}).content.decode()
    assert "*first* &lt;b&gt;" in back
    assert CORNER in back
    assert 'value="7" selected' in back
    refused = as_doctor.post(address(reading), sent | {"step": "post"}).content.decode()
    assert "tick this box" in refused
    assert board.cases == []
    as_doctor.post(address(reading), sent | {"step": "post", "confirmed": "on"})
    assert board.cases[0]["title"] == "A consolidation?"
    assert board.cases[0]["category"] == 7


@pytest.mark.parametrize(
    "changes",
    [
        {"title": " "},
        {"title": "a" * 121},
        {"body": ""},
        {"body": "\x00"},
        {"category": "3"},
        {"submission": "x"},
    ],
)
def test_an_incomplete_form_posts_nothing(changes, reading, as_doctor, board):
    for step in ("preview", "post"):
        response = send(as_doctor, reading, step, confirmed="on", **changes)
        assert response.status_code == 200
        assert set(response.context["form"].errors) == set(changes)
        # The submission field is hidden; its error is above the form.
        said = "Enter a valid UUID." if "submission" in changes else "invalid-feedback"
        assert said in response.content.decode()
    assert board.cases == []


def test_resubmitted_form_creates_one_case(reading, as_doctor, board):
    submission = str(uuid.uuid4())
    for _time in range(2):
        shared(as_doctor, reading, submission=submission)
    assert len(board.cases) == SharedCase.objects.count() == 1
    assert AuditEntry.objects.filter(what="case-shared").count() == 1
    shared(as_doctor, reading)
    assert SharedCase.objects.count() == 2


def test_a_patients_name_in_the_text_gives_a_warning_only(reading, as_doctor, board):
    page = send(as_doctor, reading, "preview", title="A123", body="陳小明").content.decode()
    assert "“陳小明” is the name of a patient in one of your readings." in page
    assert "“A123” is the number of a patient in one of your readings." in page
    page = send(as_doctor, reading, "preview").content.decode()
    assert "in one of your readings" not in page
    shared(as_doctor, reading, body="陳小明 is a common name")
    assert len(board.cases) == 1


def test_an_image_without_boxes_gives_a_warning(reading, as_doctor, board):
    for boxes, is_asked in (("", True), (CORNER, False)):
        page = send(as_doctor, reading, "preview", boxes=boxes).content.decode()
        assert ("You have not redacted anything." in page) is is_asked


def test_a_missing_film_cannot_be_shared(reading, as_doctor, board, monkeypatch):
    def missing(reading):
        raise FilmMissingError

    monkeypatch.setattr(sharing, "original_film", missing)
    for step in ("preview", "post"):
        response = send(as_doctor, reading, step, confirmed="on")
        assert response.status_code == 503
        assert "The X-ray is missing from the server&#x27;s storage." in response.content.decode()


def test_a_case_that_the_board_rejects_leaves_no_trace(reading, as_doctor, board, monkeypatch):
    def refuse(**case):
        raise ValueError("closed")

    monkeypatch.setattr(board, "post_case", refuse)
    response = send(as_doctor, reading, "post", confirmed="on")
    assert "rejected the case" in response.content.decode()
    assert not SharedCase.objects.exists()
    assert not AuditEntry.objects.filter(what="case-shared").exists()


# Permissions ----------------------------------------------------------------------------------


def test_only_the_readings_doctor_shares_it(
    reading, as_doctor, as_other_doctor, as_supervisor, as_ml_engineer, board
):
    picture = shared(as_doctor, reading).picture_id
    for page in ("share/", f"share/{picture}/withdraw/"):
        for browser in (as_other_doctor, as_supervisor, as_ml_engineer):
            assert browser.get(address(reading, page)).status_code == 404
            assert browser.post(address(reading, page), filled(step="post")).status_code == 404
        assert as_doctor.get(address(reading, page)).status_code == 200
    assert board.withdrawn == []
    assert len(board.cases) == 1


def test_no_share_button_without_permission_or_board(
    reading, as_doctor, doctor, board, monkeypatch
):
    def looks(expected: bool) -> None:
        page = as_doctor.get(address(reading, "")).content.decode()
        assert ("Share as a case" in page) is expected
        status = as_doctor.get(address(reading)).status_code
        assert status == (200 if expected else 404)

    looks(True)
    board.is_open = False
    looks(False)
    monkeypatch.setattr(boards, "_boards", [])
    looks(False)
    with pytest.raises(PermissionDenied):
        sharing.share_case(
            doctor=doctor, reading_id=reading.pk, category=1, title="x", body="x", boxes=[],
            submission=uuid.uuid4(),
        )  # fmt: skip


def test_sharing_is_audited_without_patient_data(reading, as_doctor, doctor, board):
    case = shared(as_doctor, reading)
    sharing.withdraw_case(doctor=doctor, reading_id=reading.pk, picture_id=case.picture_id)
    rows = AuditEntry.objects.filter(what__startswith="case-").order_by("sequence")
    assert [row.what for row in rows] == ["case-shared", "case-withdrawn"]
    for row in rows:
        assert row.object_pk == str(reading.pk)
        assert row.additional_data["picture"] == str(case.picture_id)
        assert row.additional_data["post"] == case.url
        assert "陳小明" not in json.dumps(row.additional_data, ensure_ascii=False)
    assert rows[0].additional_data["blackened"] == 1
    assert rows[0].actor == doctor


def test_the_preview_is_audited_as_a_view_of_the_film(reading, as_doctor, board):
    send(as_doctor, reading, "preview")
    assert AuditEntry.objects.filter(what="film", object_pk=str(reading.pk)).count() == 1


# Withdrawal -----------------------------------------------------------------------------------


def test_deleting_the_reading_withdraws_every_image_permanently(reading, as_doctor, board):
    cases = {shared(as_doctor, reading).picture_id for _time in range(2)}
    for page in (address(reading, "delete/"), address(reading, "")):
        assert "withdraws the image immediately" in as_doctor.get(page).content.decode()
    for page in ("/", "/readings/"):
        assert "data-delete-is-shared" in as_doctor.get(page).content.decode()
    page = as_doctor.post(address(reading, "delete/"), follow=True).content.decode()
    assert "Its image on the discussion board has been withdrawn permanently." in page
    assert set(board.withdrawn) == cases
    assert not SharedCase.objects.filter(withdrawn_at__isnull=True).exists()
    assert AuditEntry.objects.filter(what="case-withdrawn").count() == 2
    page = as_doctor.post(address(reading, "undelete/"), follow=True).content.decode()
    assert "remains withdrawn" in page
    assert page.count("image withdrawn") == 2
    assert len(board.withdrawn) == 2


def test_a_reading_that_was_not_shared_mentions_no_board(reading, as_doctor, board):
    assert "data-delete-is-shared" not in as_doctor.get("/readings/").content.decode()
    page = as_doctor.get(address(reading, "delete/")).content.decode()
    assert "discussion board" not in page.split("<main")[1]
    page = as_doctor.post(address(reading, "delete/"), follow=True).content.decode()
    assert "Its image" not in page
    page = as_doctor.post(address(reading, "undelete/"), follow=True).content.decode()
    assert "remains withdrawn" not in page


def test_a_failed_deletion_withdraws_nothing(reading, as_doctor, doctor, board, monkeypatch):
    shared(as_doctor, reading)

    def fail(picture_id):
        raise RuntimeError("no such table")

    monkeypatch.setattr(board, "withdraw", fail)
    with pytest.raises(RuntimeError, match="no such table"):
        retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    assert not Reading.objects.get().is_hidden
    assert not SharedCase.objects.get().is_withdrawn


def test_a_purge_withdraws_remaining_images(reading, as_doctor, supervisor, board):
    """Such as after deleting a reading while no board was installed."""
    case = shared(as_doctor, reading)
    Reading.objects.update(hidden_at=timezone.now(), hidden_reason="MISTAKE")
    retention.purge_reading(supervisor=supervisor, reading_id=reading.pk, reason="wrong child")
    assert board.withdrawn == [case.picture_id]
    assert not SharedCase.objects.exists()


def test_a_reading_can_be_deleted_without_a_board(reading, as_doctor, board, monkeypatch, caplog):
    case = shared(as_doctor, reading)
    monkeypatch.setattr(boards, "_boards", [])
    assert as_doctor.post(address(reading, "delete/")).status_code == 302
    assert Reading.objects.get().is_hidden
    assert str(case.picture_id) in caplog.text
    assert not SharedCase.objects.get().is_withdrawn


def test_a_deleted_reading_cannot_be_shared(reading, doctor, board):
    retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason="MISTAKE")
    with pytest.raises(Reading.DoesNotExist):
        sharing.share_case(
            doctor=doctor, reading_id=reading.pk, category=1, title="x", body="x", boxes=[],
            submission=uuid.uuid4(),
        )  # fmt: skip
    assert board.cases == []


def test_one_image_is_withdrawn_without_the_reading(reading, as_doctor, board):
    first, second = shared(as_doctor, reading), shared(as_doctor, reading)
    page = as_doctor.get(address(reading, "")).content.decode()
    assert first.url in page
    withdraw = address(reading, f"share/{first.picture_id}/withdraw/")
    assert withdraw in page
    assert "immediately and permanently" in as_doctor.get(withdraw).content.decode()
    assert board.withdrawn == []
    page = as_doctor.post(withdraw, follow=True).content.decode()
    assert "The image has been withdrawn from the discussion board." in page
    assert board.withdrawn == [first.picture_id]
    assert withdraw not in page
    assert address(reading, f"share/{second.picture_id}/withdraw/") in page
    for method in (as_doctor.get, as_doctor.post):
        assert method(withdraw).status_code == 404, "an image is withdrawn once"
    assert not Reading.objects.get().is_hidden
