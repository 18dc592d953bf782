"""A doctor's tags and saved views of the worklist."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models.reading import Reading
from diagnosis.search import SearchKeyField

MAX_TAG_LENGTH = 40
MAX_VIEW_NAME_LENGTH = 60


class TagColour(models.TextChoices):
    """The colours of tags; the style sheet has a token for each, in both themes."""

    GREY = "grey", pgettext_lazy("colour", "Grey")
    TEAL = "teal", pgettext_lazy("colour", "Teal")
    GREEN = "green", pgettext_lazy("colour", "Green")
    AMBER = "amber", pgettext_lazy("colour", "Amber")
    RED = "red", pgettext_lazy("colour", "Red")
    VIOLET = "violet", pgettext_lazy("colour", "Violet")


class Tag(models.Model):
    """A doctor's own label for readings, such as "show at the conference"."""

    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="reading_tags",
        db_index=False,  # the constraint's index starts with it
        verbose_name=_("doctor"),
    )
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=MAX_TAG_LENGTH)
    name_key = SearchKeyField(source="name")
    colour = models.CharField(
        _("colour"), max_length=8, choices=TagColour.choices, default=TagColour.GREY
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        default_permissions = ()
        ordering: ClassVar = ["name_key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["doctor", "name_key"], name="tag_name_once"),
            models.CheckConstraint(
                condition=models.Q(colour__in=TagColour.values), name="tag_colour_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Tagging(models.Model):
    """One tag on one reading."""

    reading = models.ForeignKey(Reading, on_delete=models.CASCADE, related_name="taggings")
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="taggings", db_index=False)

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tag", "reading"], name="tagging_once")
        ]

    def __str__(self) -> str:
        return f"{self.tag_id} {self.reading_id}"


class SavedView(models.Model):
    """A doctor's own filter and order of the worklist, under a name.

    `query` has the fields of the search form by name, the text searched for included. Like a
    patient's name, it is in the database as it was typed, and in no URL or log.
    """

    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="saved_views",
        db_index=False,  # the constraint's index starts with it
        verbose_name=_("doctor"),
    )
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=MAX_VIEW_NAME_LENGTH)
    name_key = SearchKeyField(source="name")
    query = models.JSONField(_("filter"), default=dict)
    is_default = models.BooleanField(_("shown first"), default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last changed at"), auto_now=True)

    class Meta:
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        default_permissions = ()
        ordering: ClassVar = ["name_key"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["doctor", "name_key"], name="view_name_once"),
            models.UniqueConstraint(
                fields=["doctor"], condition=models.Q(is_default=True), name="view_default_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def parameters(self) -> dict[str, Any]:
        """Return the fields of the search form by name."""
        return {str(name): value for name, value in self.query.items() if value}
