"""Per-user state: read marks, follows, drafts, notifications and reports."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from forum.models.posts import MAX_BODY, MAX_REASON, MAX_TITLE, USER, Category, Post, Topic


class TopicRead(models.Model):
    """The last post of a topic that a user has read."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+", db_index=False)
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="reads")
    number = models.PositiveIntegerField()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "topic"], name="topic_read_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.topic_id}: {self.number}"


class Follow(models.Model):
    """Whether a user follows a topic; unfollowing is stored, so that replying keeps it."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+", db_index=False)
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="follows")
    is_following = models.BooleanField(default=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "topic"], name="follow_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.topic_id}: {self.is_following}"


class Member(models.Model):
    """A user's email preference, and when everything was marked as read."""

    class Mail(models.TextChoices):
        AT_ONCE = "AT_ONCE", _("An email for each notification")
        DAILY = "DAILY", _("A daily summary")
        # With a context, since the admin says "None" too.
        NEVER = "NEVER", pgettext_lazy("email", "None")

    user = models.OneToOneField(USER, on_delete=models.CASCADE, primary_key=True, related_name="+")
    all_read_at = models.DateTimeField()
    mail = models.CharField(_("mails"), max_length=8, choices=Mail.choices, default=Mail.DAILY)
    digest_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.user_id)


class Notification(models.Model):
    """Notifies a user about a post, at most once per post and kind."""

    class Kind(models.TextChoices):
        MENTION = "MENTION", _("mentioned you")
        REPLY = "REPLY", _("replied")
        REPORT = "REPORT", _("reviewed your report")

    recipient = models.ForeignKey(
        USER, on_delete=models.CASCADE, related_name="board_notifications", db_index=False
    )
    kind = models.CharField(max_length=8, choices=Kind.choices)
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="notifications")
    actor = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["recipient", "post", "kind"], name="notification_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["recipient", "-created_at", "-id"], name="notification_newest"),
            models.Index(
                fields=["recipient", "post"],
                condition=Q(read_at__isnull=True),
                name="notification_unread",
            ),
            models.Index(
                fields=["created_at"],
                condition=Q(read_at__isnull=True, mailed_at__isnull=True),
                name="notification_unmailed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.post_id} to {self.recipient_id}"


class Draft(models.Model):
    """An unfinished reply, or (without a topic) an unfinished new topic."""

    user = models.ForeignKey(USER, on_delete=models.CASCADE, related_name="+", db_index=False)
    topic = models.ForeignKey(
        Topic, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    category = models.ForeignKey(
        Category, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    title = models.CharField(max_length=MAX_TITLE, blank=True)
    body = models.TextField(max_length=MAX_BODY, blank=True)
    saved_at = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "topic"], name="draft_reply_once"),
            models.UniqueConstraint(
                fields=["user"], condition=Q(topic__isnull=True), name="draft_topic_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.topic_id}"


class Report(models.Model):
    """A user's request that supervisors review a post."""

    class Outcome(models.TextChoices):
        HIDDEN = "HIDDEN", _("The post was hidden")
        LEFT = "LEFT", _("The post was kept")

    post = models.ForeignKey(
        Post, on_delete=models.CASCADE, related_name="reports", verbose_name=_("post")
    )
    reporter = models.ForeignKey(
        USER, on_delete=models.PROTECT, related_name="+", verbose_name=_("reported by")
    )
    reason = models.CharField(_("reason"), max_length=MAX_REASON)
    created_at = models.DateTimeField(_("reported at"), auto_now_add=True)
    handled_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    handled_by = models.ForeignKey(
        USER,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
    )
    outcome = models.CharField(_("decision"), max_length=6, choices=Outcome.choices, blank=True)

    class Meta:
        verbose_name = _("report")
        verbose_name_plural = _("reports")
        ordering: ClassVar = ["-created_at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["post", "reporter"],
                condition=Q(handled_at__isnull=True),
                name="report_open_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["created_at"], condition=Q(handled_at__isnull=True), name="report_open"
            ),
            models.Index(fields=["-created_at", "-id"], name="report_newest"),
        ]

    def __str__(self) -> str:
        return str(self.post)
