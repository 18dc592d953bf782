"""Endpoints of the editor: preview, mentions, drafts and images."""

import uuid

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views import View

from accounts.models import User
from forum import mentions, pages, pictures, services
from forum.forms import PictureForm
from forum.models import MAX_BODY, MAX_TITLE, Category, Picture, Topic
from forum.views.base import MembersOnlyMixin
from xraysite.common.images import PictureError, too_large
from xraysite.common.uploads import TOO_LARGE_KEY


class PreviewView(MembersOnlyMixin, View):
    """Renders a preview of a post."""

    def post(self, request: HttpRequest) -> HttpResponse:
        body = request.POST.get("body", "")[:MAX_BODY]
        html = pages.previewed(body, author=self.person)
        return render(request, "forum/_preview.html", {"html": html})


class PeopleView(MembersOnlyMixin, View):
    """Completions for a name after an @."""

    def get(self, request: HttpRequest) -> JsonResponse:
        beginning = request.GET.get("q", "")
        return JsonResponse({"people": mentions.suggestions(beginning, by=self.person)})


class DraftView(MembersOnlyMixin, View):
    """Saves the draft while the user types; an empty draft is deleted."""

    def post(self, request: HttpRequest) -> JsonResponse:
        data = request.POST
        topic = self._chosen_topic(data.get("topic", ""))
        key = data.get("category", "")
        category = Category.objects.filter(pk=key).first() if _is_key(key) else None
        draft = services.save_draft(
            author=self.person,
            topic=topic,
            title=data.get("title", "")[:MAX_TITLE],
            body=data.get("body", "")[:MAX_BODY],
            category=category,
        )
        return JsonResponse({"saved": draft is not None})

    def _chosen_topic(self, key: str) -> Topic | None:
        if not key:
            return None
        if not _is_key(key):
            raise Http404(_("This topic does not exist."))
        return self.topic(int(key))


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


class UploadView(MembersOnlyMixin, View):
    """Accepts an image for a post that is being written."""

    def post(self, request: HttpRequest) -> JsonResponse:
        form = PictureForm(request.POST, request.FILES)
        if TOO_LARGE_KEY in request.META:
            message = too_large(pictures.MAX_BYTES).message
            return JsonResponse({"error": str(message)}, status=422)
        if not form.is_valid():
            errors = " ".join(str(error) for error in form.errors["picture"])
            return JsonResponse({"error": errors}, status=422)
        try:
            picture = pictures.add_picture(
                owner=self.person, data=form.cleaned_data["picture"].read()
            )
        except PictureError as error:
            return JsonResponse({"error": str(error.message)}, status=422)
        return JsonResponse({"url": picture.get_absolute_url()}, status=201)


def visible_picture(user: User, pk: uuid.UUID) -> Picture:
    """Return an image that `user` may see.

    Raises:
        Http404: there is no such image.
    """
    pictures_of = Picture.objects.visible_to(user).select_related("post__topic", "owner")
    picture: Picture | None = pictures_of.filter(pk=pk).first()
    if picture is None or not picture.file.storage.exists(str(picture.file.name)):
        raise Http404(_("This image does not exist."))
    return picture


class PicturePageView(MembersOnlyMixin, View):
    """Shows an image of a post large, with zoom."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        context = {"picture": visible_picture(self.person, pk)}
        return render(request, "forum/picture.html", context)


class PictureView(MembersOnlyMixin, View):
    """Serves an image of a post that the user may read."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        picture = visible_picture(self.person, pk)
        with picture.file.open("rb") as stored:
            response = HttpResponse(stored.read(), content_type="image/webp")
        response.headers["Content-Disposition"] = "inline"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response
