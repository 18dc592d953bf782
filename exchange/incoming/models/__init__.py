"""Machines that send X-rays, what arrived from them, and the rules that route it."""

from exchange.incoming.models.arrival import (
    Arrival,
    ArrivalState,
)
from exchange.incoming.models.commitment import Commitment
from exchange.incoming.models.listener import Listener
from exchange.incoming.models.peer import Peer
from exchange.incoming.models.rule import RoutingRule

__all__ = ["Arrival", "ArrivalState", "Commitment", "Listener", "Peer", "RoutingRule"]
