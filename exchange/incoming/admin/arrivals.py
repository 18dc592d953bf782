"""The supervisors' admin of X-rays that arrived: all of them, and those that need a decision."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from accounts.audit.recording import record_access, record_shown
from accounts.models import User
from diagnosis.models import Team
from diagnosis.services.films import FilmMissingError
from exchange.incoming import handing, matching
from exchange.incoming.handing import Moved, NobodyError
from exchange.incoming.models import Arrival, ArrivalState
from exchange.incoming.people import doctors
from exchange.incoming.pictures import picture_of
from exchange.incoming.shown import Shown
from exchange.incoming.texts import reason_text
from xraysite.common.admin import ReadOnlyAdmin
from xraysite.common.faults import fault_of
from xraysite.common.paging import BoundedPaginator

INBOX = "admin:incoming_arrival_inbox"
PAGE = "admin:incoming_arrival_change"
PER_PAGE = 25
NOBODY = {
    "doctor": gettext_lazy("The doctor may not read X-rays, or is no member of the team."),
    "quota": gettext_lazy("The doctor has used up the storage that an account may use."),
    "lost": gettext_lazy("The file is no longer on the server."),
}


class AssignForm(forms.Form):
    """Whose worklist X-rays go to."""

    doctor = forms.ModelChoiceField(
        queryset=User.objects.none(),
        label=gettext_lazy("Doctor"),
        required=False,
        empty_label=gettext_lazy("The team's lead"),
    )
    team = forms.ModelChoiceField(
        queryset=Team.objects.none(),
        label=gettext_lazy("Team"),
        required=False,
        empty_label=gettext_lazy("No team"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["doctor"].queryset = doctors()  # type: ignore[attr-defined]
        self.fields["team"].queryset = Team.objects.order_by("name")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not cleaned.get("doctor") and not cleaned.get("team"):
            raise forms.ValidationError(_("Choose a doctor, a team, or both."))
        return cleaned


class KeepOutForm(forms.Form):
    """Why X-rays are kept out."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


