"""Topics and posts for tests, created through the services."""

import io
import uuid
from contextlib import suppress
from typing import Any

from django.urls import NoReverseMatch, reverse
from PIL import Image

from accounts.models import User
from forum import services
from forum.models import Category, Picture, Post, Topic
from xraysite.hooks import DiscussionBoard


def open_category() -> Category:
    """Return a category in which everyone may open topics."""
    return Category.objects.filter(opened_by=Category.Openers.EVERYONE).first()


def open_topic(author: User, *, title: str = "A question", body: str = "Who knows?", **more: Any):
    fields: dict[str, Any] = {"category": open_category(), "submission": uuid.uuid4()}
    return services.open_topic(author=author, title=title, body=body, **fields | more)


def reply(author: User, topic: Topic, body: str = "I do.") -> Post:
    return services.reply(author=author, topic=topic, body=body, submission=uuid.uuid4())


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(out, kind, **options)
    return out.getvalue()


def form(**changes: Any) -> dict[str, Any]:
    """Return the data of the editor's form, with `changes`."""
    return {"body": "A text", "submission": str(uuid.uuid4()), "action": "post"} | changes


def open_case(author: User) -> Topic:
    """Open a topic with the image of a shared case."""
    shared = DiscussionBoard().post_case(
        author=author,
        category=open_category().pk,
        title="A case",
        body="What is this?",
        picture=picture(),
        alternative="A film",
        submission=uuid.uuid4(),
    )
    return Picture.objects.get(pk=shared.picture_id).post.topic


def address_of(name: str) -> str:
    """Return the URL of a board page about the oldest topic, post or image.

    Without one, the URL of an object that does not exist.
    """
    if name in {"forum:topic", "forum:reply", "forum:follow", "forum:moderate", "forum:hide_topic"}:
        return reverse(name, args=[_oldest(Topic, 1)])
    if name in {"forum:picture", "forum:picture_page"}:
        return reverse(name, args=[_oldest(Picture, uuid.UUID(int=1))])
    with suppress(NoReverseMatch):
        return reverse(name)
    return reverse(name, args=[_oldest(Post, 1)])


def _oldest(model: Any, otherwise: Any) -> Any:
    row = model.objects.order_by("pk").first()
    return row.pk if row else otherwise
