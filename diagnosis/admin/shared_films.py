"""The supervisors' list of X-rays that are stored under several patients."""

from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.models import User
from diagnosis import access_log
from diagnosis.services.shared_films import readings_of, shared_films
from xraysite.common.paging import BoundedPaginator

FILMS_A_PAGE = 25


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    """Return the URL pattern of the list."""
    view = model_admin.admin_site.admin_view(require_safe(shared_films_view))
    return [path("shared-films/", view, name="diagnosis_reading_shared_films")]


def shared_films_view(request: HttpRequest) -> HttpResponse:
    """List each X-ray that several patients share, with its readings by any doctor."""
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    supervisor = cast(User, request.user)
    page = BoundedPaginator(shared_films(supervisor), FILMS_A_PAGE).get_page(
        request.GET.get("page")
    )
    films = readings_of(list(page.object_list), by=supervisor)
    shown = [reading for film in films for reading in film["readings"]]
    access_log.record_list(shown, what="shared-films", about=f"page {page.number}")
    context: dict[str, Any] = admin.site.each_context(request) | {
        "title": _("X-rays of several patients"),
        "page_obj": page,
        "films": films,
    }
    return TemplateResponse(request, "admin/diagnosis/shared_films.html", context)
