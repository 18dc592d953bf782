"""The DICOM UIDs that readings have for other systems.

A film that came as a DICOM file keeps the UIDs of its header, so that results are filed under the
same study. Other films get UIDs made from the reading's id (PS3.5 B.2), which never change. So do
films whose doctor decided that the header is another patient's or wrong: a result must not be
filed under that patient's study.
"""

import re
import uuid
from typing import Final

from django.db.models import Q

from diagnosis.models import Reading

# Combined with the last 48 bits of the reading's id, so that it stays a random UUID.
_STUDY: Final = 0x5354_5544_5931
_SERIES: Final = 0x5345_5249_4553
_INSTANCE: Final = 0
_ROOT = "2.25."


def study_uid(reading: Reading) -> str:
    """Return the reading's Study Instance UID."""
    return _uid(reading, reading.film_study_uid, _STUDY)


def series_uid(reading: Reading) -> str:
    """Return the Series Instance UID of the reading's film."""
    return _uid(reading, reading.film_series_uid, _SERIES)


def instance_uid(reading: Reading) -> str:
    """Return the SOP Instance UID of the reading's film."""
    return _uid(reading, reading.film_instance_uid, _INSTANCE)


def in_study(uid: str) -> Q:
    """Return the condition of readings whose `study_uid` is `uid`."""
    return _matching("film_study_uid", uid, _STUDY)


def in_series(uid: str) -> Q:
    """Return the condition of readings whose `series_uid` is `uid`."""
    return _matching("film_series_uid", uid, _SERIES)


def of_instance(uid: str) -> Q:
    """Return the condition of readings whose `instance_uid` is `uid`.

    Several doctors may have read the same film.
    """
    return _matching("film_instance_uid", uid, _INSTANCE)


def _uid(reading: Reading, stated: str, mask: int) -> str:
    if stated and not reading.header_disowned:
        return stated
    return f"{_ROOT}{reading.pk.int ^ mask}"


def _matching(field: str, uid: str, mask: int) -> Q:
    stated = Q(**{field: uid}, header_disowned=False) & ~Q(**{field: ""})
    made = _made_from(uid, mask)
    if made is None:
        return stated
    return stated | Q(Q(**{field: ""}) | Q(header_disowned=True), pk=made)


def _made_from(uid: str, mask: int) -> uuid.UUID | None:
    """Return the id of the reading that a UID was made from, None if it was made elsewhere."""
    digits = uid.removeprefix(_ROOT)
    if digits == uid or re.fullmatch(r"[1-9][0-9]{0,38}", digits) is None:
        return None
    number = int(digits) ^ mask
    return uuid.UUID(int=number) if number < 2**128 else None
