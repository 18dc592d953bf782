"""The orders that a machine's query finds, and its row in the audit log."""

import datetime
import re
import zoneinfo
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from pydicom.dataset import Dataset

from accounts.audit.recording import record_event, record_shown
from exchange.orders.models import Order, OrderState, PerformedStep
from exchange.orders.worklist import answers, keys

MAX_ANSWERS = 1000
MAX_LOOKED_AT = 20_000
# Without a date in the query, orders that nobody has performed are offered for so long.
DAYS_BACK = 7
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)")


class InvalidQueryError(ValueError):
    """Raised when a date or time of a query is none. The message contains no patient data."""


@dataclass(frozen=True)
class Peer:
    """Who asks: AE title and address."""

    ae_title: str
    address: str


@dataclass(frozen=True)
class Found:
    """What a query finds.

    Attributes:
        answers: at most `MAX_ANSWERS`, ready to be sent.
        is_cut: whether there are more.
        ignored: keys that were not looked at, because orders do not state them.
    """

    answers: list[Dataset] = field(default_factory=list)
    is_cut: bool = False
    ignored: tuple[str, ...] = ()


def find(query: Dataset, peer: Peer) -> Found:
    """Return the scheduled orders that match a query, and record which were shown to whom.

    Raises:
        InvalidQueryError: a date or time of the query is none.
    """
    zone = zone_of(query)
    step = _step(query)
    station = _single(step, "ScheduledStationAETitle") or peer.ae_title
    rows = _candidates(query, step, zone)
    chosen: list[Order] = []
    found: list[Dataset] = []
    ignored: set[str] = set()
    for order in rows.prefetch_related("steps")[:MAX_LOOKED_AT]:
        answer = answers.answer_of(order, zone=zone, station=station)
        if not (keys.matches(query, answer) and _is_at_time(step, answer)):
            continue
        ignored.update(keys.unsupported(query, answer))
        if len(found) >= MAX_ANSWERS:
            return _recorded(query, peer, chosen, Found(found, True, tuple(sorted(ignored))))
        sent = answers.returned(query, answer)
        found.append(answers.in_character_set(sent, query.get("SpecificCharacterSet")))
        chosen.append(order)
    return _recorded(query, peer, chosen, Found(found, False, tuple(sorted(ignored))))


def refuse(peer: Peer) -> None:
    """Record that somebody who may not ask for the worklist did."""
    detail = {"ae_title": peer.ae_title}
    record_event(
        Order, what="worklist-refused", about=peer.ae_title, detail=detail,
        remote_addr=peer.address,
    )  # fmt: skip


def _recorded(query: Dataset, peer: Peer, orders: list[Order], found: Found) -> Found:
    """Record a query: its keys without their values, which may be a patient's."""
    detail = {"ae_title": peer.ae_title, "keys": sorted(_keys_with_values(query))}
    record_shown(
        Order, [order.pk for order in orders], what="worklist-queried", about=peer.ae_title,
        detail=detail, remote_addr=peer.address,
    )  # fmt: skip
    return found


def _keys_with_values(query: Dataset) -> set[str]:
    return {
        element.keyword
        for element in query.iterall()
        if element.VR != "SQ" and element.keyword and keys.values_of(element)
    }


def zone_of(query: Dataset) -> datetime.tzinfo:
    """Return the time zone of a query's dates: the one that it states, otherwise the site's."""
    stated = query.get("TimezoneOffsetFromUTC")
    match = _OFFSET.fullmatch(str(stated or "").strip())
    if match is None:
        return zoneinfo.ZoneInfo(settings.TIME_ZONE)
    delta = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
    if delta > datetime.timedelta(hours=14):
        return zoneinfo.ZoneInfo(settings.TIME_ZONE)
    return datetime.timezone(-delta if match[1] == "-" else delta)


def _step(query: Dataset) -> Dataset:
    items = query.get("ScheduledProcedureStepSequence") or []
    return items[0] if len(items) else Dataset()


def _single(query: Dataset, keyword: str) -> str:
    """Return the value of a key, "" if it is empty, a list or has wildcards."""
    if keyword not in query:
        return ""
    values = keys.values_of(query[keyword])
    return values[0] if len(values) == 1 and not set("*?") & set(values[0]) else ""


