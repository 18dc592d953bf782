"""Lists page by page: cursors name a place in a list, and no patient."""

import base64
import binascii
import datetime
import json
import uuid
from functools import cached_property
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from diagnosis.models import Reading
from diagnosis.worklist.lists import Worklist, query_of
from exchange.api.problems import Problem, of_form
from xraysite.common import keyset
from xraysite.common.keyset import Place

BY_TIME = ("read", "-read")


def encoded(*parts: Any) -> str:
    """Return a cursor with these parts."""
    text = json.dumps([str(part) for part in parts])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decoded(cursor: str, count: int) -> list[str]:
    """Return the parts of a cursor.

    Raises:
        Problem: it is none of `encoded`.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if isinstance(parts, list) and len(parts) == count:
            return [str(part) for part in parts]
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise bad_cursor()


def bad_cursor() -> Problem:
    return Problem(
        422,
        "bad-cursor",
        _("This cursor is not valid, or its place is gone. Begin with the first page."),
    )


def as_uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise bad_cursor() from None


def as_time(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise bad_cursor() from None
    if moment.tzinfo is None or not 1900 < moment.year < 9000:
        raise bad_cursor()
    return moment


def as_number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise bad_cursor()
    return int(text)


class ApiWorklist(Worklist):
    """The worklist of the token's account; for supervisors, every reading that they may see."""

    @cached_property
    def all(self) -> "QuerySet[Reading]":
        user = self.request.user
        if not self.query.get("scope") and not user.has_perm("diagnosis.add_reading"):
            return Reading.objects.visible_to(user)
        return super().all


def keys_of_page(
    request: HttpRequest, filters: dict[str, Any], *, cursor: str, limit: int
) -> tuple[list[Any], str | None, ApiWorklist]:
    """Return the keys of a page of the worklist, the cursor of the next one, and the list.

    Raises:
        Problem: a filter or the cursor is not valid.
    """
    given = {name: str(value) for name, value in filters.items() if value not in (None, "")}
    worklist = ApiWorklist(request, query_of(given))
    if not worklist.search.form.is_valid():
        raise of_form(worklist.search.form)
    after = _place(worklist, cursor) if cursor else None
    page = keyset.page_of(worklist.found, worklist.segments, size=limit, after=after)
    following = _cursor(worklist, page.keys[-1]) if page.has_next else None
    return page.keys, following, worklist


def _cursor(worklist: ApiWorklist, key: Any) -> str:
    if worklist.sort not in BY_TIME:
        return encoded(key, "")
    created = worklist.all.filter(pk=key).values_list("created_at", flat=True).first()
    return encoded(key, created.isoformat() if created else "")


def _place(worklist: ApiWorklist, cursor: str) -> Place:
    """Return the cursor's place; by time, it stays even if its reading is deleted."""
    text, created = decoded(cursor, 2)
    key = as_uuid(text)
    if created and worklist.sort in BY_TIME:
        return Place(0, {"created_at": as_time(created), "id": key})
    place = worklist.place_of(key)
    if place is None:
        raise bad_cursor()
    return place
