"""The only access path to topics, posts and images: what a user may see."""

import datetime
from typing import Any, Self

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q

TAKE_PART = "forum.add_post"
MODERATE = "forum.moderate_post"
SEE_CASES = "forum.view_case"


class CategoryQuerySet(models.QuerySet[Any]):
    def open_to(self, user: Any) -> Self:
        """Return the categories in which `user` may open topics."""
        if not user.has_perm("forum.add_topic"):
            return self.none()
        categories = self.filter(is_closed=False)
        return categories if user.has_perm(MODERATE) else categories.filter(opened_by="EVERYONE")


class TopicQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """Return the topics that `user` may read; only moderators see hidden ones."""
        if not (user.is_authenticated and user.has_perm(TAKE_PART)):
            return self.none()
        return self.all() if user.has_perm(MODERATE) else self.filter(hidden_at__isnull=True)

    def in_order(self) -> Self:
        """Return pinned topics first, then the most recently active."""
        return self.order_by("-is_pinned", "-last_activity_at", "-id")

    def unread_by(self, user: Any, *, all_read_at: datetime.datetime) -> Self:
        """Return the topics with posts that `user` has not read."""
        read = apps.get_model("forum", "TopicRead").objects.filter(
            topic=OuterRef("pk"), user_id=user.pk, number__gte=OuterRef("post_count")
        )
        return self.filter(Q(last_activity_at__gt=all_read_at) & ~Exists(read))

    def followed_by(self, user: Any) -> Self:
        return self.filter(follows__user_id=user.pk, follows__is_following=True)


class PostQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """Return the posts of the topics that `user` may read.

        Deleted and hidden posts are included: pages show a placeholder for them.
        """
        if not (user.is_authenticated and user.has_perm(TAKE_PART)):
            return self.none()
        return self.all() if user.has_perm(MODERATE) else self.filter(topic__hidden_at__isnull=True)

    def standing(self) -> Self:
        """Return the posts that are neither deleted, hidden nor erased."""
        return self.filter(deleted_at__isnull=True, hidden_at__isnull=True, erased_at__isnull=True)

    def own_of(self, user: Any) -> Self:
        """Return the posts that `user` wrote and may still edit."""
        return self.visible_to(user).standing().filter(author_id=user.pk)


class PictureQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: Any) -> Self:
        """Return the images in published posts, and the ones `user` has not posted yet.

        Images of shared cases are only visible to users who may see X-rays.
        """
        if not (user.is_authenticated and user.has_perm(TAKE_PART)):
            return self.none()
        shown = Q(
            post__topic__hidden_at__isnull=True,
            post__hidden_at__isnull=True,
            post__deleted_at__isnull=True,
            post__erased_at__isnull=True,
        ) & Q(post__isnull=False)
        if user.has_perm(MODERATE):
            shown = Q(post__isnull=False)
        found = self.filter(shown | Q(post__isnull=True, owner_id=user.pk))
        found = found.filter(withdrawn_at__isnull=True)
        return found if user.has_perm(SEE_CASES) else found.exclude(is_case=True)

    def attachable_by(self, user: Any) -> Self:
        """Return the images that `user` uploaded and has not posted yet."""
        return self.filter(owner_id=user.pk, post__isnull=True, withdrawn_at__isnull=True)
