import pytest

from tests.fake_board import FakeBoard
from xraysite import hooks


@pytest.fixture
def board(monkeypatch) -> FakeBoard:
    """A discussion board in memory in place of the site's own."""
    board = FakeBoard()
    monkeypatch.setattr(hooks, "boards", [board])
    return board
