import pytest

from diagnosis import board as boards
from tests.fake_board import FakeBoard


@pytest.fixture
def board(monkeypatch) -> FakeBoard:
    """An in-memory discussion board that replaces the real one."""
    board = FakeBoard()
    monkeypatch.setattr(boards, "_boards", [board])
    return board
