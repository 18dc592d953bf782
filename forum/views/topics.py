"""The topic list, a topic's page, and writing topics and replies."""

import uuid
from typing import Any, TypeVar

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View

from accounts import account_limits
from forum import notifications, pages, search, services
from forum.forms import MoveForm, PostForm, TopicForm
from forum.models import MAX_BODY, MAX_TITLE, Category, Post, Topic
from forum.querysets import MODERATE
from forum.views.base import (
    MembersOnlyMixin,
    draft_of,
    is_fragment,
    no_such_topic,
    with_picture,
)
from xraysite.common.paging import BoundedPaginator
from xraysite.common.private_search import private_search, query_string

TOPICS_A_PAGE = 25
SHOWN = ("unread", "followed", "own")
F = TypeVar("F", bound=PostForm)


@method_decorator(private_search, name="dispatch")
class TopicListView(MembersOnlyMixin, View):
    """Topics by last activity, pinned ones first, or the results of a search."""

    def get(self, request: HttpRequest) -> HttpResponse:
        words = " ".join(request.GET.get("q", "").split())
        context = self._chosen() | {"words": words}
        context |= self._found(words, context) if words else self._listed(context)
        context["querystring"] = query_string(request, without=["page"])
        template = "forum/_results.html" if is_fragment(request) else "forum/topic_list.html"
        return render(request, template, context)

    def _chosen(self) -> dict[str, Any]:
        categories = list(Category.objects.all())
        asked = self.request.GET.get("category", "")
        chosen = next((one for one in categories if str(one.pk) == asked), None)
        shown = self.request.GET.get("show", "")
        return {
            "categories": categories,
            "category": chosen,
            "may_open_here": chosen in Category.objects.open_to(self.person),
            "shown": shown if shown in SHOWN else "",
        }

    def _listed(self, chosen: dict[str, Any]) -> dict[str, Any]:
        topics = Topic.objects.visible_to(self.person)
        if chosen["category"]:
            topics = topics.filter(category=chosen["category"])
        if chosen["shown"] == "unread":
            since = notifications.member(self.person).all_read_at
            topics = topics.unread_by(self.person, all_read_at=since)
        elif chosen["shown"] == "followed":
            topics = topics.followed_by(self.person)
        elif chosen["shown"] == "own":
            topics = topics.filter(author=self.person)
        people = topics.select_related("category", "author", "last_author").in_order()
        people = people.prefetch_related("author__groups", "last_author__groups")
        page = BoundedPaginator(people, TOPICS_A_PAGE).get_page(self.request.GET.get("page"))
        listed = list(page.object_list)
        news = notifications.unread_topics(self.person, listed)
        rows = [
            {"topic": topic, "url": topic.url_of_post(news.get(topic.pk, 1)),
             "is_new": topic.pk in news}
            for topic in listed
        ]  # fmt: skip
        return {"page_obj": page, "rows": rows}

    def _found(self, words: str, chosen: dict[str, Any]) -> dict[str, Any]:
        posts = Post.objects.visible_to(self.person).standing()
        posts = posts.filter(pk__in=search.matching(words))
        if chosen["category"]:
            posts = posts.filter(topic__category=chosen["category"])
        keys = list(posts.order_by("-pk").values_list("pk", flat=True))
        page = Paginator(keys, TOPICS_A_PAGE).get_page(self.request.GET.get("page"))
        shown = Post.objects.filter(pk__in=page.object_list).order_by("-pk")
        people = shown.select_related("topic__category", "author")
        found = [
            {"post": post, "excerpt": pages.excerpt(post.body, words)}
            for post in people.prefetch_related("author__groups")
        ]
        return {"page_obj": page, "found": found, "limit": search.LIMIT}


