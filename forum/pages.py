"""Presentation of topics and posts on the board's pages."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.safestring import SafeString

from forum import markdown, pictures, spoilers
from forum.models import POSTS_A_PAGE, Picture, Post, Topic
from forum.querysets import MODERATE, SEE_CASES

if TYPE_CHECKING:
    import uuid

    from accounts.models import User

EXCERPT = 180
# Markdown syntax, and the targets of links and images.
MARKS = re.compile(r"!?\[|\]\([^)\s]*\)|[*`>#|~]+|(?m:^\s*[-+]\s)")


@dataclass
class ShownPost:
    """A post as one reader sees it.

    Attributes:
        html: the safe HTML of the text; empty for a placeholder.
        is_tombstone: whether the reader sees a placeholder instead of the text.
        may_change: whether the reader may edit and delete the post.
        may_undelete: whether the reader may restore the post.
        is_new: whether the reader has not read the post before.
    """

    post: Post
    html: SafeString | str = ""
    is_tombstone: bool = False
    may_change: bool = False
    may_undelete: bool = False
    is_new: bool = False


def posts_on_page(topic: Topic, number: int) -> list[Post]:
    """Return the posts on a page of a topic, by number: numbers have no gaps."""
    first = (number - 1) * POSTS_A_PAGE
    return _with_people(topic.posts.filter(number__gt=first, number__lte=first + POSTS_A_PAGE))


def posts_after(topic: Topic, number: int) -> list[Post]:
    """Return the posts added after the post with this number."""
    return _with_people(topic.posts.filter(number__gt=number))


def _with_people(posts: QuerySet[Post]) -> list[Post]:
    people = posts.select_related("author", "hidden_by", "topic").prefetch_related(
        "mentioned", "author__groups"
    )
    return list(people.order_by("number"))


def page_count(topic: Topic) -> int:
    return -(-topic.post_count // POSTS_A_PAGE)


def shown(posts: list[Post], *, to: "User", new_from: int | None = None) -> list[ShownPost]:
    """Return posts of one topic as `to` sees them.

    Args:
        to: the reader.
        new_from: the number of the first post the reader has not read.
    """
    by_post = pictures.in_posts(posts)
    moderates = to.has_perm(MODERATE)
    sees_cases = to.has_perm(SEE_CASES)
    return [
        _shown(
            post,
            {
                key: picture
                for key, picture in by_post[post.pk].items()
                if sees_cases or not picture.is_case
            },
            to=to,
            moderates=moderates,
            new_from=new_from,
        )
        for post in posts
    ]


def _shown(
    post: Post,
    shown_pictures: "dict[uuid.UUID, Picture]",
    *,
    to: "User",
    moderates: bool,
    new_from: int | None,
) -> ShownPost:
    is_open = moderates or not post.topic.is_locked
    is_own = post.author_id == to.pk
    is_tombstone = post.erased_at is not None or not (post.is_standing or moderates)
    return ShownPost(
        post=post,
        html="" if is_tombstone else rendered(post, shown_pictures),
        is_tombstone=is_tombstone,
        may_change=is_own and is_open and post.is_standing,
        may_undelete=is_own and is_open and post.is_deleted and post.erased_at is None,
        is_new=new_from is not None and post.number >= new_from,
    )


def rendered(post: Post, shown_pictures: "dict[uuid.UUID, Picture]") -> SafeString:
    return markdown.render(post.body, pictures=shown_pictures, names=_names(post))


def _names(post: Post) -> list[str]:
    names = [user.display_name for user in post.mentioned.all()]
    return names + [f"{user.display_name}#{user.pk}" for user in post.mentioned.all()]


def previewed(body: str, *, author: "User") -> SafeString:
    """Return a preview of a text, including the author's unposted images."""
    from forum.mentions import mentioned_in

    ids = markdown.picture_ids(body)
    found = Picture.objects.visible_to(author).filter(pk__in=ids)
    by_id = {picture.pk: picture for picture in found}
    return markdown.render(body, pictures=by_id, names=mentioned_in(body))


def quoted(post: Post) -> str:
    """Return a post quoted in Markdown for a reply, without the quotations in it."""
    own = "\n".join(line for line in post.body.split("\n") if not line.startswith(">"))
    lines = re.sub(r"\n{3,}", "\n\n", own.strip()).split("\n")
    quotation = "\n".join(f"> {line}".rstrip() for line in lines)
    link = f"[{markdown.label(str(post.author))} #{post.number}]({post.get_absolute_url()})"
    return f"> {link}\n>\n{quotation}\n\n"


def excerpt(body: str, words: str) -> str:
    """Return a one-line plain-text excerpt around the first matching word.

    What spoilers hide stays hidden.
    """
    line = " ".join(MARKS.sub(" ", spoilers.removed(body)).split())
    folded = line.casefold()
    places = [folded.find(word.casefold()) for word in words.split()]
    first = min((place for place in places if place >= 0), default=0)
    start = max(0, first - EXCERPT // 3)
    cut = line[start : start + EXCERPT]
    return f"{'…' if start else ''}{cut}{'…' if start + EXCERPT < len(line) else ''}"


def numbers(posts: Iterable[Post]) -> int:
    """Return the highest post number, 0 without posts."""
    return max((post.number for post in posts), default=0)
