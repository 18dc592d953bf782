"""What readings need of a discussion board; `xraysite.hooks` connects the one that is installed."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from accounts.models import User


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

        The post was kept and says that its picture was withdrawn. Part of the transaction it is
        called in; the file goes when that is certain.
        """


_boards: list[Board] = []


def connect(board: Board) -> None:
    """Make `board` the one that cases are posted to."""
    _boards[:] = [board]


def disconnect() -> None:
    """Leave readings without a board; sharing is then unavailable."""
    _boards.clear()


def is_connected() -> bool:
    return bool(_boards)


def current() -> Board:
    """Return the connected board.

    Raises:
        LookupError: no board is connected.
    """
    if not _boards:
        raise LookupError("No discussion board is installed.")
    return _boards[0]
