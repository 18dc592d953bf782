"""Pagination of tables too large to count."""

from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

BOUND = 10_000


class BoundedPaginator(Paginator):
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
