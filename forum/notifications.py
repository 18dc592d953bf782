"""Notifications of mentions and replies, follows, and read marks."""

import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from forum.mentions import mentioned_in
from forum.models import Follow, Member, Notification, Post, Topic, TopicRead
from forum.querysets import MODERATE, TAKE_PART

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.models import User

# Sent in the transaction in which users are notified of a post.
announced = Signal()

BADGE_BOUND = 100
BATCH = 500


def member(user: "User") -> Member:
    """Return the user's preferences; unsaved defaults if none are stored.

    By default, everything posted before the account existed counts as read.
    """
    found = Member.objects.filter(user=user).first()
    return found or Member(user=user, all_read_at=user.date_joined)


def _keep(user: "User", **choice: Any) -> None:
    Member.objects.update_or_create(
        user=user, defaults=choice, create_defaults={"all_read_at": user.date_joined} | choice
    )


def announce(post: Post) -> None:
    """Notify the users a post mentions and, for a new reply, the topic's followers.

    Each user is notified once per post. A follower who has not yet read an earlier reply in the
    topic is not notified again. After an edit, only users newly mentioned are notified.
    """
    people = mentioned_in(post.body).values()
    mentioned = {user.pk: user for user in people if user.has_perm(TAKE_PART)}
    post.mentioned.set(mentioned.values())
    mentioned.pop(post.author_id, None)
    _tell(post, mentioned, Notification.Kind.MENTION)
    if post.number > 1 and post.version == 1:
        followers = Follow.objects.filter(topic_id=post.topic_id, is_following=True)
        others = followers.exclude(user_id__in=[post.author_id, *mentioned])
        # One notification per topic is enough until it is read: it leads to the first new reply.
        waiting = Notification.objects.filter(
            recipient_id=OuterRef("user_id"),
            kind=Notification.Kind.REPLY,
            post__topic_id=post.topic_id,
            read_at__isnull=True,
        )
        others = others.exclude(Exists(waiting))
        _tell(post, others.values_list("user_id", flat=True), Notification.Kind.REPLY)
    announced.send(sender=Post, post=post)


def _tell(post: Post, recipients: "Iterable[int]", kind: Notification.Kind) -> None:
    told = Notification.objects.filter(post=post).values_list("recipient_id", flat=True)
    already = set(told)
    Notification.objects.bulk_create(
        [
            Notification(recipient_id=pk, kind=kind, post=post, actor_id=post.author_id)
            for pk in recipients
            if pk not in already
        ],
        batch_size=BATCH,
        ignore_conflicts=True,
    )


def follow(*, user: "User", topic: Topic, is_following: bool) -> None:
    """Follow or unfollow a topic."""
    Follow.objects.update_or_create(user=user, topic=topic, defaults={"is_following": is_following})


def follow_unless_left(*, user: "User", topic: Topic) -> None:
    """Follow a topic unless the user has unfollowed it before."""
    Follow.objects.get_or_create(user=user, topic=topic)


def is_following(user: "User", topic: Topic) -> bool:
    return Follow.objects.filter(user=user, topic=topic, is_following=True).exists()


@transaction.atomic
def mark_read(*, user: "User", topic: Topic, number: int) -> None:
    """Mark a topic as read up to a post's number; the mark never moves backwards.

    Notifications of these posts are marked as read too.
    """
    mark, is_new = TopicRead.objects.get_or_create(
        user=user, topic=topic, defaults={"number": number}
    )
    if not is_new and mark.number < number:
        TopicRead.objects.filter(pk=mark.pk, number__lt=number).update(number=number)
    unread(user).filter(post__topic=topic, post__number__lte=number).update(read_at=timezone.now())


@transaction.atomic
def mark_all_read(*, user: "User") -> None:
    """Mark all topics and notifications as read."""
    now = timezone.now()
    _keep(user, all_read_at=now)
    unread(user).update(read_at=now)


def unread(user: "User") -> QuerySet[Notification]:
    return Notification.objects.filter(recipient_id=user.pk, read_at__isnull=True)


def unread_count(user: "User") -> int:
    """Return the number of unread notifications, at most `BADGE_BOUND`."""
    visible = visible_notifications(user).filter(read_at__isnull=True)
    return visible.order_by()[:BADGE_BOUND].count()


def visible_notifications(user: "User") -> QuerySet[Notification]:
    """Return the notifications of posts that `user` may still read, newest first."""
    own = Notification.objects.filter(recipient_id=user.pk)
    if not user.has_perm(MODERATE):
        # A join starts from the few notifications; SQLite would evaluate a subquery for all posts.
        own = own.filter(post__topic__hidden_at__isnull=True)
    return own.order_by("-created_at", "-id")


def unread_topics(user: "User", topics: "list[Topic]") -> dict[int, int]:
    """Return the number of the first unread post, by ID of each topic with unread posts."""
    since = member(user).all_read_at
    marks = TopicRead.objects.filter(user=user, topic__in=topics)
    seen = dict(marks.values_list("topic_id", "number"))
    return {
        topic.pk: seen.get(topic.pk, 0) + 1
        for topic in topics
        if topic.last_activity_at > since and seen.get(topic.pk, 0) < topic.post_count
    }


def set_mail(*, user: "User", mail: str) -> None:
    """Set how often `user` gets emails from the board."""
    _keep(user, mail=Member.Mail(mail))


def keep_digest_sent(*, user: "User") -> None:
    """Store that the digest was sent to `user` now."""
    _keep(user, digest_sent_at=timezone.now())


def due_for_mail(before: datetime.datetime) -> QuerySet[Notification]:
    """Return notifications created up to `before` that were neither read nor emailed."""
    waiting = Notification.objects.filter(read_at__isnull=True, mailed_at__isnull=True)
    return waiting.filter(created_at__lte=before).order_by("created_at", "id")


def unread_of(post: Post) -> QuerySet[Notification]:
    """Return the unread notifications of a post."""
    return Notification.objects.filter(post=post, read_at__isnull=True)
