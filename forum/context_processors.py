"""Context processors of the discussion board."""

from collections.abc import Callable
from functools import cache

from django.http import HttpRequest

from forum import moderation, notifications


def board(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Add the user's notification and report counts, queried on first use."""
    return {
        "board_news": cache(lambda: notifications.unread_count(request.user)),  # type: ignore[arg-type]
        "reports_waiting": cache(moderation.reports_waiting),
    }
