"""Writing to the board: each function checks, changes and audits in one transaction."""

import uuid
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.audit import recording
from forum import notifications, pictures, search
from forum.models import Category, Draft, Post, PostVersion, Topic
from forum.querysets import MODERATE, TAKE_PART

if TYPE_CHECKING:
    from accounts.models import User


class LockedError(Exception):
    """Raised when the topic is locked: no new posts, edits or deletions."""


class ClosedError(Exception):
    """Raised when the category accepts no new topics, or none by this author."""


class ConflictError(Exception):
    """Raised when the post was edited since the form was opened.

    Attributes:
        current: the post's text now.
    """

    def __init__(self, current: str) -> None:
        super().__init__("The post was changed in the meantime.")
        self.current = current


class SubmissionTakenError(Exception):
    """Raised when the submission ID belongs to another post."""


def _require(user: "User", permission: str) -> None:
    if not user.has_perm(permission):
        raise PermissionDenied


def open_topic(
    *, author: "User", category: Category, title: str, body: str, submission: uuid.UUID
) -> Topic:
    """Start a topic with its first post; repeating the same submission returns it.

    Raises:
        PermissionDenied: the author may not start topics.
        ClosedError: the category accepts no new topics, or none by this author.
        SubmissionTakenError: the submission ID belongs to another author's post.
    """
    _require(author, "forum.add_topic")
    try:
        return _open_topic(author, category, title, body, submission)
    except IntegrityError:
        # The same form, sent twice at once: the other request was faster.
        earlier = _earlier(author, submission)
        if earlier is None:
            raise
        return earlier.topic


@transaction.atomic
def _open_topic(
    author: "User", category: Category, title: str, body: str, submission: uuid.UUID
) -> Topic:
    earlier = _earlier(author, submission)
    if earlier is not None:
        return earlier.topic
    if not Category.objects.open_to(author).select_for_update().filter(pk=category.pk).exists():
        raise ClosedError
    now = timezone.now()
    with recording.event("topic-opened"):
        topic = Topic.objects.create(
            category=category, title=title, author=author, last_author=author, last_activity_at=now
        )
        post = Post.objects.create(
            topic=topic, number=1, author=author, body=body, submission=submission
        )
    _published(post, topic)
    Draft.objects.filter(user=author, topic__isnull=True).delete()
    return topic


def reply(*, author: "User", topic: Topic, body: str, submission: uuid.UUID) -> Post:
    """Add a post to a topic; repeating the same submission returns it.

    Raises:
        PermissionDenied: the author may not post.
        Topic.DoesNotExist: the author cannot see the topic.
        LockedError: the topic is locked and the author is not a moderator.
        SubmissionTakenError: the submission ID belongs to another post.
    """
    _require(author, TAKE_PART)
    try:
        return _reply(author, topic, body, submission)
    except IntegrityError:
        # The same form, sent twice at once to two topics: the other request was faster.
        if _earlier(author, submission) is None:
            raise
        raise SubmissionTakenError from None


@transaction.atomic
def _reply(author: "User", topic: Topic, body: str, submission: uuid.UUID) -> Post:
    topic = Topic.objects.visible_to(author).select_for_update().get(pk=topic.pk)
    earlier = _earlier(author, submission)
    if earlier is not None:
        if earlier.topic_id != topic.pk:
            raise SubmissionTakenError
        return earlier
    if topic.is_locked and not author.has_perm(MODERATE):
        raise LockedError
    number = topic.post_count + 1
    with recording.event("posted"):
        post = Post.objects.create(
            topic=topic, number=number, author=author, body=body, submission=submission
        )
    topic.post_count, topic.last_author, topic.last_activity_at = number, author, post.created_at
    Topic.objects.filter(pk=topic.pk).update(
        post_count=number, last_author=author, last_activity_at=post.created_at
    )
    _published(post, topic)
    Draft.objects.filter(user=author, topic=topic).delete()
    return post


def _earlier(author: "User", submission: uuid.UUID) -> Post | None:
    earlier = Post.objects.filter(submission=submission).select_related("topic").first()
    if earlier is not None and earlier.author_id != author.pk:
        raise SubmissionTakenError
    return earlier


def _published(post: Post, topic: Topic) -> None:
    post.topic = topic
    pictures.attach(post)
    search.refresh(post, title=topic.title)
    notifications.follow_unless_left(user=post.author, topic=topic)
    notifications.announce(post)
    notifications.mark_read(user=post.author, topic=topic, number=post.number)


@transaction.atomic
def edit_post(
    *, author: "User", post_id: int, body: str, version: int, title: str | None = None
) -> Post:
    """Replace the text of the author's post, and the title if it is the first post.

    The previous text is kept as a version.

    Args:
        version: the version that the author started editing from.

    Raises:
        Post.DoesNotExist: the author has no such published post.
        LockedError: the topic is locked.
        ConflictError: the post was edited in the meantime.
    """
    post = _own(author, post_id)
    if post.version != version:
        raise ConflictError(post.body)
    changes_title = title is not None and post.number == 1 and title != post.topic.title
    if body == post.body and not changes_title:
        return post
    with recording.event("post-edited"):
        if changes_title:
            post.topic.title = str(title)
            post.topic.save(update_fields=["title"])
        if body != post.body:
            PostVersion.objects.create(post=post, number=post.version, body=post.body)
            post.body, post.edited_at, post.version = body, timezone.now(), post.version + 1
            post.save(update_fields=["body", "edited_at", "version"])
    pictures.attach(post)
    search.refresh(post, title=post.topic.title)
    notifications.announce(post)
    return post


@transaction.atomic
def delete_post(*, author: "User", post_id: int) -> Post:
    """Delete the author's post; a placeholder keeps the numbering of the others.

    Raises:
        Post.DoesNotExist: the author has no such published post.
        LockedError: the topic is locked.
    """
    post = _own(author, post_id)
    post.deleted_at = timezone.now()
    with recording.event("post-deleted"):
        post.save(update_fields=["deleted_at"])
    search.forget([post.pk])
    notifications.unread_of(post).delete()
    return post


@transaction.atomic
def undelete_post(*, author: "User", post_id: int) -> Post:
    """Restore a post that its author deleted.

    Raises:
        Post.DoesNotExist: the author deleted no such post, or it was erased.
        LockedError: the topic is locked.
    """
    deleted = Post.objects.visible_to(author).filter(author=author, deleted_at__isnull=False)
    post = _locked_row(deleted.filter(erased_at__isnull=True), author, post_id)
    post.deleted_at = None
    with recording.event("post-restored"):
        post.save(update_fields=["deleted_at"])
    search.refresh(post, title=post.topic.title)
    return post


def _own(author: "User", post_id: int) -> Post:
    return _locked_row(Post.objects.own_of(author), author, post_id)


def _locked_row(posts: QuerySet[Post], author: "User", post_id: int) -> Post:
    found = posts.select_for_update(of=("self",)).select_related("topic", "author")
    post = found.get(pk=post_id)
    if post.topic.is_locked and not author.has_perm(MODERATE):
        raise LockedError
    return post


def save_draft(
    *,
    author: "User",
    topic: Topic | None,
    title: str = "",
    body: str = "",
    category: Category | None = None,
) -> Draft | None:
    """Save the author's unfinished text; an empty draft is deleted.

    Raises:
        PermissionDenied: the author may not post.
    """
    _require(author, TAKE_PART)
    if not title.strip() and not body.strip():
        Draft.objects.filter(user=author, topic=topic).delete()
        return None
    draft, _new = Draft.objects.update_or_create(
        user=author, topic=topic, defaults={"title": title, "body": body, "category": category}
    )
    return draft
