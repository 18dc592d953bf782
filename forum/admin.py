"""The discussion board in the admin: categories and the report queue."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from forum import moderation, pages
from forum.models import Category, Report
from forum.querysets import MODERATE
from xraysite.common.admin import ReadOnlyAdmin
from xraysite.common.forms import ReasonForm
from xraysite.common.paging import BoundedPaginator


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    """Categories; one that contains topics can be closed but not deleted."""

    list_display = ["name_zh_hant", "name_en", "position", "opened_by", "is_closed"]
    ordering = ["position", "id"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_used = obj is not None and obj.topics.exists()
        return not is_used and super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}


class StateFilter(admin.SimpleListFilter):
    """Shows open reports unless resolved or all reports are selected."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("decided", _("Decided")), ("all", pgettext_lazy("reports", "All"))]

    def choices(self, changelist: Any) -> Any:
        waiting, *others = super().choices(changelist)
        yield {**waiting, "display": _("Waiting")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        if self.value() == "decided":
            return queryset.filter(handled_at__isnull=False)
        return queryset.filter(handled_at__isnull=True)


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """The report queue. A report is resolved, never edited or deleted."""

    list_display = ["what", "reason", "reporter", "created_at", "outcome", "handled_by"]
    list_display_links = ["what"]
    list_filter = [StateFilter]
    list_select_related = ["post__topic", "reporter", "handled_by"]
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False
    actions = None
    sortable_by = ["created_at"]

    class Media:
        css = {"all": ["css/admin/post_reports.css"]}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and request.user.has_perm(MODERATE)

    @admin.display(description=_("post"))
    def what(self, report: Report) -> SafeString:
        return format_html("{} #{}", report.post.topic.title, report.post.number)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the reported post with its reports, and handle the decision."""
        report = self.get_object(request, object_id)
        if report is None or not self.has_view_permission(request, report):
            raise Http404(gettext("This report does not exist."))
        form = ReasonForm(request.POST or None)
        if request.method == "POST":
            done = self._decide(request, report, form)
            if done is not None:
                return done
        user: Any = request.user
        waiting = list(report.post.reports.filter(handled_at__isnull=True))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Report of a post"),
            "report": report,
            "reports": waiting or [report],
            "is_waiting": bool(waiting),
            "shown": pages.shown([report.post], to=user)[0],
            "form": form,
        }
        return TemplateResponse(request, "admin/forum/report/decide.html", context)

    def _decide(
        self, request: HttpRequest, report: Report, form: ReasonForm
    ) -> HttpResponseRedirect | None:
        user: Any = request.user
        if request.POST.get("do") == "leave":
            moderation.leave_post(by=user, post_id=report.post_id)
            messages.success(
                request, gettext("The post was kept. The reporters have been notified.")
            )
        elif form.is_valid():
            moderation.hide_post(
                by=user, post_id=report.post_id, reason=form.cleaned_data["reason"]
            )
            messages.success(
                request, gettext("The post was hidden. The reporters have been notified.")
            )
        else:
            return None
        return HttpResponseRedirect(reverse("admin:forum_report_changelist"))
