"""Sharing a case on the board: who may share, the steps and their errors."""

import html
import json
import re
import uuid

import pytest
from django.core.exceptions import PermissionDenied, ValidationError

from accounts.models import AuditEntry
from diagnosis import board as boards
from diagnosis.forms.sharing import BoxesField
from diagnosis.models import SharedCase
from diagnosis.services import sharing
from diagnosis.services.films import FilmMissingError
from diagnosis.services.sharing import Box
from tests.diagnosis.sharing import CORNER, address, filled, hidden_fields, send, shared

pytestmark = pytest.mark.django_db


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
