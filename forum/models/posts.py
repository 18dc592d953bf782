"""Categories contain topics; topics contain numbered posts."""

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from forum.querysets import CategoryQuerySet, PictureQuerySet, PostQuerySet, TopicQuerySet

POSTS_A_PAGE = 20
MAX_TITLE = 150
MAX_BODY = 20_000
MAX_REASON = 500

USER = settings.AUTH_USER_MODEL


class Category(models.Model):
    """A group of topics, named in both languages."""

    class Openers(models.TextChoices):
        EVERYONE = "EVERYONE", _("Everyone")
        SUPERVISORS = "SUPERVISORS", _("Supervisors only")

    name_zh_hant = models.CharField(_("name (Chinese)"), max_length=60, unique=True)
    name_en = models.CharField(_("name (English)"), max_length=60, unique=True)
    about_zh_hant = models.CharField(_("description (Chinese)"), max_length=200, blank=True)
    about_en = models.CharField(_("description (English)"), max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(
        _("position"), default=0, help_text=_("Smaller numbers come first.")
    )
    opened_by = models.CharField(
        _("who may open topics"),
        max_length=11,
        choices=Openers.choices,
        default=Openers.EVERYONE,
        help_text=_("Everyone can reply to every topic."),
    )
    is_closed = models.BooleanField(
        _("closed"), default=False, help_text=_("A closed category accepts no new topics.")
    )

    objects: ClassVar = CategoryQuerySet.as_manager()

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")
        ordering: ClassVar = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name in the active language."""
        return self.name_en if (get_language() or "").startswith("en") else self.name_zh_hant

    @property
    def about(self) -> str:
        return self.about_en if (get_language() or "").startswith("en") else self.about_zh_hant


class Hideable(models.Model):
    """Mixin for content that supervisors can hide from everyone else."""

    hidden_at = models.DateTimeField(_("hidden at"), null=True, blank=True, editable=False)
    hidden_by = models.ForeignKey(
        USER,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("hidden by"),
    )
    hidden_reason = models.CharField(
        _("why it is hidden"), max_length=MAX_REASON, blank=True, editable=False
    )

    class Meta:
        abstract = True

    @property
    def is_hidden(self) -> bool:
        return self.hidden_at is not None


class Topic(Hideable):
    """A title and its posts; the first post starts the topic."""

    category = models.ForeignKey(
        Category,
        on_delete=models.PROTECT,
        related_name="topics",
        db_index=False,  # an index below begins with it
        verbose_name=_("category"),
    )
    title = models.CharField(_("title"), max_length=MAX_TITLE)
    author = models.ForeignKey(
        USER, on_delete=models.PROTECT, related_name="topics", verbose_name=_("author")
    )
    created_at = models.DateTimeField(_("opened at"), auto_now_add=True)
    last_activity_at = models.DateTimeField(_("last post at"))
    last_author = models.ForeignKey(
        USER, on_delete=models.PROTECT, related_name="+", verbose_name=_("last post by")
    )
    # Posts are numbered without gaps, so this is also the number of the last post.
    post_count = models.PositiveIntegerField(_("posts"), default=1)
    is_pinned = models.BooleanField(_("pinned"), default=False)
    is_locked = models.BooleanField(_("locked"), default=False)

    objects: ClassVar = TopicQuerySet.as_manager()

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        indexes: ClassVar = [
            models.Index(
                fields=["-is_pinned", "-last_activity_at", "-id", "hidden_at"],
                condition=Q(hidden_at__isnull=True),
                name="topic_order",
            ),
            models.Index(
                fields=["category", "-is_pinned", "-last_activity_at", "-id", "hidden_at"],
                name="topic_category_order",
            ),
            # For supervisors, who also see hidden topics.
            models.Index(fields=["-is_pinned", "-last_activity_at", "-id"], name="topic_all"),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("forum:topic", args=[self.pk])

    @property
    def reply_count(self) -> int:
        return self.post_count - 1

    def url_of_post(self, number: int) -> str:
        """Return the URL of a post, by its number, on its page of the topic."""
        page = (number - 1) // POSTS_A_PAGE + 1
        query = f"?page={page}" if page > 1 else ""
        return f"{self.get_absolute_url()}{query}#post-{number}"


class Post(Hideable):
    """A message in a topic, written in Markdown."""

    topic = models.ForeignKey(
        Topic,
        on_delete=models.CASCADE,
        related_name="posts",
        db_index=False,  # the constraint below begins with it
        verbose_name=_("topic"),
    )
    number = models.PositiveIntegerField(_("number"))
    author = models.ForeignKey(
        USER, on_delete=models.PROTECT, related_name="posts", verbose_name=_("author")
    )
    body = models.TextField(_("text"), max_length=MAX_BODY)
    # The ID of the submitted form: submitting it twice creates one post.
    submission = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(_("posted at"), auto_now_add=True)
    edited_at = models.DateTimeField(_("edited at"), null=True, blank=True, editable=False)
    version = models.PositiveIntegerField(_("version"), default=1, editable=False)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True, editable=False)
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True, editable=False)
    mentioned: models.ManyToManyField = models.ManyToManyField(
        USER, related_name="+", verbose_name=_("mentioned")
    )

    objects: ClassVar = PostQuerySet.as_manager()

    class Meta:
        verbose_name = _("post")
        verbose_name_plural = _("posts")
        permissions: ClassVar = [("moderate_post", "Can moderate the board")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["topic", "number"], name="post_number_once"),
        ]

    def __str__(self) -> str:
        return f"{self.topic_id} #{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("forum:post", args=[self.pk])

    @property
    def is_deleted(self) -> bool:
        return self.deleted_at is not None

    @property
    def is_standing(self) -> bool:
        return self.deleted_at is None and self.hidden_at is None and self.erased_at is None

    @property
    def url_in_topic(self) -> str:
        return self.topic.url_of_post(self.number)


class PostVersion(models.Model):
    """The text of a post before an edit."""

    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    body = models.TextField()
    replaced_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["post", "number"], name="post_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.post_id} v{self.number}"


def picture_name(picture: "Picture", filename: str) -> str:
    """Return a random storage name that reveals nothing about the image."""
    return f"board/{uuid.uuid4().hex}.webp"


class Picture(models.Model):
    """A re-encoded image in a post, or one that its owner has not posted yet."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(USER, on_delete=models.PROTECT, related_name="+")
    post = models.ForeignKey(
        Post, on_delete=models.CASCADE, null=True, blank=True, related_name="pictures"
    )
    file = models.FileField(upload_to=picture_name, blank=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    is_case = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = PictureQuerySet.as_manager()

    class Meta:
        verbose_name = _("picture")
        verbose_name_plural = _("pictures")
        default_permissions = ()
        permissions: ClassVar = [("view_case", "Can see pictures of shared cases")]

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        return reverse("forum:picture", args=[self.pk])
