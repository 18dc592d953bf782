"""Notifications and email preferences."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View

from forum import notifications
from forum.forms import MailForm
from forum.views.base import MembersOnlyMixin
from xraysite.common.paging import BoundedPaginator

A_PAGE = 30


class NotificationsView(MembersOnlyMixin, View):
    """The user's notifications, newest first, and the email preference."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(MailForm(initial={"mail": notifications.member(self.person).mail}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = MailForm(request.POST)
        if not form.is_valid():
            return self._page(form)
        notifications.set_mail(user=self.person, mail=form.cleaned_data["mail"])
        messages.success(request, _("Your email preference has been saved."))
        return redirect("forum:notifications")

    def _page(self, form: MailForm) -> HttpResponse:
        mine = notifications.visible_notifications(self.person)
        mine = mine.select_related("post__topic__category", "actor")
        mine = mine.prefetch_related("actor__groups")
        pages: Paginator = BoundedPaginator(mine, A_PAGE)
        context = {"page_obj": pages.get_page(self.request.GET.get("page")), "form": form}
        return render(self.request, "forum/notifications.html", context)


class AllReadView(MembersOnlyMixin, View):
    """Marks everything as read."""

    def post(self, request: HttpRequest) -> HttpResponse:
        notifications.mark_all_read(user=self.person)
        messages.success(request, _("Everything has been marked as read."))
        return redirect("forum:list")
