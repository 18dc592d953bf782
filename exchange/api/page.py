"""The page that lists what programs can ask for."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from accounts.tokens.models import SCOPES
from exchange.api.interface import api
from exchange.api.presenting import API


@login_not_required
@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    """List the endpoints with the scope that each needs."""
    groups: dict[str, list[dict[str, object]]] = {}
    for each in api.operations():
        row = {"endpoint": each, "summary": gettext(each.summary), "path": f"{API}{each.path}"}
        groups.setdefault(gettext(each.group), []).append(row)
    return render(request, "exchange/api.html", {"groups": groups, "scopes": SCOPES.items()})
