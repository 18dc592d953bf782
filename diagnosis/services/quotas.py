"""Storage that a doctor's X-rays take, and how much they may take."""

from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from accounts.models import User
from diagnosis.models import BatchItem, Reading

MAX_DOCTORS = 10
CACHE_S = 600
_CACHE_KEY = "diagnosis.quotas.largest"


class QuotaError(Exception):
    """Raised when a doctor's X-rays take all the storage that they may take."""

    def __init__(self, used: int) -> None:
        super().__init__(used)
        self.used = used

    def __str__(self) -> str:
        """Return the message for the doctor, in the active language."""
        return _(
            "Your X-rays take %(used)s of storage, which is as much as an account may use. Contact "
            "a supervisor."
        ) % {"used": filesizeformat(self.used)}


@dataclass(frozen=True)
class Storage:
    """Storage of one doctor's X-rays.

    Attributes:
        doctor: the account.
        used: bytes of the uploaded files, deleted readings included until they are purged.
        percent: share of the quota; None without one.
    """

    doctor: User
    used: int
    percent: int | None


def require_space(doctor: User) -> None:
    """Check that the doctor may store another X-ray.

    Raises:
        QuotaError: the quota is used up.
    """
    quota = settings.DOCTOR_QUOTA_BYTES
    if not quota:
        return
    used = _bytes_of(doctor)
    if used >= quota:
        raise QuotaError(used)


def _bytes_of(doctor: User) -> int:
    """Return the bytes of a doctor's X-rays: of readings, and of files that wait in batches."""
    read = Reading.objects.stored().filter(doctor=doctor).values("doctor")
    waiting = BatchItem.objects.filter(doctor=doctor, is_stored=True).order_by().values("doctor")
    sums = read.annotate(n=Sum("film_bytes")).values_list("n")
    both = sums.union(waiting.annotate(n=Sum("size")).values_list("n"), all=True)
    return sum(n for (n,) in both)


def largest() -> list[Storage]:
    """Return the doctors whose X-rays take the most storage, largest first.

    The sums are up to ten minutes old: they read every row.
    """
    sums: list[tuple[int, int]] = cache.get_or_set(_CACHE_KEY, _sums, CACHE_S) or []
    doctors, quota = User.objects.in_bulk([pk for pk, _ in sums]), settings.DOCTOR_QUOTA_BYTES
    return [
        Storage(doctors[pk], used, percent=round(100 * used / quota) if quota else None)
        for pk, used in sums
        if pk in doctors
    ]


def _sums() -> list[tuple[int, int]]:
    rows = Reading.objects.stored().values_list("doctor").annotate(used=Sum("film_bytes"))
    return list(rows.order_by("-used")[:MAX_DOCTORS])
