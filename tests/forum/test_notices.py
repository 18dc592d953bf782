"""Mentions, follows, unread marks and notification emails."""

import datetime
import smtplib

import pytest
import time_machine
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from forum import mailing, moderation, notifications, services
from forum.mentions import mentioned_in, suggestions
from forum.models import Member, Notification
from tests import board, factories
from tests.conftest import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def topic(doctor):
    return board.open_topic(doctor, title="右下肺浸潤")


def told(user) -> list[tuple[str, int]]:
    found = Notification.objects.filter(recipient=user).order_by("id")
    return [(one.kind, one.post.number) for one in found]


class TestMentions:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("王小明", "@王小明你看"),
            # A space ends a Latin word before an @; Chinese needs none.
            ("王小明", "請問@王小明"),
            ("Chen", "請問@Chen"),
            ("王小明", "(@王小明)"),
            ("Chen Wei-Lun", "@Chen Wei-Lun, look"),
            ("Chen", "@Chen."),
            ("O'Brien <b>", "@O'Brien <b> hello"),
        ],
    )
    def test_mentions_are_resolved(self, name, text):
        user = factories.DoctorFactory(display_name=name)
        assert mentioned_in(text) == {name: user}

    @pytest.mark.parametrize(
        "text", ["@Chenx", "a@Chen", "é@Chen", "_@Chen", "chen@Chen.tw", "@ Chen", "@chen2"]
    )
    def test_text_without_mentions_resolves_to_nobody(self, text):
        factories.DoctorFactory(display_name="Chen")
        assert mentioned_in(text) == {}

    def test_the_longest_name_wins(self):
        factories.DoctorFactory(display_name="Chen")
        longer = factories.DoctorFactory(display_name="Chen Wei")
        assert mentioned_in("@Chen Wei") == {"Chen Wei": longer}

    def test_a_shared_name_needs_its_number(self):
        one, other = (factories.DoctorFactory(display_name="陳怡君") for _ in range(2))
        assert mentioned_in("@陳怡君") == {}
        assert mentioned_in(f"@陳怡君#{other.pk}") == {f"陳怡君#{other.pk}": other}
        inserts = {person["insert"] for person in suggestions("陳怡", by=factories.DoctorFactory())}
        assert inserts == {f"陳怡君#{one.pk}", f"陳怡君#{other.pk}"}

    def test_unapproved_users_are_neither_mentioned_nor_suggested(self, doctor):
        factories.DoctorFactory(display_name="Gone", approval=User.Approval.SUSPENDED)
        assert mentioned_in("@Gone") == {}
        assert suggestions("Go", by=doctor) == []

    def test_completion_matches_anywhere_and_prefers_prefixes(self, as_doctor):
        factories.DoctorFactory(display_name="Li Chen", hospital="H")
        factories.DoctorFactory(display_name="Chen Li")
        people = as_doctor.get("/forum/people/", {"q": "chen"}).json()["people"]
        assert [person["name"] for person in people] == ["Chen Li", "Li Chen"]
        assert "email" not in str(people)

    def test_a_mention_notifies_and_is_highlighted(
        self, as_other_doctor, other_doctor, doctor, topic
    ):
        board.reply(doctor, topic, f"@{other_doctor.display_name} 你看")
        assert told(other_doctor) == [("MENTION", 2)]
        page = as_other_doctor.get(f"/forum/{topic.pk}/").content.decode()
        assert f'<span class="mention">@{other_doctor.display_name}</span>' in page

    def test_an_edit_notifies_newly_mentioned_users_once(self, doctor, other_doctor, topic):
        post = topic.posts.get()
        for version, body in enumerate(("@%s", "@%s again"), start=1):
            services.edit_post(
                author=doctor,
                post_id=post.pk,
                body=body % other_doctor.display_name,
                version=version,
            )
        assert told(other_doctor) == [("MENTION", 1)]

    def test_mentioning_oneself_does_not_notify(self, doctor, topic):
        board.reply(doctor, topic, f"@{doctor.display_name}")
        assert told(doctor) == []


