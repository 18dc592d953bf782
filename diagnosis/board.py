"""The discussion board as readings need it; `xraysite.hooks` connects an implementation."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True)
class SharedPost:
    """A case on the board.

    Attributes:
        url: the URL of the post.
        picture_id: the board's id of the image, to withdraw it by.
    """

    url: str
    picture_id: uuid.UUID


class Board(Protocol):
    """The operations of a discussion board that readings use."""

    def may_post(self, user: "User") -> bool:
        """Return whether `user` may open topics."""

    def categories(self, user: "User") -> list[tuple[int, str]]:
        """Return key and name of each category in which `user` may open topics.

        The names are in the active language.
        """

    def rendered(self, body: str) -> str:
        """Return the sanitised HTML of a Markdown post."""

    def hidden(self, title: str, text: str) -> str:
        """Return Markdown that shows `title` and, once the reader opens it, `text`."""

    def warnings(self, author: "User", text: str) -> list[str]:
        """Return a sentence for each part of `text` that may identify a patient."""

    def post_case(
        self,
        *,
        author: "User",
        category: int,
        title: str,
        body: str,
        picture: bytes,
        alternative: str,
        submission: uuid.UUID,
    ) -> SharedPost:
        """Open a topic with one image below the text.

        Args:
            author: who posts.
            category: a key of `categories(author)`.
            title: one line.
            body: Markdown.
            picture: a JPEG, PNG or WebP file, which the board re-encodes.
            alternative: the image's text alternative.
            submission: id of the submitted form; the same id opens one topic only.

        Raises:
            PermissionDenied: the author may not open topics.
            ValueError: the author may not open topics in the category, the image cannot be decoded,
                or `submission` belongs to another post.
        """

    def withdraw(self, picture_id: uuid.UUID) -> bool:
        """Remove a shared image from its post, permanently.

        The post stays and states that its image was withdrawn. Takes part in the caller's
        transaction; the file is deleted on commit.

        Returns:
            False if the image was withdrawn before.
        """


_boards: list[Board] = []


def connect(board: Board) -> None:
    """Make `board` the one that cases are posted to."""
    _boards[:] = [board]


def is_connected() -> bool:
    """Return whether a board is connected."""
    return bool(_boards)


def current() -> Board:
    """Return the connected board.

    Raises:
        LookupError: no board is connected.
    """
    if not _boards:
        raise LookupError("No discussion board is installed.")
    return _boards[0]
