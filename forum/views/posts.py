"""A single post: permalink, editing, deletion, history and reporting."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from forum import moderation, pages, services
from forum.forms import EditForm
from forum.models import Post
from forum.querysets import MODERATE
from forum.views.base import MembersOnlyMixin, is_fragment, no_such_post
from forum.views.topics import bound, composer
from xraysite.common.forms import ReasonForm


class PostView(MembersOnlyMixin, View):
    """Redirects to the post in its topic; htmx gets the post alone."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        posts = Post.objects.visible_to(self.person).select_related("topic", "author", "hidden_by")
        post = posts.prefetch_related("mentioned", "author__groups").filter(pk=pk).first()
        if post is None:
            raise no_such_post()
        if is_fragment(request):
            return post_fragment(request, post)
        return redirect(post.url_in_topic)


def post_fragment(request: HttpRequest, post: Post) -> HttpResponse:
    user: Any = request.user
    context = {
        "shown": pages.shown([post], to=user)[0],
        "topic": post.topic,
        "may_reply": user.has_perm(MODERATE) or not post.topic.is_locked,
        "moderates": user.has_perm(MODERATE),
    }
    return render(request, "forum/_post.html", context)


class EditPostView(MembersOnlyMixin, View):
    """Edits the user's own post, in place with htmx."""

    def _own(self, pk: int) -> Post:
        own = Post.objects.own_of(self.person).select_related("topic", "author")
        post = own.filter(pk=pk).first()
        if post is None:
            raise no_such_post()
        return post

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        post = self._own(pk)
        initial = {"body": post.body, "title": post.topic.title, "version": post.version}
        return self._page(post, self._form(post, initial=initial))

    def _form(self, post: Post, **options: Any) -> EditForm:
        return EditForm(author=self.person, has_title=post.number == 1, **options)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        post = self._own(pk)
        form, picture_error = bound(EditForm, self, has_title=post.number == 1)
        if request.POST.get("action") == "preview" or picture_error or not form.is_valid():
            preview = request.POST.get("action") == "preview"
            return self._page(post, form, picture_error=picture_error, preview=preview)
        try:
            post = services.edit_post(
                author=self.person,
                post_id=pk,
                body=form.cleaned_data["body"],
                title=form.cleaned_data.get("title"),
                version=form.cleaned_data["version"],
            )
        except Post.DoesNotExist:
            raise no_such_post() from None
        except services.LockedError:
            form.add_error(None, _("This topic has been locked in the meantime."))
            return self._page(post, form)
        except services.ConflictError as conflict:
            return self._conflict(form, conflict)
        if is_fragment(request):
            return moved_to(post) if post.number == 1 else post_fragment(request, post)
        messages.success(request, _("Your post has been updated."))
        return redirect(post.url_in_topic)

    def _conflict(self, form: EditForm, conflict: services.ConflictError) -> HttpResponse:
        post = self._own(self.kwargs["pk"])
        form.add_error(
            None,
            _("The post was edited elsewhere after you opened it. Its current text is shown below. "
              "Saving again replaces it with yours."),
        )  # fmt: skip
        form.data = {**form.data.dict(), "version": str(post.version)}  # type: ignore[attr-defined]
        return self._page(post, form, current=conflict.current)

    def _page(self, post: Post, form: EditForm, **more: Any) -> HttpResponse:
        context = composer(self.person, form, **more)
        context |= {
            "post": post,
            "topic": post.topic,
            "action": reverse("forum:edit", args=[post.pk]),
            "is_edit": True,
        }
        template = "forum/_edit.html" if is_fragment(self.request) else "forum/post_edit.html"
        return render(self.request, template, context)


def moved_to(post: Post) -> HttpResponse:
    """Tell htmx to reload the whole page, whose title may have changed."""
    response = HttpResponse(status=204)
    response.headers["HX-Redirect"] = post.url_in_topic
    response.headers["HX-Refresh"] = "true"
    return response


class DeletePostView(MembersOnlyMixin, View):
    """Asks for confirmation, then deletes the user's own post."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        post = self._own(pk)
        return render(request, "forum/post_confirm_delete.html", {"post": post})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._own(pk)
        try:
            post = services.delete_post(author=self.person, post_id=pk)
        except Post.DoesNotExist:
            raise no_such_post() from None
        except services.LockedError:
            messages.error(request, _("This topic is locked. Its posts can no longer be changed."))
            return redirect(Post.objects.get(pk=pk).url_in_topic)
        messages.success(
            request,
            _("Your post has been deleted."),
            extra_tags=reverse("forum:undelete", args=[pk]),
        )
        return redirect(post.url_in_topic)

    def _own(self, pk: int) -> Post:
        own = Post.objects.own_of(self.person).select_related("topic")
        post = own.filter(pk=pk).first()
        if post is None:
            raise no_such_post()
        return post


class UndeletePostView(MembersOnlyMixin, View):
    """Restores the user's own deleted post."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            post = services.undelete_post(author=self.person, post_id=pk)
        except Post.DoesNotExist:
            raise no_such_post() from None
        except services.LockedError:
            messages.error(request, _("This topic is locked. Its posts can no longer be changed."))
            return redirect("forum:list")
        messages.success(request, _("Your post has been restored."))
        return redirect(post.url_in_topic)


class PostHistoryView(MembersOnlyMixin, View):
    """The earlier versions of a post."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        post = self.post_of(pk)
        if post.erased_at is not None:
            raise no_such_post()
        versions = list(post.versions.order_by("-number"))
        return render(request, "forum/post_history.html", {"post": post, "versions": versions})


class ReportPostView(MembersOnlyMixin, View):
    """Reports a post to the supervisors."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._page(pk, ReasonForm())

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        form = ReasonForm(request.POST)
        if not form.is_valid():
            return self._page(pk, form)
        try:
            report = moderation.report_post(
                reporter=self.person, post_id=pk, reason=form.cleaned_data["reason"]
            )
        except Post.DoesNotExist:
            raise no_such_post() from None
        messages.success(
            request,
            _(
                "Thank you. A supervisor will review the post, and you will be "
                "notified of the outcome."
            ),
        )
        return redirect(report.post.url_in_topic)

    def _page(self, pk: int, form: ReasonForm) -> HttpResponse:
        post = self.post_of(pk)
        if not post.is_standing:
            raise no_such_post()
        return render(self.request, "forum/post_report.html", {"post": post, "form": form})
