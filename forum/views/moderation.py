"""Moderator actions."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View

from forum import moderation
from forum.forms import MoveForm
from forum.models import Post, Topic
from forum.views.base import ModeratorsOnlyMixin, no_such_post
from xraysite.common.forms import ReasonForm


class ModerateTopicView(ModeratorsOnlyMixin, View):
    """Pins, locks, moves or unhides a topic, depending on the button."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        topic = self.topic(pk)
        done = self._do(topic, request.POST.get("do", ""))
        messages.success(request, done)
        return redirect(topic)

    def _do(self, topic: Topic, what: str) -> str:
        by: Any = self.person
        if what in ("pin", "unpin"):
            moderation.pin_topic(by=by, topic_id=topic.pk, is_pinned=what == "pin")
            return _("The topic is pinned.") if what == "pin" else _("The topic is unpinned.")
        if what in ("lock", "unlock"):
            moderation.lock_topic(by=by, topic_id=topic.pk, is_locked=what == "lock")
            return _("The topic is locked.") if what == "lock" else _("The topic is unlocked.")
        if what == "show":
            moderation.show_topic(by=by, topic_id=topic.pk)
            return _("The topic is visible again.")
        form = MoveForm(self.request.POST, topic=topic)
        if what != "move" or not form.is_valid():
            raise Http404(_("This category does not exist."))
        moderation.move_topic(by=by, topic_id=topic.pk, category=form.cleaned_data["category"])
        return _("The topic is moved.")


class HideTopicView(ModeratorsOnlyMixin, View):
    """Asks for a reason, then hides a topic with all its posts."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._page(self.topic(pk), ReasonForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        topic = self.topic(pk)
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._page(topic, form)
        moderation.hide_topic(by=self.person, topic_id=pk, reason=form.cleaned_data["reason"])
        messages.success(request, _("The topic is now visible to supervisors only."))
        return redirect(topic)

    def _page(self, topic: Topic, form: ReasonForm) -> HttpResponse:
        return render(self.request, "forum/hide.html", {"topic": topic, "form": form})


class HidePostView(ModeratorsOnlyMixin, View):
    """Asks for a reason, then hides a post or permanently erases its text."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._page(self.post_of(pk), ReasonForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        post = self.post_of(pk)
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._page(post, form)
        reason = form.cleaned_data["reason"]
        if request.POST.get("do") == "erase":
            moderation.erase_post(by=self.person, post_id=pk, reason=reason)
            messages.success(request, _("The text of the post has been permanently erased."))
        else:
            moderation.hide_post(by=self.person, post_id=pk, reason=reason)
            messages.success(request, _("The post is now visible to supervisors only."))
        return redirect(post.url_in_topic)

    def _page(self, post: Post, form: ReasonForm) -> HttpResponse:
        context = {"post": post, "topic": post.topic, "form": form}
        return render(self.request, "forum/hide.html", context)


class ShowPostView(ModeratorsOnlyMixin, View):
    """Makes a hidden post visible again."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            post = moderation.show_post(by=self.person, post_id=pk)
        except Post.DoesNotExist:
            raise no_such_post() from None
        messages.success(request, _("The post is visible again."))
        return redirect(post.url_in_topic)
