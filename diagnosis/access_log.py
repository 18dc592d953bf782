"""Who looked at a reading, from the audit log."""

from typing import Any

from auditlog import get_logentry_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Max, Q, QuerySet

from accounts.models import AuditEntry, User
from diagnosis.models import Reading

MAX_READINGS = 500


def entries_about(keys: list[str]) -> QuerySet[AuditEntry]:
    """Returns every event of the readings with these keys, newest first."""
    kind = ContentType.objects.get_for_model(Reading)
    return (
        get_logentry_model()
        .objects.filter(content_type=kind, object_pk__in=keys)
        .select_related("actor", "content_type")
        .order_by("-sequence")
    )


def keys_of_patient(words: str, *, by: User) -> tuple[list[str], bool]:
    """Returns the keys of a patient's readings, and whether there are more than are given.

    Finds readings that are stored, hidden ones included, and those that were purged, by what the
    log says of them.
    """
    stored = Reading.objects.visible_to(by).beginning_with(words).order_by()
    keys = [str(key) for key in stored.values_list("pk", flat=True)[: MAX_READINGS + 1]]
    keys += _purged(words)
    return keys[:MAX_READINGS], len(keys) > MAX_READINGS


def _purged(words: str) -> list[str]:
    kind = ContentType.objects.get_for_model(Reading)
    rows = get_logentry_model().objects.filter(content_type=kind, what="purged")
    for word in words.split():
        rows = rows.filter(
            Q(changes__patient_name__0__icontains=word)
            | Q(changes__patient_number__0__icontains=word)
        )
    return list(rows.values_list("object_pk", flat=True)[: MAX_READINGS + 1])


def others_who_looked(reading: Reading) -> list[dict[str, Any]]:
    """Returns who but the reading's doctor looked at it, and when last, the latest first."""
    rows = (
        entries_about([str(reading.pk)])
        .filter(action=AuditEntry.Action.ACCESS, actor_pk__isnull=False)
        .exclude(actor_pk=reading.doctor_id)
        .order_by()
        .values("actor__display_name", "actor__hospital", "actor_email")
        .annotate(last=Max("timestamp"))
        .order_by("-last")
    )
    return [
        {
            "name": row["actor__display_name"] or row["actor_email"],
            "hospital": row["actor__hospital"] or "",
            "last": row["last"],
        }
        for row in rows
    ]
