"""What every template may ask about the board."""

from collections.abc import Callable
from functools import cache

from django.http import HttpRequest

from forum import moderation, notifications


def board(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Give templates what waits for the person; asked of the database when first used."""
    return {
        "board_news": cache(lambda: notifications.unread_count(request.user)),  # type: ignore[arg-type]
        "reports_waiting": cache(moderation.reports_waiting),
    }
