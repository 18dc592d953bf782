"""django-auditlog, wired: who saw and changed what.

Rows of changes are written by the library; this module says which models and which fields, and
offers `record_access` for what no signal shows, that somebody looked, and `during` to name what
the changes of a service are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auditlog.registry import auditlog
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Model
from django.http import HttpRequest

from accounts.audit_trail import occasion
from accounts.models import AuditEntry, User

# Of an account; no password, and no moment of signing in, which has a row of its own.
RECORDED_FIELDS = [
    "email", "display_name", "hospital", "department", "licence_number", "language", "time_zone",
    "approval", "approval_reason", "approval_decided_by", "is_active", "is_staff", "is_superuser",
]  # fmt: skip


def register() -> None:
    """Registers the models of this app and the signals of signing in and out."""
    auditlog.register(
        User,
        include_fields=RECORDED_FIELDS,
        m2m_fields={"groups", "user_permissions"},
    )
    user_logged_in.connect(_record_sign_in, dispatch_uid="accounts.audit.sign_in")
    user_logged_out.connect(_record_sign_out, dispatch_uid="accounts.audit.sign_out")
    user_login_failed.connect(_record_failure, dispatch_uid="accounts.audit.failure")


def record_access(
    instance: Model, *, what: str, by: Any = None, detail: dict[str, Any] | None = None
) -> None:
    """Records that somebody was shown `instance`.

    Args:
        what: the form it was shown in, such as "page", "film" or "heatmap".
        by: the user; without one, the user of the current request.
        detail: more about it, in words a supervisor understands; no password, no film.
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
    """Records a change about `instance` that is no change of its own row.

    Args:
        changes: by field, what it was and what it is.
    """
    AuditEntry.objects.log_create(
        instance, force_log=True, action=AuditEntry.Action.UPDATE, changes=changes, what=what
    )


def record_event(model: type[Model], *, what: str, about: str, detail: dict[str, Any]) -> None:
    """Records what concerns many objects of a kind at once: a search, an export.

    Args:
        about: the objects in words, such as the filter of a list; without NUL characters, which
            somebody may have typed and PostgreSQL does not take.
    """
    AuditEntry.objects.create(
        what=what,
        action=AuditEntry.Action.ACCESS,
        content_type=ContentType.objects.get_for_model(model),
        object_pk="",
        object_repr=about.replace("\x00", ""),
        changes={},
        additional_data=detail or None,
    )


@contextmanager
def during(what: str, **detail: Any) -> Iterator[None]:
    """Names the changes made inside: their rows say `what`, not "changed", and hold `detail`.

    The innermost name counts.
    """
    token = occasion.set((what, detail))
    try:
        yield
    finally:
        occasion.reset(token)


def _record_sign_in(sender: type, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    record_access(user, what="sign-in", by=user)


def _record_sign_out(
    sender: type, request: HttpRequest | None, user: User | None, **kwargs: Any
) -> None:
    if user is not None:
        record_access(user, what="sign-out", by=user)


def _record_failure(
    sender: str, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any
) -> None:
    """Records whose account was tried; never what was typed where it is no address."""
    typed = str(credentials.get("email") or credentials.get("username") or "")
    user = User.objects.filter(email=typed.strip().lower()).first() if typed else None
    if user is not None:
        record_access(user, what="sign-in-failed")
        return
    try:
        validate_email(typed)
    except ValidationError:
        typed = "(not an e-mail address)"
    record_event(User, what="sign-in-failed", about=typed[:254], detail={})
