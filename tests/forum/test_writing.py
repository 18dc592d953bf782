"""Topics, replies, edits, deletions and drafts."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection

from accounts.models import AuditEntry
from forum import moderation, services
from forum.models import Category, Draft, Post, Topic
from tests import board, factories
from tests.conftest import signed_in

pytestmark = pytest.mark.django_db
HTMX = {"hx-request": "true"}


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor, title="右下肺浸潤", body="這張怎麼看？")


def text_of(response) -> str:
    return response.content.decode()


def test_doctor_opens_a_topic_and_a_colleague_replies(as_doctor, as_other_doctor, doctor):
    category = Category.objects.get(name_en="Cases")
    sent = board.form(title="  右下肺   浸潤 ", category=category.pk, body="**這張**怎麼看？")
    response = as_doctor.post("/forum/new/", sent, follow=True)
    topic = Topic.objects.get()
    assert response.redirect_chain[-1][0] == f"/forum/{topic.pk}/"
    assert topic.title == "右下肺 浸潤"
    assert "<strong>這張</strong>怎麼看？" in text_of(response)

    response = as_other_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="我也不確定"))
    assert response.headers["Location"] == f"/forum/{topic.pk}/#post-2"
    topic.refresh_from_db()
    assert (topic.post_count, topic.last_author.email) == (
        2,
        Post.objects.get(number=2).author.email,
    )
    listed = text_of(as_doctor.get("/forum/"))
    assert "右下肺 浸潤" in listed
    assert "1 reply" in " ".join(listed.split())
    events = AuditEntry.objects.filter(what__in=["topic-opened", "posted"])
    assert set(events.values_list("what", flat=True)) == {"topic-opened", "posted"}


def test_resubmitted_reply_creates_one_post(as_doctor, topic):
    sent = board.form(body="once")
    first = as_doctor.post(f"/forum/{topic.pk}/reply/", sent)
    second = as_doctor.post(f"/forum/{topic.pk}/reply/", sent)
    assert first.headers["Location"] == second.headers["Location"]
    assert topic.posts.count() == 2


def test_resubmitted_topic_is_opened_once(as_doctor):
    sent = board.form(title="Twice", category=board.open_category().pk)
    as_doctor.post("/forum/new/", sent)
    as_doctor.post("/forum/new/", sent)
    assert Topic.objects.count() == 1


def test_another_users_submission_is_refused_and_the_text_kept(as_other_doctor, topic):
    taken = topic.posts.get().submission
    response = as_other_doctor.post(
        f"/forum/{topic.pk}/reply/", board.form(submission=str(taken), body="my words")
    )
    assert "already been submitted" in text_of(response)
    assert "my words" in text_of(response)
    assert topic.posts.count() == 1


@pytest.mark.parametrize("body", ["", "   \n ", "\x00"])
def test_empty_post_is_refused_with_a_message(as_doctor, topic, body):
    response = as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body=body))
    assert response.status_code == 200
    (said,) = response.context["form"].errors["body"]
    assert said in text_of(response)
    assert topic.posts.count() == 1


def test_overlong_text_is_refused_and_kept(as_doctor, topic):
    response = as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="長" * 20_001))
    assert "長長長" in text_of(response)
    assert topic.posts.count() == 1


def test_htmx_reply_returns_new_posts_and_an_empty_form(as_doctor, other_doctor, topic):
    board.reply(other_doctor, topic, "in the meantime")
    response = as_doctor.post(
        f"/forum/{topic.pk}/reply/", board.form(body="mine", seen="1"), headers=HTMX
    )
    answer = text_of(response)
    assert 'id="post-2"' in answer
    assert 'id="post-3"' in answer
    assert "in the meantime" in answer
    assert 'hx-swap-oob="beforeend:#posts"' in answer
    assert "<html" not in answer


def test_htmx_reply_on_an_outdated_page_redirects_to_the_post(as_doctor, doctor, topic):
    for number in range(30):
        board.reply(doctor, topic, f"reply {number}")
    response = as_doctor.post(
        f"/forum/{topic.pk}/reply/", board.form(body="last", seen="1"), headers=HTMX
    )
    assert response.headers["HX-Redirect"] == f"/forum/{topic.pk}/?page=2#post-32"


def test_edit_keeps_the_previous_text_and_marks_the_post(as_doctor, as_other_doctor, topic):
    post = topic.posts.get()
    sent = {"body": "new words", "title": "New title", "version": 1, "action": "post"}
    response = as_doctor.post(f"/forum/posts/{post.pk}/edit/", sent, follow=True)
    assert "new words" in text_of(response)
    assert "edited" in text_of(response)
    topic.refresh_from_db()
    assert topic.title == "New title"
    history = text_of(as_other_doctor.get(f"/forum/posts/{post.pk}/history/"))
    assert "這張怎麼看？" in history
    assert "new words" in history


def test_conflicting_edit_is_refused_showing_both_texts(as_doctor, doctor, topic):
    post = topic.posts.get()
    services.edit_post(author=doctor, post_id=post.pk, body="from the other tab", version=1)
    sent = {"body": "from this tab", "title": topic.title, "version": 1, "action": "post"}
    answer = text_of(as_doctor.post(f"/forum/posts/{post.pk}/edit/", sent))
    assert "from the other tab" in answer
    assert "from this tab" in answer
    post.refresh_from_db()
    assert post.body == "from the other tab"
    assert 'name="version" value="2"' in answer
    as_doctor.post(f"/forum/posts/{post.pk}/edit/", sent | {"version": 2})
    post.refresh_from_db()
    assert post.body == "from this tab"


def test_deleted_post_leaves_a_notice_and_can_be_restored(
    as_doctor, as_other_doctor, as_supervisor, doctor, topic
):
    post = board.reply(doctor, topic, "said too much")
    as_doctor.post(f"/forum/posts/{post.pk}/delete/")
    seen = text_of(as_other_doctor.get(f"/forum/{topic.pk}/"))
    assert "said too much" not in seen
    assert "deleted by its author" in seen
    assert as_other_doctor.get(f"/forum/posts/{post.pk}/history/").status_code == 404
    assert "said too much" in text_of(as_supervisor.get(f"/forum/{topic.pk}/"))
    as_doctor.post(f"/forum/posts/{post.pk}/undelete/")
    assert "said too much" in text_of(as_other_doctor.get(f"/forum/{topic.pk}/"))


def test_other_users_posts_cannot_be_edited_or_deleted(as_other_doctor, as_supervisor, topic):
    post = topic.posts.get()
    for browser in (as_other_doctor, as_supervisor):
        assert browser.post(f"/forum/posts/{post.pk}/edit/", {"body": "x"}).status_code == 404
        assert browser.post(f"/forum/posts/{post.pk}/delete/").status_code == 404
    post.refresh_from_db()
    assert post.is_standing


def test_locked_topic_accepts_posts_from_supervisors_only(
    as_doctor, as_supervisor, doctor, supervisor, topic
):
    post = topic.posts.get()
    moderation.lock_topic(by=supervisor, topic_id=topic.pk, is_locked=True)
    page = text_of(as_doctor.get(f"/forum/{topic.pk}/"))
    assert "This topic is locked" in page
    answer = as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="still here"))
    assert "locked in the meantime" in text_of(answer)
    with pytest.raises(services.LockedError):
        services.edit_post(author=doctor, post_id=post.pk, body="x", version=1)
    with pytest.raises(services.LockedError):
        services.delete_post(author=doctor, post_id=post.pk)
    assert as_supervisor.post(f"/forum/{topic.pk}/reply/", board.form()).status_code == 302
    assert topic.posts.count() == 2


def test_closed_category_accepts_no_topics(as_doctor, doctor):
    category = board.open_category()
    Category.objects.filter(pk=category.pk).update(is_closed=True)
    answer = as_doctor.post("/forum/new/", board.form(title="T", category=category.pk))
    assert answer.status_code == 200
    with pytest.raises(services.ClosedError):
        board.open_topic(doctor, category=category)
    assert not Topic.objects.exists()


def test_user_without_a_role_cannot_write(topic):
    stranger = factories.UserFactory()
    with pytest.raises(PermissionDenied):
        board.reply(stranger, topic)
    assert signed_in(stranger).get("/forum/").status_code == 403


def test_quoting_fills_the_reply_with_the_post(as_other_doctor, doctor, topic):
    board.reply(doctor, topic, "> older words\n\nnewer words")
    page = text_of(as_other_doctor.get(f"/forum/{topic.pk}/?quote=2"))
    assert "&gt; newer words" in page
    assert "&gt; older words" not in page.replace("&gt; &gt;", "")
    assert "#2" in page


def test_preview_equals_the_post(as_doctor, topic):
    body = "# Head\n\n- a\n- b\n\n<b>raw</b> @nobody"
    shown = text_of(as_doctor.post("/forum/preview/", {"body": body})).strip()
    as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body=body))
    page = text_of(as_doctor.get(f"/forum/{topic.pk}/"))
    assert shown in page
    assert "<h3>Head</h3>" in shown
    assert "&lt;b&gt;raw&lt;/b&gt;" in shown


def test_preview_without_javascript_keeps_the_text(as_doctor, topic):
    answer = text_of(
        as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="**so**", action="preview"))
    )
    assert "<strong>so</strong>" in answer
    assert ">**so**</textarea>" in answer.replace("\n**so**", "**so**")
    assert "invalid-feedback" not in answer
    assert topic.posts.count() == 1


class TestDrafts:
    def test_draft_is_restored_and_removed_after_posting(self, as_doctor, topic):
        saved = as_doctor.post("/forum/draft/", {"topic": topic.pk, "body": "half a thou"})
        assert saved.json() == {"saved": True}
        page = text_of(as_doctor.get(f"/forum/{topic.pk}/"))
        assert "half a thou" in page
        assert "Draft restored" in page
        as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="half a thought"))
        assert not Draft.objects.exists()

    def test_topic_draft_keeps_title_and_category(self, as_doctor):
        category = Category.objects.last()
        fields = {"topic": "", "title": "A title", "body": "b", "category": category.pk}
        as_doctor.post("/forum/draft/", fields)
        as_doctor.post("/forum/draft/", fields | {"title": "A better title"})
        page = text_of(as_doctor.get("/forum/new/"))
        assert 'value="A better title"' in page
        assert f'<option value="{category.pk}" selected>' in page
        assert Draft.objects.count() == 1

    def test_emptied_draft_is_removed(self, as_doctor, topic):
        as_doctor.post("/forum/draft/", {"topic": topic.pk, "body": "x"})
        assert as_doctor.post("/forum/draft/", {"topic": topic.pk, "body": " "}).json() == {
            "saved": False
        }
        assert not Draft.objects.exists()

    def test_drafts_are_private(self, as_doctor, as_other_doctor, as_supervisor, topic):
        as_doctor.post("/forum/draft/", {"topic": topic.pk, "body": "private words"})
        for browser in (as_other_doctor, as_supervisor):
            assert "private words" not in text_of(browser.get(f"/forum/{topic.pk}/"))

    @pytest.mark.parametrize("key", ["0", "x", "9" * 30, "-1"])
    def test_draft_for_an_unknown_topic_is_refused(self, as_doctor, key):
        assert as_doctor.post("/forum/draft/", {"topic": key, "body": "x"}).status_code == 404

    def test_draft_is_saved_by_a_button_without_javascript(self, as_doctor, topic):
        as_doctor.post(f"/forum/{topic.pk}/reply/", board.form(body="later", action="draft"))
        assert Draft.objects.get().body == "later"
        assert topic.posts.count() == 1


def test_link_to_a_post_redirects_to_its_page(as_doctor, doctor, topic):
    for number in range(25):
        post = board.reply(doctor, topic, f"reply {number}")
    response = as_doctor.get(f"/forum/posts/{post.pk}/")
    assert response.headers["Location"] == f"/forum/{topic.pk}/?page=2#post-26"
    page = text_of(as_doctor.get(f"/forum/{topic.pk}/?page=2"))
    assert 'id="post-26"' in page
    assert 'id="post-20"' not in page


@pytest.mark.parametrize(
    ("page", "shown"), [("0", 1), ("-3", 1), ("99", 2), ("x", 1), ("9" * 40, 2), ("²", 1)]
)
def test_invalid_page_number_shows_the_nearest_page(as_doctor, doctor, topic, page, shown):
    for _ in range(25):
        board.reply(doctor, topic)
    text = text_of(as_doctor.get(f"/forum/{topic.pk}/", {"page": page}))
    assert ('id="post-1"' in text) == (shown == 1)
    assert ('id="post-26"' in text) == (shown == 2)
    assert as_doctor.get("/forum/", {"page": page}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_concurrent_posts_get_different_numbers():
    people = factories.DoctorFactory.create_batch(4)
    topic = board.open_topic(people[0])

    def write(person) -> list[int]:
        try:
            return [board.reply(person, topic).number for _ in range(3)]
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as writers:
        numbers = [number for each in writers.map(write, people) for number in each]
    assert sorted(numbers) == list(range(2, 14))
    topic.refresh_from_db()
    assert topic.post_count == 13


def test_failed_reply_leaves_no_post(doctor, topic, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("forum.search.refresh", fail)
    with pytest.raises(OSError, match="no space"):
        board.reply(doctor, topic)
    topic.refresh_from_db()
    assert (topic.post_count, topic.posts.count()) == (1, 1)


def test_submissions_are_unique_in_the_database(doctor, topic):
    from django.db import IntegrityError

    same = uuid.uuid4()
    Post.objects.create(topic=topic, number=2, author=doctor, body="x", submission=same)
    with pytest.raises(IntegrityError):
        Post.objects.create(topic=topic, number=3, author=doctor, body="x", submission=same)
