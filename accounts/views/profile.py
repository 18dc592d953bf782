"""The profile page and profile pictures."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import condition, require_POST, require_safe

from accounts import avatars, roles, services
from accounts.allauth.adapters import set_language_cookie
from accounts.forms import AvatarForm, ProfileForm
from accounts.models import User


def own_account(request: HttpRequest) -> User:
    return User.objects.get(email=request.user.get_username())


def profile_page(request: HttpRequest, *, status: int = 200, **forms: Any) -> HttpResponse:
    names = request.user.groups.order_by("name").values_list("name", flat=True)
    context = {
        "form": ProfileForm(instance=own_account(request)),
        "avatar_form": AvatarForm(),
        "roles": [roles.NAMES.get(name, name) for name in names],
    }
    return render(request, "accounts/profile.html", context | forms, status=status)


class ProfileView(View):
    """The user's own profile."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return profile_page(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ProfileForm(request.POST, instance=own_account(request))
        if not form.is_valid():
            return profile_page(request, form=form)
        user = services.update_profile(user=form.instance)
        messages.success(request, _("Your profile has been saved."))
        response = redirect("accounts:profile")
        set_language_cookie(response, user)
        return response


@require_POST
def change_picture(request: HttpRequest) -> HttpResponse:
    """Replace the profile picture, or remove it (`remove`)."""
    user = own_account(request)
    if "remove" in request.POST:
        avatars.remove_avatar(user=user)
        messages.success(request, _("Your profile picture has been removed."))
        return redirect("accounts:profile")
    form = AvatarForm(request.POST, request.FILES)
    if not form.is_valid():
        return profile_page(request, avatar_form=form, status=422)
    avatars.change_avatar(user=user, data=form.cleaned_data["picture"])
    messages.success(request, _("Your profile picture has been updated."))
    return redirect("accounts:profile")


def _avatar_name(request: HttpRequest, pk: int) -> str | None:
    return User.objects.filter(pk=pk).values_list("avatar", flat=True).first()


def _etag(request: HttpRequest, pk: int) -> str | None:
    name = _avatar_name(request, pk)
    return f'"{name}"' if name else None


@require_safe
@condition(etag_func=_etag)
def avatar(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Serve a user's profile picture."""
    name = _avatar_name(request, pk)
    storage = User._meta.get_field("avatar").storage
    if not name or not storage.exists(name):
        raise Http404
    with storage.open(name) as stored:
        response = HttpResponse(stored.read(), content_type="image/webp")
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
