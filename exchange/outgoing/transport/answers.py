"""What targets answer, and what can go wrong on the way."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

from django.utils.translation import gettext_noop

from exchange.outgoing.objects.building import Made
from exchange.outgoing.reasons import ReasonError

UNREACHABLE = gettext_noop("The system %(where)s cannot be reached.")
ANSWERED = gettext_noop("The system answered: %(answer)s")
NO_ROOM = gettext_noop("The system has no resources at the moment (%(answer)s).")


class TransportError(ReasonError):
    """Raised if a target cannot be used; the message is for supervisors."""


class BusyError(TransportError):
    """Raised for a cause that may pass: no connection, no resources."""


class RefusedError(TransportError):
    """Raised if the target refuses, or its settings cannot be used."""


@dataclass(frozen=True)
class Answer:
    """A target's answer about one object.

    Attributes:
        is_accepted: whether the target has stored it, or had it before.
        words: the target's reason or warning, "" without one.
    """

    is_accepted: bool
    words: str = ""


class Transport(Protocol):
    """A connection to a target."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: Any) -> None: ...

    def send(self, made: Made) -> Answer:
        """Send one object.

        Raises:
            BusyError: the connection broke, or the target has no resources.
        """
