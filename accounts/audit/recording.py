"""Recording events in the audit log.

django-auditlog writes a row for each change of a registered model. The functions here record what
no signal shows (that somebody viewed an object, that somebody searched or exported), and `event`
names the changes made by a service.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from accounts.audit.models import AuditEntry, current_event


def record_access(
    instance: Model, *, what: str, by: Any = None, detail: dict[str, Any] | None = None
) -> None:
    """Record that a user viewed `instance`.

    Args:
        what: the event's code, such as "page", "film" or "heatmap".
        by: the user; defaults to the user of the current request.
        detail: further facts, shown to supervisors; never passwords or image data.
    """
    AuditEntry.objects.log_create(
        instance,
        force_log=True,
        action=AuditEntry.Action.ACCESS,
        changes={},
        what=what,
        additional_data=detail,
        **({"actor": by, "actor_email": getattr(by, "email", None)} if by is not None else {}),
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


def record_event(model: type[Model], *, what: str, about: str, detail: dict[str, Any]) -> None:
    """Record an event that concerns many objects of one model: a search, an export.

    Args:
        model: the objects' model.
        what: the event's code.
        about: which objects, such as the query string of a filtered list.
        detail: further facts, shown to supervisors.
    """
    AuditEntry.objects.create(
        what=what,
        action=AuditEntry.Action.ACCESS,
        content_type=ContentType.objects.get_for_model(model),
        object_pk="",
        object_repr=about,
        changes={},
        additional_data=detail or None,
    )


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