class TestFollowing:
    def test_authors_follow_and_are_notified_once_until_they_read(
        self, as_doctor, doctor, other_doctor, topic
    ):
        board.reply(other_doctor, topic)
        board.reply(other_doctor, topic)
        assert told(doctor) == [("REPLY", 2)]
        as_doctor.get(f"/forum/{topic.pk}/")
        assert notifications.unread_count(doctor) == 0
        board.reply(other_doctor, topic)
        assert told(doctor) == [("REPLY", 2), ("REPLY", 4)]

    def test_unfollowing_stays_in_effect_after_another_post(
        self, as_doctor, doctor, other_doctor, topic
    ):
        as_doctor.post(f"/forum/{topic.pk}/follow/", {"follow": "0"})
        board.reply(doctor, topic)
        board.reply(other_doctor, topic)
        assert told(doctor) == []

    def test_a_reader_can_follow(self, as_other_doctor, other_doctor, doctor, topic):
        page = as_other_doctor.post(
            f"/forum/{topic.pk}/follow/", {"follow": "1"}, headers={"hx-request": "true"}
        )
        assert "Following" in page.content.decode()
        board.reply(doctor, topic)
        assert told(other_doctor) == [("REPLY", 2)]

    def test_a_mention_notifies_once(self, doctor, other_doctor, topic):
        board.reply(other_doctor, topic, f"@{doctor.display_name}")
        assert told(doctor) == [("MENTION", 2)]


class TestUnread:
    def test_a_topic_is_unread_until_it_is_opened(self, as_other_doctor, doctor, topic):
        assert "new-mark" in as_other_doctor.get("/forum/").content.decode()
        assert "右下肺" in as_other_doctor.get("/forum/?show=unread").content.decode()
        as_other_doctor.get(f"/forum/{topic.pk}/")
        assert "new-mark" not in as_other_doctor.get("/forum/").content.decode()
        assert "No unread topics" in as_other_doctor.get("/forum/?show=unread").content.decode()
        board.reply(doctor, topic)
        listed = as_other_doctor.get("/forum/").content.decode()
        assert f"/forum/{topic.pk}/#post-2" in listed

    def test_only_the_page_that_was_seen_is_read(self, as_other_doctor, doctor, topic):
        for _ in range(25):
            board.reply(doctor, topic)
        as_other_doctor.get(f"/forum/{topic.pk}/")
        assert (
            f"/forum/{topic.pk}/?page=2#post-21" in as_other_doctor.get("/forum/").content.decode()
        )

    def test_mark_all_read(self, as_other_doctor, other_doctor, doctor, topic):
        board.reply(doctor, topic, f"@{other_doctor.display_name}")
        assert notifications.unread_count(other_doctor) == 1
        as_other_doctor.post("/forum/all-read/")
        assert notifications.unread_count(other_doctor) == 0
        assert "new-mark" not in as_other_doctor.get("/forum/").content.decode()

    def test_posts_older_than_the_account_are_not_new(self, topic):
        newcomer = factories.DoctorFactory()
        assert "new-mark" not in signed_in(newcomer).get("/forum/").content.decode()

    def test_the_header_counts_and_the_page_lists(
        self, as_other_doctor, other_doctor, doctor, topic
    ):
        board.reply(doctor, topic, f"@{other_doctor.display_name}")
        home = " ".join(as_other_doctor.get("/").content.decode().split())
        assert '<span class="count-badge">1<span class="visually-hidden">unread' in home
        page = as_other_doctor.get("/forum/notifications/").content.decode()
        assert "mentioned you" in page

    def test_hidden_posts_do_not_notify(
        self, as_other_doctor, other_doctor, doctor, supervisor, topic
    ):
        board.reply(doctor, topic, f"@{other_doctor.display_name}")
        moderation.hide_topic(by=supervisor, topic_id=topic.pk, reason="r")
        assert notifications.unread_count(other_doctor) == 0
        assert "右下肺" not in as_other_doctor.get("/forum/notifications/").content.decode()