class NewTopicView(MembersOnlyMixin, View):
    """Starts a topic."""

    permission_required = "forum.add_topic"

    def get(self, request: HttpRequest) -> HttpResponse:
        draft = draft_of(self.person, None)
        initial: dict[str, Any] = {"category": request.GET.get("category")}
        if draft is not None:
            initial = {"category": draft.category_id, "title": draft.title, "body": draft.body}
        form = TopicForm(author=self.person, initial=initial)
        return self._page(form, draft=draft)

    def post(self, request: HttpRequest) -> HttpResponse:
        form, picture_error = bound(TopicForm, self)
        action = request.POST.get("action", "")
        if action == "draft":
            return self._save_draft()
        if action == "preview" or picture_error or not form.is_valid():
            return self._page(form, picture_error=picture_error, preview=action == "preview")
        try:
            with account_limits.counted(account_limits.TOPIC, self.person):
                topic = services.open_topic(
                    author=self.person,
                    category=form.cleaned_data["category"],
                    title=form.cleaned_data["title"],
                    body=form.cleaned_data["body"],
                    submission=form.cleaned_data["submission"],
                )
        except account_limits.TooManyError as error:
            form.add_error(None, str(error))
            return self._page(form)
        except services.ClosedError:
            form.add_error(
                "category", _("This category is closed to new topics. Choose another one.")
            )
            return self._page(form)
        except services.SubmissionTakenError:
            form.add_error(
                None,
                _("This form has already been submitted. Submit it again to post a new message."),
            )
            form.data = renewed(form.data)
            return self._page(form)
        messages.success(request, _("Your topic has been posted."))
        return redirect(topic)

    def _save_draft(self) -> HttpResponse:
        data = self.request.POST
        key = data.get("category", "")
        category = Category.objects.filter(pk=key).first() if key.isdecimal() else None
        services.save_draft(
            author=self.person, topic=None, title=data.get("title", "")[:MAX_TITLE],
            body=data.get("body", "")[:MAX_BODY], category=category,
        )  # fmt: skip
        messages.success(self.request, _("Your draft has been saved. Only you can see it."))
        return redirect("forum:new")

    def _page(self, form: TopicForm, **more: Any) -> HttpResponse:
        context = composer(self.person, form, **more) | {"action": reverse("forum:new")}
        return render(self.request, "forum/topic_form.html", context)


