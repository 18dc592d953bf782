import pytest

from diagnosis import board as boards
from tests.fake_board import FakeBoard


@pytest.fixture
def board(monkeypatch) -> FakeBoard:
    """A discussion board in memory in place of the site's own."""
    board = FakeBoard()
    monkeypatch.setattr(boards, "_boards", [board])
    return board