@pytest.fixture
def later():
    """A stopped clock that can be moved forward."""
    with time_machine.travel(timezone.now(), tick=False) as clock:
        yield clock


def send() -> None:
    call_command("send_board_mail", site="https://x.example.org/", verbosity=0)


class TestMail:
    @pytest.fixture
    def mention(self, later, doctor, other_doctor):
        topic = board.open_topic(doctor, title="Secret title")
        return board.reply(doctor, topic, f"@{other_doctor.display_name} secret words")

    def test_a_daily_digest_by_default(self, later, mention, doctor, other_doctor):
        later.shift(datetime.timedelta(minutes=3))
        send()
        assert [m.to for m in mail.outbox] == [[other_doctor.email]]
        assert f"https://x.example.org/forum/posts/{mention.pk}/" in mail.outbox[0].body
        assert "https://x.example.org/forum/notifications/" in mail.outbox[0].body
        board.reply(doctor, mention.topic, f"@{other_doctor.display_name} more")
        later.shift(datetime.timedelta(hours=3))
        send()
        assert len(mail.outbox) == 1
        later.shift(datetime.timedelta(hours=22))
        send()
        assert len(mail.outbox) == 2
        send()
        assert len(mail.outbox) == 2

    def test_emails_do_not_quote_posts(self, later, mention):
        later.shift(datetime.timedelta(minutes=3))
        send()
        sent = mail.outbox[0].subject + mail.outbox[0].body
        assert "secret" not in sent.lower()

    def test_immediate_emails_one_per_notification(self, later, mention, doctor, other_doctor):
        notifications.set_mail(user=other_doctor, mail=Member.Mail.AT_ONCE)
        board.reply(doctor, mention.topic, f"@{other_doctor.display_name} again")
        send()
        assert mail.outbox == []
        later.shift(datetime.timedelta(minutes=3))
        send()
        assert len(mail.outbox) == 2
        assert doctor.display_name in mail.outbox[0].subject

    def test_no_emails_if_the_user_wants_none(self, later, mention, other_doctor):
        notifications.set_mail(user=other_doctor, mail=Member.Mail.NEVER)
        later.shift(datetime.timedelta(days=3))
        send()
        assert mail.outbox == []

    def test_no_emails_for_read_posts(self, later, mention, other_doctor):
        signed_in(other_doctor).get(f"/forum/{mention.topic_id}/")
        later.shift(datetime.timedelta(days=3))
        send()
        assert mail.outbox == []

    def test_no_emails_to_a_suspended_account(self, later, mention, other_doctor):
        User.objects.filter(pk=other_doctor.pk).update(approval=User.Approval.SUSPENDED)
        later.shift(datetime.timedelta(days=3))
        send()
        assert mail.outbox == []

    def test_a_refused_email_is_due_again(self, later, mention, monkeypatch):
        later.shift(datetime.timedelta(minutes=3))

        def refuse(*args, **kwargs):
            raise smtplib.SMTPServerDisconnected("gone")

        with monkeypatch.context() as patched:
            patched.setattr("accounts.mails.get_connection", refuse)
            with pytest.raises(CommandError, match="due again"):
                send()
        assert mailing.send_due(site="https://x.example.org") == (1, 0)

    def test_emails_are_in_the_recipients_language(self, later, mention, other_doctor):
        User.objects.filter(pk=other_doctor.pk).update(language="zh-hant")
        later.shift(datetime.timedelta(minutes=3))
        send()
        assert "討論區" in mail.outbox[0].subject

    def test_email_preferences_are_set_on_the_page(self, as_doctor, doctor):
        as_doctor.post("/forum/notifications/", {"mail": "NEVER"})
        assert notifications.member(doctor).mail == "NEVER"
        assert as_doctor.post("/forum/notifications/", {"mail": "x"}).status_code == 200

    def test_the_address_of_the_site_is_checked(self):
        with pytest.raises(CommandError, match="https://"):
            call_command("send_board_mail", site="x.example.org")
