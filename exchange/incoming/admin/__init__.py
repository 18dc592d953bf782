"""Admin pages for machines, routing rules, and X-rays that arrived."""

from exchange.incoming.admin.arrivals import ArrivalAdmin
from exchange.incoming.admin.settings import PeerAdmin, RoutingRuleAdmin

__all__ = ["ArrivalAdmin", "PeerAdmin", "RoutingRuleAdmin"]
