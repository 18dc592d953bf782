"""The films that a user may be given over DICOMweb."""

from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.audit.recording import record_event
from accounts.models import User
from diagnosis.access_log import DENIED
from diagnosis.models import Reading
from exchange.dicomweb.searching import newest_of_each

# More films are not given at once.
MAX_FILMS = 500


def films_of(user: User) -> QuerySet[Reading]:
    """Return the readings whose films a user may be given: those seen on pages, not deleted."""
    return Reading.objects.visible_to(user).filter(hidden_at__isnull=True)


def films_at(user: User, address: Q, *, uid: str) -> list[Reading]:
    """Return the newest reading of each film at an address.

    Args:
        user: who asks.
        address: the condition of the films, see `queries.of_path`.
        uid: the last UID of the address, for the audit log.

    Raises:
        Http404: there are none, or they are someone else's; the response is the same.
    """
    found = films_of(user).filter(address).order_by("-created_at", "-id").defer("activation_map")
    films = newest_of_each(found[: MAX_FILMS + 1])
    if not films:
        record_event(Reading, what=DENIED, about=uid, detail={}, key="")
        raise Http404(_("There is no such X-ray."))
    return films[:MAX_FILMS]
