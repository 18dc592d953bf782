"""Helpers for the apps' admin classes."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase

from xraysite.common import private_search


class ReadOnlyAdmin(admin.ModelAdmin):
    """An admin in which nobody adds, changes or deletes objects; viewing needs its permission."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Leave out the scripts of forms, jQuery and others: there is no form."""
        context["media"] = forms.Media(getattr(self, "Media", None))
        return super().render_change_form(request, context, *args, **kwargs)


class PrivateSearchChangeList(ChangeList):
    """A change list whose links contain the search's key instead of its text."""

    def get_queryset(self, request: HttpRequest, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        for params in (self.params, self.filter_params):
            params.pop(private_search.FIELD, None)
        return super().get_queryset(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> Any:
        found = super().get_filters_params(params)
        found.pop(private_search.PARAMETER, None)
        return found


class PrivateSearchMixin(admin.ModelAdmin):
    """An admin whose search text stays out of URLs.

    Its templates `search_form.html` include `admin/private_search_form.html`.
    """

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return PrivateSearchChangeList

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        listed: HttpResponseBase = private_search.private_search(super().changelist_view)(
            request, *args, **kwargs
        )
        return listed

    def get_preserved_filters(self, request: HttpRequest) -> str:
        """Return the filters for links to an object's page and back, without the text."""
        if private_search.FIELD not in request.GET:
            return super().get_preserved_filters(request)
        return urlencode({"_changelist_filters": private_search.query_string(request)})
