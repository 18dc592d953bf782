"""Queries of the audit log: who accessed a reading, or the readings of a patient."""

from typing import Any

from auditlog import get_logentry_model
from django.contrib.contenttypes.models import ContentType
from django.db.models import Max, Q, QuerySet

from accounts.models import AuditEntry, User
from diagnosis.models import Reading

MAX_READINGS = 500


def entries_about(reading_ids: list[str]) -> QuerySet[AuditEntry]:
    """Return every audit entry of the readings with these ids, newest first."""
    kind = ContentType.objects.get_for_model(Reading)
    return (
        get_logentry_model()
        .objects.filter(content_type=kind, object_pk__in=reading_ids)
        .select_related("actor", "content_type")
        .order_by("-sequence")
    )


def reading_ids_of_patient(query: str, *, by: User) -> tuple[list[str], bool]:
    """Return the ids of a patient's readings, purged ones included.

    Args:
        query: the start of the patient's name or number. Purged readings are found by the values
            that the audit log holds; they match if they contain every word of it.
        by: the supervisor who asks.

    Returns:
        At most `MAX_READINGS` ids, and whether there are more.
    """
    stored = Reading.objects.visible_to(by).beginning_with(query).order_by()
    ids = [str(pk) for pk in stored.values_list("pk", flat=True)[: MAX_READINGS + 1]]
    ids += _purged_ids(query)
    return ids[:MAX_READINGS], len(ids) > MAX_READINGS


def _purged_ids(query: str) -> list[str]:
    kind = ContentType.objects.get_for_model(Reading)
    entries = get_logentry_model().objects.filter(content_type=kind, what="purged")
    for word in query.split():
        entries = entries.filter(
            Q(changes__patient_name__0__icontains=word)
            | Q(changes__patient_number__0__icontains=word)
        )
    return list(entries.values_list("object_pk", flat=True)[: MAX_READINGS + 1])


def others_who_viewed(reading: Reading) -> list[dict[str, Any]]:
    """Return everyone but the reading's doctor who viewed it, most recent first.

    Returns:
        A dictionary for each person: `name`, `hospital`, and `last`, the time of the last view.
    """
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
