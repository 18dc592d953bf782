"""Whether a listener runs, if one is configured, and what the office says about it."""

import datetime
from typing import Any

from django.conf import settings
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from exchange.incoming.models import Arrival, ArrivalState, Listener
from xraysite.common.readiness import NotReadyError

# A listener that has not said for so long that it is alive is not.
SILENT_AFTER = datetime.timedelta(seconds=30)
MAX_COUNT = 1000


def living() -> list[Listener]:
    """Return the listeners that said lately that they are alive."""
    return list(Listener.objects.filter(seen_at__gte=Now() - SILENT_AFTER))


def check_listener() -> None:
    """Check that a listener runs, if `DICOM_AE_TITLE` is set.

    Raises:
        NotReadyError: "silent".
    """
    if settings.DICOM_AE_TITLE and not living():
        raise NotReadyError("silent", "No listener (manage.py dicom_listen) says that it runs.")


def office(user: Any) -> dict[str, Any] | None:
    """Return what the admin's start page shows; None where no machine sends X-rays."""
    listeners = living()
    if not settings.DICOM_AE_TITLE and not listeners and not Arrival.objects.exists():
        return None
    waiting = Arrival.objects.in_inbox_of(user).order_by()[:MAX_COUNT].count()
    text = _("The listener is not running.")
    if listeners:
        text = _("%(title)s listens on port %(ports)s.") % {
            "title": listeners[0].ae_title, "ports": listeners[0].ports
        }  # fmt: skip
    return {"waiting": waiting, "bound": MAX_COUNT, "runs": bool(listeners), "text": text}


def counts() -> dict[str, int]:
    """Return the number of X-rays that arrived in each state that somebody must act on."""
    states = (ArrivalState.RECEIVED, ArrivalState.ROUTED, ArrivalState.WAITING)
    return {
        state.value.lower(): Arrival.objects.filter(state=state).order_by().count()
        for state in states
    }
