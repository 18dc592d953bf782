"""Moderation, reports and their audit log."""

import pytest
from django.core.exceptions import PermissionDenied

from accounts.audit.verify import verify_log
from accounts.models import AuditEntry
from forum import moderation, services
from forum.models import Category, Notification, Report, Topic
from tests import board

pytestmark = pytest.mark.django_db


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor, title="右下肺浸潤", body="first words")


def moderate(browser, topic, what: str, **more):
    return browser.post(f"/forum/{topic.pk}/moderate/", {"do": what, **more})


def events() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("what", flat=True))


def test_pinned_topics_come_first(as_supervisor, as_doctor, doctor, topic):
    board.open_topic(doctor, title="newer")
    moderate(as_supervisor, topic, "pin")
    listed = as_doctor.get("/forum/").content.decode()
    assert listed.index("右下肺浸潤") < listed.index("newer")
    assert "Pinned:" in listed
    moderate(as_supervisor, topic, "unpin")
    listed = as_doctor.get("/forum/").content.decode()
    assert listed.index("newer") < listed.index("右下肺浸潤")
    assert {"topic-pinned", "topic-unpinned"} <= set(events())


def test_topic_is_moved(as_supervisor, as_doctor, topic):
    there = Category.objects.last()
    moderate(as_supervisor, topic, "move", category=there.pk)
    assert "右下肺" in as_doctor.get(f"/forum/?category={there.pk}").content.decode()
    before = Category.objects.first().pk
    assert "右下肺" not in as_doctor.get(f"/forum/?category={before}").content.decode()
    assert moderate(as_supervisor, topic, "move", category="x").status_code == 404
    assert "topic-moved" in events()


def test_hidden_topic_is_visible_to_supervisors_only(
    as_supervisor, as_doctor, as_other_doctor, topic
):
    as_supervisor.post(f"/forum/{topic.pk}/hide/", {"reason": "off topic"})
    for browser in (as_doctor, as_other_doctor):
        assert browser.get(f"/forum/{topic.pk}/").status_code == 404
        assert "右下肺" not in browser.get("/forum/").content.decode()
        assert browser.post(f"/forum/{topic.pk}/reply/", board.form()).status_code == 404
    page = as_supervisor.get(f"/forum/{topic.pk}/").content.decode()
    assert "off topic" in page
    moderate(as_supervisor, topic, "show")
    assert as_doctor.get(f"/forum/{topic.pk}/").status_code == 200


def test_hidden_post_leaves_a_notice(as_supervisor, as_doctor, other_doctor, topic):
    post = board.reply(other_doctor, topic, "rude words")
    as_supervisor.post(f"/forum/posts/{post.pk}/hide/", {"reason": "rude"})
    page = as_doctor.get(f"/forum/{topic.pk}/").content.decode()
    assert "rude" not in page
    assert "hidden by a supervisor" in page
    assert "rude words" in as_supervisor.get(f"/forum/{topic.pk}/").content.decode()
    with pytest.raises(services.Post.DoesNotExist):
        services.edit_post(author=other_doctor, post_id=post.pk, body="x", version=1)


@pytest.mark.parametrize("reason", ["", "  ", "\x00"])
def test_hiding_needs_a_reason(as_supervisor, topic, reason):
    as_supervisor.post(f"/forum/{topic.pk}/hide/", {"reason": reason})
    assert Topic.objects.filter(hidden_at__isnull=True).exists()


def test_erasing_removes_text_versions_and_images(
    as_supervisor, as_doctor, doctor, topic, django_capture_on_commit_callbacks
):
    address = as_doctor.post("/forum/pictures/", {"picture": upload()}).json()["url"]
    post = board.reply(doctor, topic, f"A123456789 ![]({address})")
    services.edit_post(
        author=doctor, post_id=post.pk, body=f"no longer there ![]({address})", version=1
    )
    stored = post.pictures.get().file
    assert stored.storage.exists(stored.name)
    with django_capture_on_commit_callbacks(execute=True):
        as_supervisor.post(
            f"/forum/posts/{post.pk}/hide/", {"reason": "patient data", "do": "erase"}
        )
    post.refresh_from_db()
    assert post.body == ""
    assert not post.versions.exists()
    assert not stored.storage.exists(stored.name)
    for browser in (as_supervisor, as_doctor):
        page = browser.get(f"/forum/{topic.pk}/").content.decode()
        assert "was erased" in page
        assert "no longer there" not in page
        assert browser.get(address).status_code == 404
    assert as_doctor.post(f"/forum/posts/{post.pk}/undelete/").status_code == 404
    entry = AuditEntry.objects.get(what="post-erased")
    assert "patient data" in str(entry.additional_data)
    logged = str(list(AuditEntry.objects.values_list("changes", "object_repr")))
    assert "A123456789" not in logged, "erased text must not stay in the log"


