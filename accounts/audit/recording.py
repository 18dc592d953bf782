"""Recording events in the audit log.

django-auditlog writes a row for each change of a registered model. The functions here record what
no signal shows (that somebody viewed an object, that somebody searched or exported), and `event`
names the changes made by a service.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from accounts.audit.models import SHOWN, AuditEntry, AuditMention, current_event
from xraysite.common.client_address import client_address

# Objects per row of a list; a longer list is recorded in several rows.
MAX_SHOWN = 500


def record_access(
    instance: Model,
    *,
    what: str,
    by: Any = None,
    detail: dict[str, Any] | None = None,
    **request: Any,
) -> None:
    """Record that a user viewed `instance`.

    Args:
        what: the event's code, such as "page", "film" or "heatmap".
        by: the user; defaults to the user of the current request.
        detail: further facts, shown to supervisors; never passwords or image data.
        request: `origin_of` a request, to record events after its response has begun.
    """
    if by is not None:
        request = {"actor": by, "actor_email": getattr(by, "email", None)} | request
    AuditEntry.objects.log_create(
        instance,
        force_log=True,
        action=AuditEntry.Action.ACCESS,
        changes={},
        what=what,
        additional_data=detail,
        **request,
    )


def record_change(instance: Model, *, what: str, changes: dict[str, list[Any]]) -> None:
    """Record a change that concerns `instance` but not a field of its own row.

    Args:
        what: the event's code.
        changes: by field, the values before and after.
    """
    AuditEntry.objects.log_create(
        instance, force_log=True, action=AuditEntry.Action.UPDATE, changes=changes, what=what
    )


def record_event(
    model: type[Model],
    *,
    what: str,
    about: str,
    detail: dict[str, Any],
    key: str = "",
    **request: Any,
) -> AuditEntry:
    """Record an event that concerns many objects of one model: a search, an export.

    Args:
        model: the objects' model.
        what: the event's code.
        about: which objects, such as the query string of a filtered list.
        detail: further facts, shown to supervisors.
        key: the primary key that was asked for, of an object that may not exist.
        request: `origin_of` a request, to record events after its response has begun.
    """
    entry: AuditEntry = AuditEntry.objects.create(
        what=what,
        action=AuditEntry.Action.ACCESS,
        content_type=ContentType.objects.get_for_model(model),
        object_pk=key,
        object_repr=about,
        changes={},
        additional_data=detail or None,
        **request,
    )
    return entry


def record_shown(
    model: type[Model],
    keys: Sequence[Any],
    *,
    what: str,
    about: str = "",
    detail: dict[str, Any] | None = None,
    **request: Any,
) -> None:
    """Record that a list, an export or a search showed objects, which counts as viewing each.

    Writes one sealed row for up to `MAX_SHOWN` objects, which searches find by any of them.

    Args:
        model: the objects' model.
        keys: the objects' primary keys; without any, one row says that nothing was shown.
        what, about, detail, request: as for `record_event`.
    """
    shown = [str(key) for key in keys]
    for start in range(0, max(1, len(shown)), MAX_SHOWN):
        part = shown[start : start + MAX_SHOWN]
        with transaction.atomic():
            facts = (detail or {}) | {SHOWN: part}
            entry = record_event(model, what=what, about=about, detail=facts, **request)
            AuditMention.objects.add(entry, part)


def origin_of(request: HttpRequest) -> dict[str, Any]:
    """Return account and address of a request, for events recorded while its response is sent."""
    user: Any = request.user
    return {"actor": user, "actor_email": user.email, "remote_addr": client_address(request)}


@contextmanager
def event(what: str, **detail: Any) -> Iterator[None]:
    """Record the changes made inside the block as the event `what`, with `detail`.

    The innermost event wins.
    """
    token = current_event.set((what, detail))
    try:
        yield
    finally:
        current_event.reset(token)
