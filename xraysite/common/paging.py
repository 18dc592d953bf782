"""Paging through tables too large to count."""

from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

BOUND = 10_000


class BoundedPaginator(Paginator):
    """Counts no further than `BOUND`, so that a page costs the same in a table of any size.

    What lies beyond is reached by narrowing the search. `is_bounded` says that there is more.
    """

    @cached_property
    def _counted(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            # Which rows are counted does not matter, so nothing needs sorting.
            return rows.order_by()[: BOUND + 1].count()
        return len(rows)

    @cached_property
    def count(self) -> int:
        return min(self._counted, BOUND)

    @property
    def is_bounded(self) -> bool:
        return self._counted > BOUND
