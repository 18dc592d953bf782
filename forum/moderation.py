"""Moderator actions and reports; each is recorded in the audit log."""

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from accounts.audit import recording
from forum import pictures, search
from forum.models import Category, Notification, Post, PostVersion, Report, Topic
from forum.notifications import unread_of
from forum.querysets import MODERATE, TAKE_PART

if TYPE_CHECKING:
    from accounts.models import User

HIDING_FIELDS = ["hidden_at", "hidden_by", "hidden_reason"]


def _topic(by: "User", topic_id: int) -> Topic:
    if not by.has_perm(MODERATE):
        raise PermissionDenied
    return Topic.objects.select_for_update().get(pk=topic_id)


def _post(by: "User", post_id: int) -> Post:
    if not by.has_perm(MODERATE):
        raise PermissionDenied
    posts = Post.objects.select_for_update(of=("self",)).select_related("topic")
    return posts.get(pk=post_id)


@transaction.atomic
def pin_topic(*, by: "User", topic_id: int, is_pinned: bool) -> Topic:
    """Pin a topic to the top of the list, or unpin it.

    Raises:
        PermissionDenied: `by` is not a moderator.
        Topic.DoesNotExist: there is no such topic.
    """
    topic = _topic(by, topic_id)
    if topic.is_pinned != is_pinned:
        topic.is_pinned = is_pinned
        with recording.event("topic-pinned" if is_pinned else "topic-unpinned"):
            topic.save(update_fields=["is_pinned"])
    return topic


@transaction.atomic
def lock_topic(*, by: "User", topic_id: int, is_locked: bool) -> Topic:
    """Lock or unlock a topic. Raises the same errors as `pin_topic`."""
    topic = _topic(by, topic_id)
    if topic.is_locked != is_locked:
        topic.is_locked = is_locked
        with recording.event("topic-locked" if is_locked else "topic-unlocked"):
            topic.save(update_fields=["is_locked"])
    return topic


@transaction.atomic
def move_topic(*, by: "User", topic_id: int, category: Category) -> Topic:
    """Move a topic to another category. Raises the same errors as `pin_topic`."""
    topic = _topic(by, topic_id)
    if topic.category_id != category.pk:
        topic.category = category
        with recording.event("topic-moved"):
            topic.save(update_fields=["category"])
    return topic


@transaction.atomic
def hide_topic(*, by: "User", topic_id: int, reason: str) -> Topic:
    """Hide a topic with all its posts from everyone but supervisors.

    Raises:
        ValueError: the reason is empty. Otherwise the same errors as `pin_topic`.
    """
    topic = _topic(by, topic_id)
    _hide(topic, by, reason, "topic-hidden")
    search.forget(list(topic.posts.values_list("pk", flat=True)))
    return topic


@transaction.atomic
def show_topic(*, by: "User", topic_id: int) -> Topic:
    """Make a hidden topic visible again. Raises the same errors as `pin_topic`."""
    topic = _topic(by, topic_id)
    _show(topic, "topic-shown")
    posts = list(topic.posts.standing())
    search.forget([post.pk for post in posts])
    search.put([(post.pk, search.text_of(post, title=topic.title)) for post in posts])
    return topic


@transaction.atomic
def hide_post(*, by: "User", post_id: int, reason: str) -> Post:
    """Hide a post from everyone but supervisors and resolve its open reports.

    Raises:
        PermissionDenied: `by` is not a moderator.
        Post.DoesNotExist: there is no such post.
        ValueError: the reason is empty.
    """
    post = _post(by, post_id)
    _hide(post, by, reason, "post-hidden")
    search.forget([post.pk])
    unread_of(post).delete()
    _decide(post, by, Report.Outcome.HIDDEN)
    return post


@transaction.atomic
def show_post(*, by: "User", post_id: int) -> Post:
    """Make a hidden post visible again. Raises the same errors as `hide_post`."""
    post = _post(by, post_id)
    _show(post, "post-shown")
    search.refresh(post, title=post.topic.title)
    return post


@transaction.atomic
def erase_post(*, by: "User", post_id: int, reason: str) -> Post:
    """Permanently remove a post's text, versions and images, for example patient data.

    A placeholder stays. Raises the same errors as `hide_post`.
    """
    post = _post(by, post_id)
    if not reason.strip():
        raise ValueError("An erasure needs a reason.")
    PostVersion.objects.filter(post=post).delete()
    pictures.remove_files(list(post.pictures.filter(withdrawn_at__isnull=True)))
    post.body, post.erased_at = "", timezone.now()
    with recording.event("post-erased", reason=reason.strip()):
        post.save(update_fields=["body", "erased_at"])
    search.forget([post.pk])
    unread_of(post).delete()
    _decide(post, by, Report.Outcome.HIDDEN)
    return post


def _hide(thing: Topic | Post, by: "User", reason: str, event: str) -> None:
    if not reason.strip():
        raise ValueError("Hiding needs a reason.")
    if thing.is_hidden:
        return
    thing.hidden_at, thing.hidden_by, thing.hidden_reason = timezone.now(), by, reason.strip()
    with recording.event(event, reason=reason.strip()):
        thing.save(update_fields=HIDING_FIELDS)


def _show(thing: Topic | Post, event: str) -> None:
    if not thing.is_hidden:
        return
    thing.hidden_at, thing.hidden_by, thing.hidden_reason = None, None, ""
    with recording.event(event):
        thing.save(update_fields=HIDING_FIELDS)


@transaction.atomic
def report_post(*, reporter: "User", post_id: int, reason: str) -> Report:
    """Report a post to the supervisors; reporting it again returns the open report.

    Raises:
        PermissionDenied: the reporter may not use the board.
        Post.DoesNotExist: the reporter cannot see a published post with this ID.
        ValueError: the reason is empty.
    """
    if not reporter.has_perm(TAKE_PART):
        raise PermissionDenied
    if not reason.strip():
        raise ValueError("A report needs a reason.")
    post = (
        Post.objects.visible_to(reporter).standing().select_for_update(of=("self",)).get(pk=post_id)
    )
    report, is_new = Report.objects.get_or_create(
        post=post, reporter=reporter, handled_at=None, defaults={"reason": reason.strip()}
    )
    if is_new:
        recording.record_access(post, what="post-reported", by=reporter)
    return report


@transaction.atomic
def leave_post(*, by: "User", post_id: int) -> Post:
    """Resolve the open reports of a post by keeping it. Raises the same errors as `hide_post`."""
    post = _post(by, post_id)
    _decide(post, by, Report.Outcome.LEFT)
    return post


def _decide(post: Post, by: "User", outcome: Report.Outcome) -> None:
    """Resolve a post's open reports and notify the reporters."""
    waiting = list(post.reports.filter(handled_at__isnull=True))
    if not waiting:
        return
    post.reports.filter(pk__in=[report.pk for report in waiting]).update(
        handled_at=timezone.now(), handled_by=by, outcome=outcome
    )
    recording.record_access(post, what="report-decided", by=by, detail={"decision": outcome.value})
    Notification.objects.bulk_create(
        [
            Notification(
                recipient_id=report.reporter_id,
                kind=Notification.Kind.REPORT,
                post=post,
                actor=by,
            )
            for report in waiting
        ],
        ignore_conflicts=True,
    )


def reports_waiting() -> int:
    """Return the number of posts with open reports."""
    waiting = Report.objects.filter(handled_at__isnull=True)
    return waiting.values("post").distinct().count()