def _candidates(query: Dataset, step: Dataset, zone: datetime.tzinfo) -> QuerySet[Order]:
    """Return the orders that the database finds by the keys that it can compare."""
    done = PerformedStep.objects.filter(order=OuterRef("pk"), status=PerformedStep.Status.COMPLETED)
    orders = Order.objects.filter(~Exists(done), state=OrderState.SCHEDULED)
    orders = orders.filter(_in_time(step, zone))
    if station := _single(step, "ScheduledStationAETitle"):
        orders = orders.filter(station_ae_title__in=["", station])
    if modality := _single(step, "Modality"):
        orders = orders.filter(modality=modality)
    for keyword, name in (("PatientID", "patient_number"), ("AccessionNumber", "accession_number"),
                          ("StudyInstanceUID", "study_uid")):  # fmt: skip
        if value := _single(query, keyword):
            orders = orders.filter(**{name: value})
    return orders.order_by("scheduled_at", "id")


def _in_time(step: Dataset, zone: datetime.tzinfo) -> Q:
    """Return the condition for the date, and for the time if both are ranges.

    "20260705-20260707" and "1000-1800" are the time from 10:00 of the first day until 18:00 of the
    last one (PS3.4, section K.6.1.2.2).
    """
    dates = _text(step, "ScheduledProcedureStepStartDate")
    if not dates:
        since = timezone.now() - datetime.timedelta(days=DAYS_BACK)
        return Q(scheduled_at__gte=since)
    first, last = _ends(dates)
    early, late = ("", "")
    if _is_one_range(step):
        early, late = _ends(_text(step, "ScheduledProcedureStepStartTime"))
    start = _moment(first, _clock(early or "000000", is_end=False), zone) if first else None
    end = _moment(last, _clock(late or "235959", is_end=True), zone) if last else None
    return _between(start, end)


def _is_one_range(step: Dataset) -> bool:
    """Return whether date and time are both ranges, which are then one range of moments."""
    texts = [_text(step, keyword) for keyword in keys.MOMENT]
    return all("-" in text for text in texts)


def _is_at_time(step: Dataset, answer: Dataset) -> bool:
    """Return whether the time of the day is the one asked for, on whatever day."""
    times = _text(step, "ScheduledProcedureStepStartTime")
    if not times or _is_one_range(step):
        return True
    stated = answer.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime
    return keys.in_range(times.replace(":", ""), str(stated))


def _between(start: datetime.datetime | None, end: datetime.datetime | None) -> Q:
    condition = Q()
    if start is not None:
        condition &= Q(scheduled_at__gte=start)
    if end is not None:
        condition &= Q(scheduled_at__lt=end + datetime.timedelta(seconds=1))
    return condition


def _ends(text: str) -> tuple[str, str]:
    """Return the ends of a range, "" where it is open; of a single value, twice the same."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    return (first, last) if dash else (first, first)


def _text(step: Dataset, keyword: str) -> str:
    values = keys.values_of(step[keyword]) if keyword in step else []
    return values[0] if values else ""


def _clock(text: str, *, is_end: bool) -> datetime.time:
    """Return a time, or the first or last second of an hour or minute.

    Raises:
        InvalidQueryError: it is none.
    """
    digits = text.partition(".")[0].replace(":", "")
    full = digits + ("235959" if is_end else "000000")[len(digits) :]
    try:
        return datetime.datetime.strptime(full, "%H%M%S").time()
    except ValueError as error:
        raise InvalidQueryError(f"No time of the day: {text!r}.") from error


def _moment(day: str, at: datetime.time, zone: datetime.tzinfo) -> datetime.datetime:
    """Return a moment in a time zone.

    Raises:
        InvalidQueryError: the day is none.
    """
    try:
        date = datetime.datetime.strptime(day.replace(".", ""), "%Y%m%d").date()
    except ValueError as error:
        raise InvalidQueryError(f"No date: {day!r}.") from error
    return datetime.datetime.combine(date, at, tzinfo=zone)