@admin.register(Arrival)
class ArrivalAdmin(ReadOnlyAdmin):
    """Every X-ray that a machine sent, and what became of it."""

    list_display = ["when", "calling_ae", "address", "image", "state", "doctor", "why", "times"]
    list_filter = ["state", "calling_ae"]
    list_display_links = ["when"]
    list_select_related = ["doctor"]
    list_per_page = PER_PAGE
    list_max_show_all = PER_PAGE
    sortable_by = ()
    show_full_result_count = False
    paginator = BoundedPaginator
    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    has_module_permission = has_view_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[Arrival]:
        return Arrival.objects.visible_to(request.user)

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            shown = require_http_methods(["GET", "POST"])(partial(view, self))
            return path(route, self.admin_site.admin_view(shown), name=f"incoming_arrival_{name}")

        return [
            page("inbox/", inbox_view, "inbox"),
            page("<uuid:pk>/film/", film_view, "film"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        waiting = Arrival.objects.in_inbox_of(request.user).order_by()[:1000].count()
        response: HttpResponse = super().changelist_view(request, {"waiting": waiting})
        listed = getattr(response, "context_data", {}).get("cl")
        if listed is not None:
            record_shown(Arrival, [each.pk for each in listed.result_list], what="dicom-list")
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return arrival_view(self, request, object_id)

    @admin.display(description=gettext_lazy("received at"))
    def when(self, arrival: Arrival) -> Any:
        return arrival.received_at

    @admin.display(description=gettext_lazy("image"))
    def image(self, arrival: Arrival) -> str:
        return Shown(arrival).image

    @admin.display(description=gettext_lazy("reason"))
    def why(self, arrival: Arrival) -> str:
        if arrival.state == ArrivalState.READ and arrival.reading_id:
            url = reverse("readings:detail", args=[arrival.reading_id])
            return format_html('<a href="{}">{}</a>', url, _("Open the reading"))
        return reason_text(arrival.reason)


def _supervisor(request: HttpRequest) -> User:
    if not request.user.has_perm("diagnosis.oversee_reading"):
        raise PermissionDenied
    return cast(User, request.user)


def _page(
    model_admin: admin.ModelAdmin, request: HttpRequest, template: str, context: dict[str, Any]
) -> HttpResponse:
    shared = model_admin.admin_site.each_context(request)
    shared |= {"opts": model_admin.opts, "media": model_admin.media}
    return TemplateResponse(request, f"admin/incoming/arrival/{template}.html", shared | context)


def inbox_view(model_admin: admin.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Show the X-rays that wait for a supervisor; a POST decides about those that are chosen."""
    supervisor = _supervisor(request)
    assign, keep_out = AssignForm(), KeepOutForm()
    if request.method == "POST":
        chosen = [key for text in request.POST.getlist("arrival") if (key := _uuid(text))]
        assign, keep_out, is_done = _decide(request, supervisor, chosen)
        if is_done:
            return redirect(INBOX)
    handing.settle()
    waiting = Arrival.objects.in_inbox_of(supervisor)
    page = Paginator(waiting, PER_PAGE).get_page(request.GET.get("page"))
    record_shown(Arrival, [arrival.pk for arrival in page.object_list], what="dicom-inbox")
    context = {
        "title": _("X-rays that need a supervisor"),
        "page_obj": page,
        "rows": [Shown(arrival) for arrival in page.object_list],
        "assign": assign,
        "keep_out": keep_out,
    }
    return _page(model_admin, request, "inbox", context)


def _decide(
    request: HttpRequest, supervisor: User, chosen: list[uuid.UUID]
) -> tuple[AssignForm, KeepOutForm, bool]:
    """Do what a form says; return the forms, and whether it was done."""
    is_assigned = "assign" in request.POST
    assign = AssignForm(request.POST if is_assigned else None)
    keep_out = KeepOutForm(None if is_assigned else request.POST)
    if not chosen:
        messages.error(request, _("Choose at least one X-ray."))
        return assign, keep_out, False
    form = assign if is_assigned else keep_out
    if not form.is_valid():
        return assign, keep_out, False
    service = handing.assign if is_assigned else handing.keep_out
    done = 0
    for key in chosen:
        done += _one(request, partial(service, supervisor=supervisor), key, form.cleaned_data)
    if done:
        messages.success(request, _done_text(is_assigned, done))
    return assign, keep_out, True


def _done_text(is_assigned: bool, done: int) -> str:
    if is_assigned:
        return ngettext(
            "%(n)d X-ray was sent to the doctor.", "%(n)d X-rays were sent to the doctor.", done
        ) % {"n": done}
    return ngettext("%(n)d X-ray was kept out.", "%(n)d X-rays were kept out.", done) % {"n": done}


def _one(
    request: HttpRequest, service: Callable[..., Any], key: uuid.UUID, data: dict[str, Any]
) -> bool:
    try:
        service(arrival_id=key, **data)
    except (Moved, Arrival.DoesNotExist):
        messages.info(request, _("Somebody else has decided about one of these X-rays."))
        return False
    except NobodyError as error:
        messages.error(request, str(NOBODY[error.code]))
        return False
    except OSError as error:
        if fault_of(error) is None:
            raise
        messages.error(request, _("The X-ray cannot be stored at the moment. Try again."))
        return False
    return True


def arrival_view(
    model_admin: admin.ModelAdmin, request: HttpRequest, object_id: str
) -> HttpResponse:
    """Show an X-ray, which rules it matches, and the forms that decide about it."""
    supervisor = _supervisor(request)
    arrival = _arrival(request, object_id)
    assign, keep_out = AssignForm(), KeepOutForm()
    if request.method == "POST":
        assign, keep_out, is_done = _decide(request, supervisor, [arrival.pk])
        if is_done:
            return redirect(PAGE, arrival.pk)
    record_access(arrival, what="dicom-page")
    context = {
        "title": _("X-ray from %(machine)s") % {"machine": arrival.calling_ae},
        "arrival": arrival,
        "shown": Shown(arrival),
        "rules": _rules(arrival),
        "other": arrival.reason.get("params", {}).get("arrival"),
        "may_assign": arrival.is_stored and arrival.state in handing.UNDECIDED,
        "may_keep_out": arrival.state == ArrivalState.WAITING,
        "assign": assign,
        "keep_out": keep_out,
    }
    return _page(model_admin, request, "detail", context)


def _rules(arrival: Arrival) -> list[dict[str, Any]]:
    """Return today's rules, and which of them the X-ray matches; the first of these decides."""
    if not arrival.stated:
        return []
    rules = matching.active_rules()
    first = matching.first_match(rules, arrival.calling_ae, arrival.stated)
    return [
        {
            "rule": rule,
            "matches": matching.matches(rule, arrival.calling_ae, arrival.stated),
            "decides": rule == first,
        }
        for rule in rules
    ]


def film_view(model_admin: admin.ModelAdmin, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Respond with the X-ray as a JPEG, and record who saw it."""
    _supervisor(request)
    arrival = _arrival(request, str(pk))
    try:
        picture = picture_of(arrival)
    except FilmMissingError as error:
        raise Http404(_("This X-ray cannot be shown.")) from error
    record_access(arrival, what="dicom-film")
    return HttpResponse(picture, content_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _arrival(request: HttpRequest, text: str) -> Arrival:
    key = _uuid(text)
    found = Arrival.objects.visible_to(request.user).select_related("doctor", "team", "rule")
    arrival: Arrival | None = found.filter(pk=key).first() if key else None
    if arrival is None:
        raise Http404
    return arrival


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
