"""Spoilers: what a case's author hides until the reader opens it."""

import re
import uuid

import pytest
from django.core import mail
from django.utils import timezone, translation

from diagnosis.services import sharing
from forum import mailing, markdown, notifications, pages, spoilers
from forum.models import Notification, Picture
from tests import board
from tests.conftest import signed_in
from tests.factories import ReadingFactory

BODY = "What do you see?\n\n:::spoiler Model's result\nResult: **Pneumonia** (.97).\n:::\n\nThanks"


def html(body: str) -> str:
    return markdown.render(body, pictures={})


def test_a_spoiler_is_closed_details():
    made = html(BODY)
    assert '<details class="spoiler"><summary>Model\'s result</summary>' in made.replace("\n", "")
    assert "<strong>Pneumonia</strong>" in made
    assert re.search(r"</details>\s*<p>Thanks</p>", made)
    assert " open" not in made


@pytest.mark.parametrize(
    ("body", "inside"),
    [
        (":::spoiler\nA", "A"),  # not closed: until the end
        ("> :::spoiler X\n> A\n> :::\n\nB", "A"),
        ("text\n:::spoiler X\nA\n:::", "A"),
        ("1. one\n\n   :::spoiler X\n   A\n   :::\n\nB", "A"),
        ("::: SPOILER X\nA\n:::", "A"),
    ],
)
def test_spoilers_anywhere(body, inside):
    made = html(body)
    hidden = re.search(r"<details.*?</details>", made, re.S)[0]
    assert inside in hidden
    assert "B" not in hidden.replace("<b", "")


@pytest.mark.parametrize(
    "body", ["    :::spoiler\n    A", "```\n:::spoiler\nA\n```", ":::spoil\nA"]
)
def test_other_text_is_no_spoiler(body):
    assert "<details" not in html(body)


def test_markup_in_a_title_is_text():
    made = html(':::spoiler <img src=x onerror=alert(1)> "\nA\n:::')
    assert "<img" not in made
    assert "&lt;img" in made


def test_readers_of_excerpts_and_search_see_the_title_alone():
    assert "Pneumonia" not in pages.excerpt(BODY, "see")
    assert "Model's result" in pages.excerpt(BODY, "see")
    assert "Thanks" in spoilers.removed(BODY)
    quoted = "> :::spoiler X\n> Pneumonia\n> :::\n\nMy view"
    assert "Pneumonia" not in spoilers.removed(quoted)
    assert "My view" in spoilers.removed(quoted)


@pytest.mark.django_db
def test_a_shared_case_does_not_give_the_result_away(
    lenient_model, doctor, other_doctor, supervisor
):
    reading = ReadingFactory(
        doctor=doctor, label="PNEUMONIA", probabilities={"NORMAL": 0.03, "PNEUMONIA": 0.97}
    )
    with translation.override("en"):
        draft = sharing.default_text(reading)
    for hidden in ("Pneumonia", "pneumonia", "0.970"):
        assert hidden not in draft.title
        assert hidden not in spoilers.removed(draft.body)
        assert hidden in draft.body or hidden == "pneumonia"
    notifications.set_mail(user=other_doctor, mail="AT_ONCE")
    topic = board.open_topic(
        doctor, title=draft.title, body=f"@{other_doctor.display_name} {draft.body}",
        submission=uuid.uuid4(),
    )  # fmt: skip
    Notification.objects.update(created_at=timezone.now() - 2 * mailing.GRACE)
    mailing.send_due(site="")
    assert len(mail.outbox) == 1
    assert "neumonia" not in mail.outbox[0].subject + mail.outbox[0].body
    browser = signed_in(other_doctor)
    shown = browser.get(f"/forum/{topic.pk}/").content.decode()
    body = re.search(r'<div class="post-body">.*?</article>', shown, re.S)[0]
    before, after = body.split("<details", 1)
    assert "0.970" not in before
    assert "0.970" in after
    assert "0.970" not in browser.get("/forum/?q=chest", follow=True).content.decode()
    assert "No results" in browser.get("/forum/?q=pneumonia", follow=True).content.decode()
    for address in ("/forum/", "/forum/notifications/"):
        assert "neumonia" not in browser.get(address).content.decode().split("<main")[1]


@pytest.mark.django_db
def test_a_picture_opens_large_for_those_who_may_see_it(doctor, other_doctor, ml_engineer):
    topic = board.open_case(doctor)
    picture = Picture.objects.get()
    large = f"/forum/pictures/{picture.pk}/large/"
    browser = signed_in(other_doctor)
    shown = browser.get(f"/forum/{topic.pk}/").content.decode()
    assert f'<a class="picture-link" href="{large}"' in shown
    page = browser.get(large).content.decode()
    assert f'src="/forum/pictures/{picture.pk}/"' in page
    assert f'href="{topic.get_absolute_url()}#post-1"' in page
    assert signed_in(ml_engineer).get(large).status_code == 404
    sharing_board = signed_in(ml_engineer).get(f"/forum/{topic.pk}/").content.decode()
    assert large not in sharing_board


@pytest.mark.django_db
def test_a_picture_within_a_link_stays_one_link(doctor):
    picture = Picture(pk=uuid.uuid4(), width=1, height=1)
    body = f"[![A](/forum/pictures/{picture.pk}/)](/forum/)"
    made = markdown.render(body, pictures={picture.pk: picture})
    assert made.count("<a ") == 1
