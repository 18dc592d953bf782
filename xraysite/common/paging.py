"""Pagination of large tables."""

from functools import cached_property
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet

BOUND = 10_000


class KeyPaginator(Paginator):
    """Selects the primary keys of a page first, then the rows.

    An index that covers the filters and the order then finds the page by itself: neither the rows
    of the pages before nor what is joined to them are read. Groups have no keys and are sliced.
    """

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        rows: Any = self.object_list
        if not isinstance(rows, QuerySet) or rows.query.group_by is not None:
            return super().page(number)
        start = (number - 1) * self.per_page
        keys = rows.values_list("pk", flat=True)[start : start + self.per_page]
        shown = rows.filter(pk__in=list(keys)) if self.count else rows.none()
        return Page(shown, number, self)


class BoundedPaginator(KeyPaginator):
    """Counts at most `BOUND` rows, so that a page costs the same in a table of any size.

    Rows beyond are reached by narrowing the search; `is_bounded` tells whether there are more.
    """

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            # Counting needs no order.
            return rows.order_by()[: BOUND + 1].count()
        return len(rows)

    @cached_property
    def count(self) -> int:
        return min(self._counted, BOUND)

    @property
    def is_bounded(self) -> bool:
        return self._counted > BOUND
