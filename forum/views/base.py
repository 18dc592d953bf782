"""Helpers shared by the board's views."""

from typing import cast

from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from forum import markdown, pictures
from forum.models import Draft, Post, Topic
from forum.querysets import MODERATE, TAKE_PART
from xraysite.common.images import PictureError, too_large
from xraysite.common.uploads import TOO_LARGE_KEY


class MembersOnlyMixin(PermissionRequiredMixin):
    """Requires permission to use the board; other users get 403."""

    permission_required: str | tuple[str, ...] = TAKE_PART
    raise_exception = True
    request: HttpRequest

    @property
    def person(self) -> User:
        return cast(User, self.request.user)

    def topic(self, pk: int) -> Topic:
        """Return a topic that the user may read.

        Raises:
            Http404: there is no such topic."""
        topics = Topic.objects.visible_to(self.request.user)
        found = topics.select_related("category", "author", "hidden_by").filter(pk=pk).first()
        if found is None:
            raise no_such_topic()
        return found

    def post_of(self, pk: int) -> Post:
        """Return a post that the user may read.

        Raises:
            Http404: there is no such post."""
        posts = Post.objects.visible_to(self.request.user).select_related("topic", "author")
        found = posts.filter(pk=pk).first()
        if found is None or not (found.is_standing or self._may_look_behind(found)):
            raise no_such_post()
        return found

    def _may_look_behind(self, post: Post) -> bool:
        return self.person.has_perm(MODERATE) or (
            post.author_id == self.person.pk and post.is_deleted and not post.is_hidden
        )


class ModeratorsOnlyMixin(MembersOnlyMixin):
    permission_required = MODERATE


def no_such_topic() -> Http404:
    return Http404(_("This topic does not exist."))


def no_such_post() -> Http404:
    return Http404(_("This post does not exist."))


def is_fragment(request: HttpRequest) -> bool:
    """Return whether htmx requests a fragment instead of the whole page."""
    htmx = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.history_restore_request


def draft_of(user: User, topic: Topic | None) -> Draft | None:
    return Draft.objects.filter(user=user, topic=topic).first()


def with_picture(body: str, request: HttpRequest) -> tuple[str, str]:
    """Store an image that was uploaded with the form (without JavaScript) and add it to the text.

    Returns:
        The text, and the error message of the image or "".
    """
    if TOO_LARGE_KEY in request.META:
        return body, str(too_large(pictures.MAX_BYTES).message)
    upload = request.FILES.get("picture")
    if upload is None:
        return body, ""
    try:
        picture = pictures.add_picture(owner=cast(User, request.user), data=upload.read())
    except PictureError as error:
        return body, str(error.message)
    name = markdown.label((upload.name or "").rpartition(".")[0])
    return f"{body.rstrip()}\n\n![{name}]({picture.get_absolute_url()})\n".lstrip(), ""
