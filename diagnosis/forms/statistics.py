"""The period of a page of statistics."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from diagnosis import opinion_statistics


def period_context(request: HttpRequest) -> dict[str, Any]:
    """Return the period asked for by `?period=`, and those to choose from with their names."""
    asked = request.GET.get("period", "")
    names = {
        "30": _("30 days"),
        "90": _("90 days"),
        "365": _("A year"),
        "all": _("All time"),
    }
    known = asked in opinion_statistics.PERIODS
    return {
        "period": asked if known else opinion_statistics.DEFAULT_PERIOD,
        "periods": list(names.items()),
    }
