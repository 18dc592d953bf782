"""Connections between apps that do not import each other: readings and the discussion board."""

import uuid

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse

from accounts.models import User
from diagnosis import board, phi
from diagnosis.board import SharedPost
from forum import markdown, personal_data, pictures, services, spoilers
from forum.models import Category, Post


def connect() -> None:
    """Connect readings to the board, and the board to the check for patients' names."""
    board.connect(DiscussionBoard())
    personal_data.add_check(phi.check)


class DiscussionBoard:
    """Implementation of `diagnosis.board.Board` by the forum app."""

    def may_post(self, user: User) -> bool:
        return user.has_perm("forum.add_topic")

    def categories(self, user: User) -> list[tuple[int, str]]:
        return [(one.pk, one.name) for one in Category.objects.open_to(user)]

    def rendered(self, body: str) -> str:
        return markdown.render(body, pictures={})

    def hidden(self, title: str, text: str) -> str:
        return spoilers.written(title, text)

    def warnings(self, author: User, text: str) -> list[str]:
        return personal_data.warnings(author, text)

    @transaction.atomic
    def post_case(
        self,
        *,
        author: User,
        category: int,
        title: str,
        body: str,
        picture: bytes,
        alternative: str,
        submission: uuid.UUID,
    ) -> SharedPost:
        if not self.may_post(author):
            raise PermissionDenied
        earlier = Post.objects.filter(submission=submission).first()
        if earlier is not None:
            if earlier.author_id != author.pk or not earlier.pictures.filter(is_case=True).exists():
                raise ValueError("The submission's id belongs to another post.")
            return _shared(earlier)
        chosen = Category.objects.open_to(author).filter(pk=category).first()
        if chosen is None:
            raise ValueError(f"No category {category!r} is open to the author.")
        stored = pictures.add_picture(owner=author, data=picture, is_case=True)
        shown = f"![{markdown.label(alternative)}]({reverse('forum:picture', args=[stored.pk])})"
        try:
            topic = services.open_topic(
                author=author,
                category=chosen,
                title=title,
                body=f"{body.rstrip()}\n\n{shown}\n",
                submission=submission,
            )
        except BaseException:
            stored.file.storage.delete(str(stored.file.name))
            raise
        return _shared(topic.posts.get(number=1))

    def withdraw(self, picture_id: uuid.UUID) -> bool:
        return pictures.withdraw(picture_id)


def _shared(post: Post) -> SharedPost:
    picture = post.pictures.get(is_case=True)
    return SharedPost(url=post.get_absolute_url(), picture_id=picture.pk)
