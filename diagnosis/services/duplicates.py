"""Patients who may be the same person: for supervisors."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts.audit import recording
from accounts.models import User
from diagnosis.models import Patient

MAX_GROUPS = 50
MAX_IN_GROUP = 10


@dataclass(frozen=True)
class Group:
    """Patients who may be one.

    Attributes:
        is_same_number: whether number or name and date of birth are the same.
        patients: at most `MAX_IN_GROUP`, each with its number of `readings`.
    """

    is_same_number: bool
    patients: list[Patient]

    @property
    def ids(self) -> list[uuid.UUID]:
        return [patient.pk for patient in self.patients]


def possible_duplicates(supervisor: User) -> list[Group]:
    """Return groups of patients that no supervisor has told apart yet.

    One number under different names, or the same name and date of birth under different numbers.
    At most `MAX_GROUPS` of each kind.
    """
    live = Patient.objects.visible_to(supervisor).filter(merged_into=None)
    counted = live.annotate(readings=Count("studies__readings")).order_by("created_at", "id")
    unchecked = live.filter(number_disputed=True, checked_at=None).order_by("number_key")
    keys = unchecked.values_list("number_key", flat=True).distinct()[:MAX_GROUPS]
    found = [Group(True, list(counted.filter(number_key=key)[:MAX_IN_GROUP])) for key in keys]
    names = (
        live.filter(birth_date__isnull=False)
        .order_by()
        .values("name_key", "birth_date")
        .annotate(
            numbers=Count("number_key", distinct=True),
            unchecked=Count("pk", filter=Q(checked_at=None)),
        )
        .filter(numbers__gt=1, unchecked__gt=0)
        .order_by("name_key", "birth_date")
    )
    for name in names[:MAX_GROUPS]:
        same = counted.filter(name_key=name["name_key"], birth_date=name["birth_date"])
        found.append(Group(False, list(same[:MAX_IN_GROUP])))
    return [group for group in found if len(group.patients) > 1]


@transaction.atomic
def tell_apart(*, supervisor: User, patient_ids: Collection[uuid.UUID], reason: str) -> None:
    """State that patients are different persons, so that the list no longer names them.

    Raises:
        PermissionDenied: the account may not oversee readings.
    """
    if not supervisor.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    patients = Patient.objects.filter(pk__in=patient_ids, merged_into=None)
    ids = list(patients.values_list("pk", flat=True))
    patients.update(checked_at=timezone.now())
    recording.record_shown(Patient, ids, what="told-apart", detail={"reason": reason})
