"""Objects and forms for the admin pages of X-rays from machines, for the permission matrix."""

from collections.abc import Callable
from typing import Any

from exchange.incoming.models import Arrival, ArrivalState, Peer, RoutingRule
from tests.exchange.machines import arrive, film

NAME = "admin:incoming"


def objects() -> dict[str, list[Any]]:
    """Return the arguments of each page that shows an object."""
    peer = Peer.objects.create(ae_title="VAN1")
    rule = RoutingRule.objects.create(name="tests", action="KEEP_OUT", reason="test")
    arrival = arrive(film())
    Arrival.objects.update(state=ArrivalState.WAITING, stated={"patient_name": "Chen Mei"})
    about = {f"{NAME}_arrival_film": [arrival.pk]}
    for model, key in (("peer", peer.pk), ("routingrule", rule.pk), ("arrival", arrival.pk)):
        about |= {f"{NAME}_{model}_{page}": [key] for page in ("change", "history", "delete")}
    return about


def forms() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is sent to the pages that change something."""

    def kept_out() -> dict[str, Any]:
        return {
            "arrival": [str(Arrival.objects.get().pk)], "keep_out": "1", "reason": "a test image",
        }  # fmt: skip

    return {f"{NAME}_arrival_inbox": kept_out, f"{NAME}_arrival_change": kept_out}
