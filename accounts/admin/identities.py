"""Connecting an account to a person of the hospital's sign-in provider, in the admin."""

from functools import partial
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.sso import config, services
from accounts.sso.models import ConnectionRequest


class RequestForm(forms.Form):
    """Offers the people who asked for the account."""

    request = forms.ModelChoiceField(
        label=_("Person at the provider"),
        queryset=ConnectionRequest.objects.none(),
        widget=forms.RadioSelect,
        empty_label=None,
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["request"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        field.queryset = ConnectionRequest.objects.filter(user=user).order_by("-last_asked_at")


def buttons(by: Any, user: User) -> list[dict[str, Any]]:
    """Return the button that leads to the page, if there is anything to decide."""
    if config.current() is None or not services.may_connect(by, user):
        return []
    if not config.is_connected(user) and not user.connection_requests.exists():
        return []
    address = reverse("admin:accounts_user_identity", args=[user.pk])
    return [{"text": _("Hospital's account"), "url": address, "is_against": False}]


def urls(model_admin: admin.ModelAdmin) -> list[URLPattern]:
    view = model_admin.admin_site.admin_view(partial(identity, model_admin))
    return [path("<int:object_id>/identity/", view, name="accounts_user_identity")]


def identity(model_admin: admin.ModelAdmin, request: HttpRequest, object_id: int) -> HttpResponse:
    """Show who is or wants to be connected; on POST, connect or disconnect."""
    by: Any = request.user
    user = get_object_or_404(User, pk=object_id)
    if not services.may_connect(by, user):
        raise PermissionDenied
    provider = config.current()
    if provider is None:
        messages.warning(request, gettext("This site has no sign-in with a hospital's account."))
        return _back(user)
    form = RequestForm(request.POST or None, user=user)
    if request.method == "POST" and "disconnect" in request.POST:
        services.disconnect(by=by, user=user)
        messages.success(request, gettext("The account has been disconnected."))
        return _back(user)
    if request.method == "POST" and form.is_valid():
        return _connect(request, by, user, form.cleaned_data["request"])
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": User._meta,
        "media": model_admin.media,
        "title": gettext("Hospital's account of %(name)s") % {"name": user.display_name},
        "applicant": user,
        "hospital": config.name_of(provider),
        "connected": SocialAccount.objects.filter(user=user, provider=config.key_of(provider)),
        "requests": form.fields["request"].queryset,  # type: ignore[attr-defined]
        "form": form,
    }
    return TemplateResponse(request, "admin/accounts/user/identity.html", context)


def _connect(request: HttpRequest, by: User, user: User, asked: ConnectionRequest) -> HttpResponse:
    site = request.build_absolute_uri("/").rstrip("/")
    try:
        services.connect_request(by=by, request=asked, site=site)
    except services.ConnectionRefusedError:
        messages.error(request, gettext("The account or the person is connected already."))
    else:
        messages.success(request, gettext("The account has been connected."))
    return _back(user)


def _back(user: User) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))
