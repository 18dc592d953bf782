"""What a shared case contains: nothing that identifies the patient."""

import base64
import datetime
import io
import json
import re

import numpy as np
import pytest
from django.core import mail
from django.utils import timezone, translation
from PIL import Image

from diagnosis.models import Label, Reading
from diagnosis.services import sharing
from diagnosis.services.sharing import Box
from mlcore.engine.films.film import read_film
from mlcore.engine.films.redaction import render_redacted
from tests.conftest import post_film, signed_in
from tests.diagnosis.sharing import (
    address,
    hidden_fields,
    send,
    shown_picture,
)
from tests.factories import ReadingFactory
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db

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
