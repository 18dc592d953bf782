"""What every template may ask about accounts."""

from collections.abc import Callable
from functools import cache

from django.http import HttpRequest

from accounts.models import User


def waiting(request: HttpRequest) -> dict[str, Callable[[], int]]:
    """Gives templates the number of accounts that wait; asked of the database when first used."""
    return {"accounts_waiting": cache(lambda: User.objects.waiting().count())}