class TopicView(MembersOnlyMixin, View):
    """A page of a topic's posts, and the reply form."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        topic = self.topic(pk)
        pages_in_all = pages.page_count(topic)
        asked = request.GET.get("page", "1")
        number = min(max(1, int(asked)), pages_in_all) if asked.isdecimal() else 1
        posts = pages.posts_on_page(topic, number)
        new_from = notifications.unread_topics(self.person, [topic]).get(topic.pk)
        draft = draft_of(self.person, topic)
        initial = {"body": draft.body if draft else self._quotation(topic)}
        form = PostForm(author=self.person, initial=initial)
        context = composer(self.person, form, draft=draft)
        context |= topic_context(self, topic, number)
        context |= {
            "posts": pages.shown(posts, to=self.person, new_from=new_from),
            "seen": pages.numbers(posts),
            "pages": range(1, pages_in_all + 1),
        }
        notifications.mark_read(user=self.person, topic=topic, number=pages.numbers(posts))
        return render(request, "forum/topic.html", context)

    def _quotation(self, topic: Topic) -> str:
        asked = self.request.GET.get("quote", "")
        if not asked.isdecimal() or len(asked) > 9:
            return ""
        post = topic.posts.standing().filter(number=int(asked)).select_related("author").first()
        return pages.quoted(post) if post else ""


class ReplyView(MembersOnlyMixin, View):
    """Adds a post to a topic; htmx gets the new posts and an empty form."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        topic = self.topic(pk)
        form, picture_error = bound(PostForm, self)
        action = request.POST.get("action", "")
        if action == "draft":
            services.save_draft(
                author=self.person, topic=topic, body=request.POST.get("body", "")[:MAX_BODY]
            )
            messages.success(request, _("Your draft has been saved. Only you can see it."))
            return redirect(f"{topic.get_absolute_url()}?page={pages.page_count(topic)}#reply")
        if action == "preview" or picture_error or not form.is_valid():
            return self._page(topic, form, picture_error=picture_error, preview=action == "preview")
        try:
            with account_limits.counted(account_limits.POST, self.person):
                post = services.reply(
                    author=self.person,
                    topic=topic,
                    body=form.cleaned_data["body"],
                    submission=form.cleaned_data["submission"],
                )
        except account_limits.TooManyError as error:
            form.add_error(None, str(error))
            return self._page(topic, form)
        except services.LockedError:
            form.add_error(None, _("This topic has been locked in the meantime."))
            topic.is_locked = True
            return self._page(topic, form)
        except services.SubmissionTakenError:
            form.add_error(
                None,
                _("This form has already been submitted. Submit it again to post a new message."),
            )
            form.data = renewed(form.data)
            return self._page(topic, form)
        except Topic.DoesNotExist:
            raise no_such_topic() from None
        if not is_fragment(request):
            return redirect(topic.url_of_post(post.number))
        return self._replied(post)

    def _replied(self, post: Post) -> HttpResponse:
        topic = post.topic
        seen = self.request.POST.get("seen", "")
        after = int(seen) if seen.isdecimal() and len(seen) < 10 else post.number - 1
        if not 0 < post.number - after <= pages.POSTS_A_PAGE:
            response = HttpResponse(status=204)
            response.headers["HX-Redirect"] = topic.url_of_post(post.number)
            return response
        posts = pages.posts_after(topic, after)
        form = PostForm(author=self.person)
        context = composer(self.person, form) | topic_context(self, topic, None)
        context |= {
            "posts": pages.shown(posts, to=self.person),
            "seen": pages.numbers(posts),
            "posted": post,
        }
        return render(self.request, "forum/_replied.html", context)

    def _page(self, topic: Topic, form: PostForm, **more: Any) -> HttpResponse:
        context = composer(self.person, form, **more) | topic_context(self, topic, None)
        if is_fragment(self.request):
            context["seen"] = self.request.POST.get("seen", "")
            return render(self.request, "forum/_reply.html", context)
        number = pages.page_count(topic)
        posts = pages.posts_on_page(topic, number)
        context |= topic_context(self, topic, number)
        context |= {
            "posts": pages.shown(posts, to=self.person),
            "seen": pages.numbers(posts),
            "pages": range(1, number + 1),
        }
        return render(self.request, "forum/topic.html", context)


class FollowView(MembersOnlyMixin, View):
    """Follows or unfollows a topic."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        topic = self.topic(pk)
        notifications.follow(
            user=self.person, topic=topic, is_following=request.POST.get("follow") == "1"
        )
        if is_fragment(request):
            return render(request, "forum/_follow.html", topic_context(self, topic, None))
        return redirect(topic)


def bound(kind: type[F], view: MembersOnlyMixin, **options: Any) -> tuple[F, str]:
    """Return the submitted form, with an uploaded image added to its text."""
    data = view.request.POST.copy()
    data["body"], error = with_picture(data.get("body", ""), view.request)
    return kind(data, author=view.person, **options), error


def renewed(data: Any) -> Any:
    """Return a copy of the form's data with a new submission ID."""
    fresh = data.copy()
    fresh["submission"] = str(uuid.uuid4())
    return fresh


def composer(user: Any, form: PostForm, **more: Any) -> dict[str, Any]:
    """Return the context of the editor templates."""
    context = {"form": form, "draft": None, "picture_error": "", "html": ""} | more
    if more.get("preview"):
        context["html"] = pages.previewed(form.data.get("body", "")[:MAX_BODY], author=user)
        context["form"] = form.unsent()
    elif not form.is_bound and form.initial.get("body"):
        # The script would add it, and move what is below.
        context["html"] = pages.previewed(form.initial["body"][:MAX_BODY], author=user)
    return context


def topic_context(view: MembersOnlyMixin, topic: Topic, number: int | None) -> dict[str, Any]:
    moderates = view.person.has_perm(MODERATE)
    return {
        "topic": topic,
        "number": number,
        "following": notifications.is_following(view.person, topic),
        "may_reply": moderates or not topic.is_locked,
        "moderates": moderates,
        "move": MoveForm(topic=topic, initial={"category": topic.category_id})
        if moderates
        else None,
        "action": reverse("forum:reply", args=[topic.pk]),
    }
