"""The names of audit events; each app registers its own when Django starts."""

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

MAX_CODE_LENGTH = 32

EVENTS: dict[str, str | Promise] = {
    "created": _("created"),
    "changed": _("changed"),
    "deleted": _("deleted"),
    "viewed": _("viewed"),
    "log-started": _("started the audit log"),
    "kinds": _("recorded the kinds of objects in the audit log"),
    "anchored": _("wrote the anchor of the audit log"),
}
# The event that a change of a field is recorded as, unless the code names another one.
FIELD_EVENTS: dict[tuple[str, str], str] = {}
# Models, as "app.model", of which every object has a row in the log.
ALWAYS_RECORDED: set[str] = set()


def register(
    events: Mapping[str, str | Promise],
    *,
    fields: Mapping[tuple[str, str], str] | None = None,
    always: Iterable[str] = (),
) -> None:
    """Add events to the audit log's vocabulary.

    Args:
        events: by code (stored in the log, at most 32 characters, never changed afterwards), the
            past-tense name shown to people, such as "approved the account".
        fields: by (model name, field name), both lower case, the code that a change of this field
            is recorded as.
        always: models, as "app.model", whose objects are all recorded when they are created, so
            that an object without a row shows that the log was emptied.

    Raises:
        ValueError: a code is too long or already registered under another name, or a field names
            an unknown code.
    """
    for code, name in events.items():
        if len(code) > MAX_CODE_LENGTH:
            raise ValueError(f"Audit event codes have at most 32 characters. Received: {code!r}.")
        if EVENTS.setdefault(code, name) != name:
            raise ValueError(f"The audit event {code!r} is already registered.")
    for field, code in (fields or {}).items():
        if code not in EVENTS:
            raise ValueError(f"No audit event is registered as {code!r}.")
        FIELD_EVENTS[field] = code
    ALWAYS_RECORDED.update(always)


def name_of(code: str) -> str:
    """Return the event's name in the active language, or the code if it is not registered."""
    return str(EVENTS.get(code, code))
