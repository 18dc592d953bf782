"""Pages on which a doctor manages tags and saved views of the worklist."""

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View

from diagnosis import phi
from diagnosis.models import SavedView, Tag, TagColour
from diagnosis.services import shelves
from diagnosis.views.readings import DoctorsOnlyMixin
from diagnosis.views.worklist import list_url
from diagnosis.worklist import kept
from diagnosis.worklist.lists import query_of


class TagsView(DoctorsOnlyMixin, View):
    """The doctor's tags, and a form for another one."""

    def get(self, request: HttpRequest, **typed: Any) -> HttpResponse:
        shown = Q(taggings__reading__hidden_at__isnull=True)
        tags = Tag.objects.filter(doctor=request.user)  # type: ignore[misc]
        counted = tags.annotate(n=Count("taggings", filter=shown))
        context = {"tags": counted, "colours": TagColour.choices, **typed}
        return render(request, "diagnosis/tags.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        name, user = request.POST.get("name", "").strip(), request.user
        warnings = [] if request.POST.get("sure") else list(phi.check(user, name))  # type: ignore[arg-type]
        colour = request.POST.get("colour") or TagColour.GREY
        if warnings:
            return self.get(request, name=name, colour=colour, warnings=warnings)
        try:
            shelves.create_tag(doctor=user, name=name, colour=colour)  # type: ignore[arg-type]
        except ValueError as error:
            messages.error(request, said(error))
        else:
            messages.success(request, _("Tag created."))
        return redirect("readings:tags")


class TagView(DoctorsOnlyMixin, View):
    """Rename, recolour or delete one of the doctor's tags."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        user: Any = request.user
        try:
            if request.POST.get("action") == "delete":
                shelves.delete_tag(doctor=user, tag_id=pk)
                messages.success(request, _("Tag deleted. The readings are unchanged."))
            else:
                name, colour = request.POST.get("name", ""), request.POST.get("colour", "")
                shelves.change_tag(doctor=user, tag_id=pk, name=name, colour=colour)
                messages.success(request, _("Tag saved."))
        except Tag.DoesNotExist:
            raise Http404 from None
        except ValueError as error:
            messages.error(request, said(error))
        return redirect("readings:tags")


class SavedViewsView(DoctorsOnlyMixin, View):
    """The doctor's saved views; a POST saves the list that was shown under a name."""

    def get(self, request: HttpRequest) -> HttpResponse:
        views = SavedView.objects.filter(doctor=request.user)  # type: ignore[misc]
        return render(request, "diagnosis/saved_views.html", {"views": views})

    def post(self, request: HttpRequest) -> HttpResponse:
        _key, known = kept.find(request.session, request.POST.get(kept.PARAMETER, ""))
        query = query_of(known.query)
        try:
            view = shelves.save_view(
                doctor=request.user,  # type: ignore[arg-type]
                name=request.POST.get("name", ""),
                query=query,
            )
        except ValueError as error:
            messages.error(request, said(error))
            return redirect(list_url(request, query, view="all"))
        messages.success(request, _("View saved."))
        return redirect(list_url(request, query, view=str(view.pk)))


class SavedViewView(DoctorsOnlyMixin, View):
    """Open one of the doctor's saved views; a POST renames, deletes or chooses it."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        view = SavedView.objects.filter(doctor=request.user, pk=pk).first()  # type: ignore[misc]
        if view is None:
            raise Http404
        return redirect(list_url(request, view.parameters(), view=str(view.pk)))

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        action, user = request.POST.get("action"), request.user
        own: Any = {"doctor": user, "view_id": pk}
        try:
            if action == "delete":
                shelves.delete_view(**own)
                messages.success(request, _("View deleted. The readings are unchanged."))
            elif action in ("first", "not_first"):
                shelves.set_default_view(**own, is_default=action == "first")
                messages.success(request, _("Saved."))
            else:
                shelves.rename_view(**own, name=request.POST.get("name", ""))
                messages.success(request, _("View renamed."))
        except SavedView.DoesNotExist:
            raise Http404 from None
        except ValueError as error:
            messages.error(request, said(error))
        return redirect("readings:views")


def said(error: ValueError) -> str:
    """Return why a tag or a view was not saved, in the active language."""
    match error:
        case shelves.NameTakenError():
            return _("You use this name already.")
        case shelves.TooManyError():
            return _("You have too many. Delete some first.")
    return _("Enter a name that is not too long.")
