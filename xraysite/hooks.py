"""Where the board and the readings meet, which know nothing of each other.

Each registers here, when Django starts, what the other may ask of it. Imports neither.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from accounts.models import User

# Given an author and a text, yields a sentence for each thing in it that looks like a patient's.
TextCheck = Callable[["User", str], Iterable[str]]


@dataclass(frozen=True)
class SharedPost:
    """A case on the board.

    Attributes:
        url: the address of the post.
        picture_id: what the board calls the picture, to withdraw it by.
    """

    url: str
    picture_id: uuid.UUID


class Board(Protocol):
    """What an app may ask of the discussion board."""

    def may_post(self, user: "User") -> bool:
        """Returns whether `user` may open topics."""

    def categories(self) -> list[tuple[int, str]]:
        """Returns key and name, in the reader's language, of each category that takes topics."""

    def rendered(self, body: str) -> str:
        """Returns the safe HTML that a post of this Markdown shows."""

    def warnings(self, author: "User", text: str) -> list[str]:
        """Returns what in `text` looks like a patient's: the board's checks and the registered."""

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
        """Opens a topic with one picture under the text; the same submission makes it once.

        Args:
            category: a key of `categories()`.
            body: Markdown.
            picture: a JPEG, PNG or WebP file. The board re-encodes it.
            alternative: the picture in words, for those who do not see it.

        Raises:
            PermissionDenied: if the author may not open topics.
            ValueError: if there is no such category, the picture is none, or the submission's id is
                another post's.
        """

    def withdraw(self, picture_id: uuid.UUID) -> bool:
        """Removes the file of a shared picture; returns False where that was done before.

        The post stays and says that its picture was withdrawn. Part of the transaction it is
        called in; the file goes when that is certain.
        """


text_checks: list[TextCheck] = []
boards: list[Board] = []


def board() -> Board:
    """Returns the registered board.

    Raises:
        LookupError: if none is installed.
    """
    if not boards:
        raise LookupError("No discussion board is installed.")
    return boards[-1]
