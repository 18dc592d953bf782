"""How objects reach a target: C-STORE or STOW-RS."""

from collections.abc import Sequence

from exchange.outgoing.models import Target
from exchange.outgoing.objects.building import Made
from exchange.outgoing.transport.answers import (
    Answer,
    BusyError,
    RefusedError,
    Transport,
    TransportError,
)

__all__ = [
    "Answer",
    "BusyError",
    "RefusedError",
    "Transport",
    "TransportError",
    "open_transport",
    "try_out",
]


def open_transport(target: Target, objects: Sequence[Made]) -> Transport:
    """Return a context manager that is connected to a target.

    Raises:
        BusyError: it cannot be reached now.
        RefusedError: it refuses, or its settings cannot be used.
    """
    if target.way == Target.Way.STOW:
        from exchange.outgoing.transport.stow import Stow

        return Stow(target)
    from exchange.outgoing.transport.store import Store

    return Store(target, objects)


def try_out(target: Target) -> str:
    """Ask a target whether it is there, without sending anything; return what it said.

    Raises:
        TransportError: it cannot be reached, or refuses.
    """
    if target.way == Target.Way.STOW:
        from exchange.outgoing.transport import stow

        return stow.ask(target)
    from exchange.outgoing.transport import store

    return store.echo(target)
