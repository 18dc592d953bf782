"""Searches: pages of resources as a Bundle, newest reading first."""

import datetime
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict

from accounts.models import User
from diagnosis.models import Reading
from exchange.fhir.answers import FhirError
from exchange.fhir.loading import Record, records, with_parts
from exchange.fhir.parameters import conditions
from exchange.fhir.resources.common import Resource
from exchange.fhir.resources.observations import observations
from exchange.fhir.resources.people import patient
from exchange.fhir.resources.reports import diagnostic_report
from exchange.fhir.resources.studies import imaging_study

DEFAULT_COUNT, MAX_COUNT = 50, 200
_CURSOR = re.compile(r"(\d{1,17})\.([0-9a-f]{32})")


@dataclass(frozen=True)
class Page:
    """A page of a search.

    Attributes:
        resources: what was found.
        readings: the readings that the resources show.
        total: how many there are on all pages; None if that is not counted.
        cursor: where the next page begins, "" after the last.
    """

    resources: list[Resource]
    readings: list[Reading]
    total: int | None
    cursor: str


def seen_by(user: User) -> QuerySet[Reading]:
    """Return the readings whose resources `user` may see, with answers removed where withheld."""
    seen = Reading.objects.visible_to(user).filter(hidden_at__isnull=True)
    return with_parts(seen).with_withheld(user)  # type: ignore[attr-defined]


def search(kind: str, asked: QueryDict, user: User) -> Page:
    """Return a page of the resources of one kind that `user` may see.

    Raises:
        FhirError: a parameter is unknown or has a bad value.
    """
    filters = conditions(kind, asked)
    if kind == "Patient" and not filters:
        raise FhirError(400, "too-costly", "Search patients by identifier or _id.")
    found = seen_by(user).filter(*filters)
    if kind == "Patient":
        return _patients(found)
    total = None if kind == "Observation" else found.order_by().count()
    if asked.get("_summary") == "count":
        return Page([], [], total, "")
    rows, cursor = _page(found, asked)
    resources = [each for record in records(rows) for each in _resources(kind, record, asked)]
    return Page(resources, rows, total, cursor)


def _resources(kind: str, record: Record, asked: QueryDict) -> list[Resource]:
    if kind == "ImagingStudy":
        return [imaging_study(record)]
    if kind == "DiagnosticReport":
        return [diagnostic_report(record)]
    names = {each for value in asked.getlist("_id") for each in value.split(",")}
    names |= {
        each.rpartition("|")[2]
        for value in asked.getlist("identifier")
        for each in value.split(",")
    }
    return [each for each in observations(record) if not names or each["id"] in names]


def _patients(found: QuerySet[Reading]) -> Page:
    """Return the patients of readings, each as the latest of them states it.

    A number belongs to few patients, so there is one page.
    """
    rows = list(found.order_by("-created_at", "-id")[:MAX_COUNT])
    latest: dict[str, Record] = {}
    for record in records(rows):
        latest.setdefault(record.patient_key, record)
    shown = list(latest.values())
    return Page(
        [patient(record) for record in shown], [each.reading for each in shown], len(shown), ""
    )


def _page(found: QuerySet[Reading], asked: QueryDict) -> tuple[list[Reading], str]:
    count = _count(asked)
    cursor = asked.get("_cursor", "")
    if cursor:
        found = found.filter(_after(cursor))
    rows = list(found.order_by("-created_at", "-id")[: count + 1])
    if len(rows) <= count:
        return rows, ""
    rows = rows[:count]
    micro = round(rows[-1].created_at.timestamp() * 1_000_000)
    return rows, f"{micro}.{rows[-1].pk.hex}"


def _count(asked: QueryDict) -> int:
    text = asked.get("_count", str(DEFAULT_COUNT))
    if not re.fullmatch(r"\d{1,6}", text) or int(text) == 0:
        raise FhirError(400, "invalid", "_count is a whole number from 1.")
    return min(int(text), MAX_COUNT)


def _after(cursor: str) -> Q:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise FhirError(400, "invalid", "_cursor is none of this server.")
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    when = epoch + datetime.timedelta(microseconds=int(match[1]))
    return Q(created_at__lt=when) | Q(created_at=when, id__lt=match[2])


def bundle_of(page: Page, kind: str, asked: QueryDict, base: str) -> dict[str, Any]:
    """Return a page as a Bundle with links to itself and to the next page.

    Args:
        base: the absolute URL of the service, without a slash at its end.
    """
    kept = [
        (name, str(value)) for name in asked for value in asked.getlist(name) if name != "_cursor"
    ]
    here = [("_cursor", str(asked.get("_cursor")))] if asked.get("_cursor") else []
    links = [{"relation": "self", "url": _url(base, kind, kept + here)}]
    if page.cursor:
        links.append(
            {"relation": "next", "url": _url(base, kind, [*kept, ("_cursor", page.cursor)])}
        )
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "link": links}
    if page.total is not None:
        bundle["total"] = page.total
    entries = [
        {
            "fullUrl": f"{base}/{each['resourceType']}/{each['id']}",
            "resource": each,
            "search": {"mode": "match"},
        }
        for each in page.resources
    ]
    return bundle | ({"entry": entries} if entries else {})


def _url(base: str, kind: str, values: list[tuple[str, str]]) -> str:
    query = urlencode(values)
    return f"{base}/{kind}?{query}" if query else f"{base}/{kind}"
