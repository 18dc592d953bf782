"""Background tasks in the admin: what waits, runs and failed, and a button to try again."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult, get_date_max

from accounts.audit import recording
from xraysite.common.admin import ReadOnlyAdmin
from xraysite.common.background import queue
from xraysite.common.background.tasks import TITLES
from xraysite.common.paging import BoundedPaginator
from xraysite.common.sentences import translated

CHANGELIST = "admin:django_tasks_database_dbtaskresult_changelist"
RETRY = "admin:django_tasks_database_dbtaskresult_retry"
SHOWN = 10


def replace() -> None:
    """Replace the admin of django-tasks, which shows arguments and tracebacks."""
    admin.site.unregister(DBTaskResult)
    admin.site.register(DBTaskResult, TaskAdmin)


def title_of(row: DBTaskResult) -> str:
    """Return what a task does, or its path if the code no longer has it."""
    return str(TITLES.get(row.task_path, row.task_path))


def reason_of(row: DBTaskResult) -> str:
    """Return why a task failed, in words."""
    if row.exception_class_path.endswith(".WorkerDiedError"):
        return gettext("The worker died each time it ran this task.")
    return translated(queue.reason_of(row))


def office_queue() -> dict[str, Any] | None:
    """Return the queue for the admin's start page; None without one in the database."""
    found = queue.summary()
    if found is None:
        return None
    failed = [
        {
            "title": title_of(row),
            "about": queue.about(row),
            "reason": reason_of(row),
            "when": row.finished_at,
            "retry": reverse(RETRY, args=[row.pk]),
        }
        for row in queue.failed()[:SHOWN]
    ]
    return {"summary": found, "failed": failed, "more": found.failed - len(failed)}


class TaskAdmin(ReadOnlyAdmin):
    """Tasks, the latest first."""

    list_display = ["title", "about", "state", "enqueued", "when_due", "finished", "reason"]
    list_filter = ["status"]
    list_per_page = 50
    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    ordering = ["-enqueued_at"]
    actions = None
    fields = [
        "title", "about", "state", "enqueued", "when_due", "finished", "attempts", "reason",
    ]  # fmt: skip
    change_form_template = "admin/tasks/change_form.html"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        view = require_http_methods(["GET", "POST"])(self.retry_view)
        return [
            path(
                "<uuid:object_id>/retry/",
                self.admin_site.admin_view(view),
                name="django_tasks_database_dbtaskresult_retry",
            ),
            *super().get_urls(),
        ]

    def retry_view(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """Ask, and on POST let a failed task run again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(DBTaskResult, pk=object_id)
        if row.status != TaskResultStatus.FAILED:
            messages.info(request, gettext("This task has not failed. Nothing was changed."))
            return HttpResponseRedirect(reverse(CHANGELIST))
        if request.method == "POST":
            return self._retry(request, row)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Retry this task?"),
            "task": row,
            "task_title": title_of(row),
            "about": queue.about(row),
            "reason": reason_of(row),
        }
        return TemplateResponse(request, "admin/tasks/retry.html", context)

    def _retry(self, request: HttpRequest, row: DBTaskResult) -> HttpResponse:
        with transaction.atomic():
            is_done = queue.retry(str(row.pk))
            if is_done:
                recording.record_event(
                    DBTaskResult,
                    what="task-retried",
                    about=title_of(row),
                    detail={"task": row.task_path, "reason": queue.reason_of(row)},
                    key=str(row.pk),
                )
        if is_done:
            messages.success(request, gettext("The task will be run again."))
        return HttpResponseRedirect(reverse(CHANGELIST))

    @admin.display(description=_("Task"))
    def title(self, row: DBTaskResult) -> str:
        return title_of(row)

    @admin.display(description=_("About"))
    def about(self, row: DBTaskResult) -> str:
        return queue.about(row)

    @admin.display(description=_("Status"))
    def state(self, row: DBTaskResult) -> str:
        return row.get_status_display()

    @admin.display(description=_("Enqueued"))
    def enqueued(self, row: DBTaskResult) -> Any:
        return row.enqueued_at

    @admin.display(description=_("Finished"))
    def finished(self, row: DBTaskResult) -> Any:
        return row.finished_at

    @admin.display(description=_("Not before"))
    def when_due(self, row: DBTaskResult) -> Any:
        return None if row.run_after == get_date_max() else row.run_after

    @admin.display(description=_("Attempts"))
    def attempts(self, row: DBTaskResult) -> int:
        return len(row.worker_ids)

    @admin.display(description=_("Reason"))
    def reason(self, row: DBTaskResult) -> str:
        if row.status != TaskResultStatus.FAILED:
            return ""
        retry = reverse(RETRY, args=[row.pk])
        return format_html('{} <a href="{}">{}</a>', reason_of(row), retry, gettext("Retry"))
