"""What supervisors do about results sent to FHIR servers; each change is audited."""

import uuid
from collections.abc import Collection

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from accounts.audit.recording import record_access
from accounts.models import User
from diagnosis.models import Reading
from exchange.fhir import queueing
from exchange.fhir.models import FhirDelivery

MAX_AT_ONCE = 1000


def may_handle(user: User) -> bool:
    """Return whether `user` may see and handle what is sent to other systems."""
    return user.has_perm("diagnosis.oversee_reading")


@transaction.atomic
def retry(*, supervisor: User, delivery_ids: Collection[uuid.UUID]) -> int:
    """Send results now, also those that were sent before; return how many were queued.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    if not may_handle(supervisor):
        raise PermissionDenied
    chosen = FhirDelivery.objects.filter(pk__in=list(delivery_ids)[:MAX_AT_ONCE])
    rows = list(chosen.select_for_update(of=("self",)).select_related("server"))
    now = timezone.now()
    for row in rows:
        FhirDelivery.objects.filter(pk=row.pk).update(
            state=FhirDelivery.State.WAITING, version="" if not row.is_retracted else row.version,
            changed_at=now, due_at=now, attempts=0,
        )  # fmt: skip
        reading = Reading.objects.visible_to(supervisor).defer("activation_map")
        detail = {"to": row.server.name, "delivery": str(row.pk)}
        record_access(reading.get(pk=row.reading_id), what="fhir-retried", detail=detail)
        queueing.start(row.pk)
    return len(rows)
