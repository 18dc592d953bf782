"""What apps start again after a process was killed; workers call it as long as they live."""

from collections.abc import Callable

_recoveries: dict[str, Callable[[], int]] = {}


def register(name: str, recover: Callable[[], int]) -> None:
    """Let `recover` be called every few seconds; it returns how many things it started again.

    It must be quick if there is nothing to do.
    """
    _recoveries[name] = recover


def run() -> dict[str, int]:
    """Start again what was lost; return how many things by name, without those that lost none."""
    found = {name: recover() for name, recover in _recoveries.items()}
    return {name: number for name, number in found.items() if number}
