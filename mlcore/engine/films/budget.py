"""Tells a process with limited CPU time how large the film is that it is about to decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[int], None]] = []


def announce_size(pixels: int) -> None:
    """Report the size that a file's header states, before anything is decoded."""
    for listener in _listeners:
        listener(pixels)


@contextmanager
def listening(listener: Callable[[int], None]) -> Iterator[None]:
    """Call `listener` with the number of pixels of each film that is decoded meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
