"""An in-memory discussion board, to test what readings pass to it."""

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.html import escape

from accounts.models import User
from diagnosis.board import SharedPost
from forum import personal_data


@dataclass
class FakeBoard:
    """Implements `diagnosis.board.Board` and keeps the data it receives.

    Attributes:
        cases: the arguments of each call of `post_case` that created a post.
        withdrawn: ids of withdrawn images.
        address: URL of a post without its number.
    """

    cases: list[dict[str, Any]] = field(default_factory=list)
    posts: dict[uuid.UUID, SharedPost] = field(default_factory=dict)
    withdrawn: list[uuid.UUID] = field(default_factory=list)
    is_open: bool = True
    address: str = "/board/"

    def may_post(self, user: User) -> bool:
        return self.is_open and user.is_active

    def categories(self, user: User) -> list[tuple[int, str]]:
        return [(1, "Cases"), (7, "Questions")]

    def rendered(self, body: str) -> str:
        return f"<p>{escape(body)}</p>"

    def hidden(self, title: str, text: str) -> str:
        return f"({title}: {text})"

    def warnings(self, author: User, text: str) -> list[str]:
        return [sentence for check in personal_data._checks for sentence in check(author, text)]

    def post_case(self, *, author: User, submission: uuid.UUID, **case: Any) -> SharedPost:
        if not self.may_post(author):
            raise PermissionDenied
        if case["category"] not in dict(self.categories(author)):
            raise ValueError("No such category.")
        if submission not in self.posts:
            self.cases.append(case | {"submission": submission})
            url = f"{self.address}{len(self.cases)}"
            self.posts[submission] = SharedPost(url=url, picture_id=uuid.uuid4())
        return self.posts[submission]

    def withdraw(self, picture_id: uuid.UUID) -> bool:
        if picture_id in self.withdrawn:
            return False
        self.withdrawn.append(picture_id)
        return True