def upload():
    from django.core.files.uploadedfile import SimpleUploadedFile

    return SimpleUploadedFile("p.png", board.picture())


class TestReports:
    @pytest.fixture
    def report(self, as_doctor, other_doctor, topic):
        post = board.reply(other_doctor, topic, "suspect words")
        as_doctor.post(f"/forum/posts/{post.pk}/report/", {"reason": "advertising"})
        return Report.objects.get()

    def test_report_is_listed_in_the_admin(self, as_supervisor, report):
        assert "open reports" in as_supervisor.get("/admin/").content.decode()
        assert "advertising" in as_supervisor.get("/admin/forum/report/").content.decode()
        page = as_supervisor.get(f"/admin/forum/report/{report.pk}/change/").content.decode()
        assert "suspect words" in page

    def test_hiding_closes_the_report_and_notifies_the_reporter(
        self, as_supervisor, doctor, report
    ):
        as_supervisor.post(
            f"/admin/forum/report/{report.pk}/change/", {"do": "hide", "reason": "advertising"}
        )
        report.refresh_from_db()
        assert report.outcome == Report.Outcome.HIDDEN
        assert report.post.__class__.objects.get(pk=report.post_id).is_hidden
        assert Notification.objects.get(recipient=doctor, kind="REPORT")
        assert moderation.reports_waiting() == 0
        assert {"post-reported", "post-hidden", "report-decided"} <= set(events())
        assert list(verify_log()) == []

    def test_keeping_the_post_closes_the_report_and_notifies_the_reporter(
        self, as_supervisor, doctor, report
    ):
        as_supervisor.post(f"/admin/forum/report/{report.pk}/change/", {"do": "leave"})
        report.refresh_from_db()
        assert report.outcome == Report.Outcome.LEFT
        assert Notification.objects.filter(recipient=doctor, kind="REPORT").exists()
        decided = as_supervisor.get("/admin/forum/report/?state=decided").content.decode()
        assert "advertising" in decided

    def test_hiding_without_a_reason_leaves_the_report_open(self, as_supervisor, report):
        as_supervisor.post(f"/admin/forum/report/{report.pk}/change/", {"do": "hide"})
        report.refresh_from_db()
        assert report.handled_at is None

    def test_second_report_by_the_same_user_is_the_first(self, doctor, report):
        again = moderation.report_post(reporter=doctor, post_id=report.post_id, reason="again")
        assert again.pk == report.pk

    def test_reports_are_not_shown_to_others(self, as_other_doctor, doctor, report):
        page = as_other_doctor.get(f"/forum/{report.post.topic_id}/").content.decode()
        assert "advertising" not in page


@pytest.mark.parametrize(
    "act",
    [
        lambda by, topic, post: moderation.pin_topic(by=by, topic_id=topic, is_pinned=True),
        lambda by, topic, post: moderation.lock_topic(by=by, topic_id=topic, is_locked=True),
        lambda by, topic, post: moderation.move_topic(
            by=by, topic_id=topic, category=Category.objects.last()
        ),
        lambda by, topic, post: moderation.hide_topic(by=by, topic_id=topic, reason="r"),
        lambda by, topic, post: moderation.show_topic(by=by, topic_id=topic),
        lambda by, topic, post: moderation.hide_post(by=by, post_id=post, reason="r"),
        lambda by, topic, post: moderation.show_post(by=by, post_id=post),
        lambda by, topic, post: moderation.erase_post(by=by, post_id=post, reason="r"),
        lambda by, topic, post: moderation.leave_post(by=by, post_id=post),
    ],
)
def test_only_supervisors_can_moderate(act, doctor, ml_engineer, topic):
    for person in (doctor, ml_engineer):
        with pytest.raises(PermissionDenied):
            act(person, topic.pk, topic.posts.get().pk)


def test_categories_are_managed_in_the_admin(as_supervisor, topic):
    fields = {
        "name_zh_hant": "夜班",
        "name_en": "Night shift",
        "position": 5,
        "opened_by": "EVERYONE",
    }
    as_supervisor.post("/admin/forum/category/add/", fields)
    assert Category.objects.first().name_en == "Night shift"
    used = topic.category
    assert as_supervisor.get(f"/admin/forum/category/{used.pk}/delete/").status_code == 403
